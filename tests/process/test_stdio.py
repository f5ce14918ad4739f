"""stdin, stdout and stderr as they may be found: closed, full, without a reader, on a full disk."""

import contextlib
import fcntl
import os
import pty
import re
import resource
import signal
import socket
import subprocess
import time
import tty
from collections.abc import Iterator

import pytest
from clients import accepts, ask, sign
from conftest import environment, free_port, wait_until
from websockets.sync.client import connect

EX_OSERR, EX_IOERR = 71, 74
N_NOTES = 12  # more are counted, not written


class Bare:
    """chatd on a port that is known before, whatever its standard descriptors are."""

    def __init__(self, program: str, **popen: object) -> None:
        self.port = free_port()
        command = [program, "--listen", f"127.0.0.1:{self.port}", "--log-level", "debug"]
        self.process = subprocess.Popen(command, env=environment(), **popen)  # type: ignore[call-overload]
        wait_until(lambda: accepts(self.port), "it listens")

    def serves(self) -> None:
        """A client, while there is something to log: SIGHUP is noted, each time that it is seen."""
        with connect(f"ws://127.0.0.1:{self.port}/") as alice:
            sign(alice, "alice")
            for _ in range(N_NOTES):
                self.process.send_signal(signal.SIGHUP)
                assert ask(alice, type="msg", to="nobody", body="x")["status"] == 1

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code: int = self.process.wait(10)
        return code


@contextlib.contextmanager
def bare(program: str, **popen: object) -> Iterator[Bare]:
    one = Bare(program, **popen)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def fill(writer: int) -> None:
    """To the last byte, and leave it blocking, as it was. A terminal makes room again up to seconds later."""
    os.set_blocking(writer, False)
    n_rounds_without = 0
    while n_rounds_without < 40:
        n_rounds_without += 1
        for piece in (b"x" * 4096, b"x"):
            with contextlib.suppress(BlockingIOError):
                while os.write(writer, piece):
                    n_rounds_without = 0
        time.sleep(0.05)
    os.set_blocking(writer, True)


def read_all(reader: int) -> str:
    os.set_blocking(reader, False)
    pieces = []
    with contextlib.suppress(BlockingIOError, OSError):
        while piece := os.read(reader, 65536):
            pieces.append(piece)
    return b"".join(pieces).decode()


def pipe() -> tuple[int, int]:
    return os.pipe()


def stream() -> tuple[int, int]:
    reader, writer = socket.socketpair()
    return reader.detach(), writer.detach()


def terminal() -> tuple[int, int]:
    reader, writer = pty.openpty()
    tty.setraw(writer)
    return reader, writer


@pytest.mark.parametrize("kind", [pipe, stream, terminal])
def test_a_log_that_nobody_reads_stops_nothing_and_says_what_it_dropped(program: str, kind: object) -> None:
    reader, writer = kind()  # type: ignore[operator]
    try:
        flags = fcntl.fcntl(writer, fcntl.F_GETFL)
        fill(writer)
        with bare(program, stdout=subprocess.DEVNULL, stderr=writer) as chatd:
            chatd.serves()
            assert fcntl.fcntl(writer, fcntl.F_GETFL) == flags
            log = ""

            def has_told() -> bool:
                nonlocal log
                log += read_all(reader)
                return " warn log_lines_dropped " in log

            wait_until(has_told, "it says how many lines it dropped")
            chatd.serves()
            assert chatd.end() == 0
        log += read_all(reader)
        count = re.search(r" warn log_lines_dropped count=(\d+)\n", log)
        assert count
        assert int(count[1]) >= N_NOTES
        lines = [line.lstrip("x") for line in log.splitlines() if line.strip("x")]
        assert [line for line in lines if not re.match(r"\d{4}-\d\d-\d\dT\S+Z [a-z]+ [a-z_]+", line)] == []
        assert " info stopping " in log
    finally:
        os.close(reader)
        os.close(writer)


@pytest.mark.parametrize("kind", [pipe, stream, terminal])
def test_everybody_reading_may_go(program: str, kind: object) -> None:
    reader, writer = kind()  # type: ignore[operator]
    os.close(reader)
    try:
        with bare(program, stdout=writer, stderr=writer) as chatd:
            chatd.serves()
            assert chatd.end() == 0
    finally:
        os.close(writer)


def test_a_reader_that_goes_later_ends_nothing(program: str) -> None:
    reader, writer = os.pipe()
    with bare(program, stdout=subprocess.DEVNULL, stderr=writer) as chatd:
        os.close(writer)
        chatd.serves()
        os.close(reader)
        chatd.serves()
        assert chatd.end() == 0


def test_a_full_disk_ends_nothing(program: str) -> None:
    with open("/dev/full", "wb") as full, bare(program, stdout=full, stderr=full) as chatd:
        chatd.serves()
        assert chatd.end() == 0


def test_a_limit_of_file_size_ends_nothing(program: str, tmp_path: object) -> None:
    """SIGXFSZ ends a process by default."""
    path = f"{tmp_path}/log"
    with (
        open(path, "wb") as log,
        bare(
            program,
            stdout=subprocess.DEVNULL,
            stderr=log,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        ) as chatd,
    ):
        chatd.serves()
        assert chatd.end() == 0
    assert os.path.getsize(path) == 1000


def test_a_full_stdout_does_not_keep_it_from_serving(program: str) -> None:
    reader, writer = os.pipe()
    log_reader, log_writer = os.pipe()
    fill(writer)
    try:
        with bare(program, stdout=writer, stderr=log_writer) as chatd:
            chatd.serves()
            assert chatd.end() == 0
        found = re.search(r' warn ready_line_dropped host="127\.0\.0\.1" port=(\d+) ', read_all(log_reader))
        assert found
        assert int(found[1]) == chatd.port
        assert "listening" not in read_all(reader)
    finally:
        for fd in (reader, writer, log_reader, log_writer):
            os.close(fd)


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_closed_descriptors_do_not_become_sockets(program: str, closed: tuple[int, ...]) -> None:
    def close() -> None:
        for fd in closed:
            os.close(fd)

    with bare(
        program,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=close,
    ) as chatd:
        for fd in closed:
            assert os.readlink(f"/proc/{chatd.process.pid}/fd/{fd}") == "/dev/null"
        chatd.serves()
        assert chatd.end() == 0


def test_stdin_that_is_full_of_input_is_left_alone(program: str) -> None:
    with open("/dev/zero", "rb") as zero, bare(program, stdin=zero, stdout=subprocess.DEVNULL) as chatd:
        chatd.serves()
        assert chatd.end() == 0


@pytest.mark.parametrize("flag", ["--help", "--version", "--check-config"])
def test_an_answer_that_finds_no_space_is_no_success(program: str, flag: str) -> None:
    with open("/dev/full", "wb") as full:
        answer = subprocess.run(
            [program, flag], stdout=full, stderr=subprocess.PIPE, env=environment(), text=True, check=False
        )

    assert (answer.returncode, answer.stderr) == (EX_IOERR, "chatd: stdout: No space left on device\n")


@pytest.mark.parametrize("limit", [16, 40, 79])
def test_too_few_open_files_are_said(program: str, limit: int) -> None:
    answer = subprocess.run(
        ["bash", "-c", f"ulimit -n {limit} && exec {program} --listen 127.0.0.1:0"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )

    assert (answer.returncode, answer.stdout) == (EX_OSERR, "")
    assert re.search(
        rf" error open_files_too_few limit={limit} needed=80 .*note=\".*ulimit -n", answer.stderr
    )


def test_descriptors_that_are_all_inherited_are_said(program: str) -> None:
    """A library that gets none in the middle of its start aborts."""
    inherit = 'for fd in {10..70}; do eval "exec $fd</dev/null"; done'
    answer = subprocess.run(
        ["bash", "-c", f"ulimit -n 80 && {inherit} && exec {program} --listen 127.0.0.1:0"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    )

    assert (answer.returncode, answer.stdout) == (EX_OSERR, "")
    assert " error open_files_too_few limit=80 needed=80 free_needed=32 " in answer.stderr


def test_a_soft_limit_of_open_files_is_raised(program: str) -> None:
    with bare(
        program,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(
            resource.RLIMIT_NOFILE, (20, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        ),
    ) as chatd:
        chatd.serves()
        assert chatd.end() == 0
