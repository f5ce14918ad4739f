"""The server under test: what it writes is read without harm to it."""

from __future__ import annotations

import random
import shlex
import socket
import sys
from pathlib import Path

import pytest

from chatcheck.ports import free_port
from chatcheck.target import Documented, Server, StoreUnavailable, Target, Unreachable
from chatcheck.timing import eventually

N_LINES = 500_000  # so many that it is still writing when it accepts connections
TALKS = f"""
import os, signal, socket
accepts = socket.create_server(("127.0.0.1", {{port}}))
for n in range({N_LINES}):
    os.write(2, b"line %06d\\n" % n)
os.write(2, b"done\\n")
signal.pause()
"""


def test_the_log_is_whole_also_if_it_is_read_while_the_server_writes() -> None:
    target = Target(None, shlex.join([sys.executable, "-c", TALKS]), None, Documented())
    try:
        target.ensure_running()
        while not target.log().endswith("done\n"):
            assert target.exit_status() is None, target.log()
        *numbered, done = target.log().splitlines()[1:]  # the first one is cut
    finally:
        target.destroy()
    assert done == "done"
    assert numbered == [f"line {n:06}" for n in range(N_LINES - len(numbered), N_LINES)]


NAMES_ITS_PORT = """
import signal, socket
accepts = socket.create_server(("127.0.0.1", {port}))
print("this is port {port}", flush=True)
signal.pause()
"""


def test_the_log_of_another_server_is_shown_too_while_it_runs_and_when_it_has_ended() -> None:
    target = Target(None, shlex.join([sys.executable, "-c", NAMES_ITS_PORT]), None, Documented())
    try:
        target.ensure_running()
        server = Server(target)
        with server.another() as other:
            port = other.address.port
            assert eventually(lambda: f"this is port {port}" in server.log(), within=5)
        expected = (
            f"this is port {server.address.port}\n--- another server, on port {port}:\nthis is port {port}"
        )
        assert server.log() == expected
    finally:
        target.destroy()


ENDS = """
import signal, socket, subprocess, sys
accepts = socket.create_server(("127.0.0.1", {port}))
child = subprocess.Popen(["sleep", "60"])
print(child.pid, flush=True)
signal.signal(signal.SIGTERM, HANDLER)
while True:
    signal.pause()
"""


def ended(handler: str, folder: Path) -> tuple[str, bool]:
    """What a server with that handler of SIGTERM leaves behind, and whether its child has ended."""
    left = folder / "left"
    code = ENDS.replace("HANDLER", handler.replace("LEFT", repr(str(left))))
    target = Target(None, shlex.join([sys.executable, "-c", code]), None, Documented())
    try:
        target.ensure_running()
        eventually(lambda: "\n" in target.log(), within=5)
        child = Path("/proc", target.log().strip())
    finally:
        target.destroy()
    return left.read_text() if left.exists() else "", eventually(lambda: is_gone(child), within=5)


def is_gone(process: Path) -> bool:
    """A process that has ended may wait to be buried."""
    try:
        return " Z " in (process / "stat").read_text()
    except OSError:
        return True


def test_the_server_may_end_in_order(tmp_path: Path) -> None:
    handler = "lambda *_: (open(LEFT, 'w').write('all in order'), sys.exit(0))"
    assert ended(handler, tmp_path) == ("all in order", True)


def test_a_server_that_does_not_end_is_killed(tmp_path: Path) -> None:
    assert ended("signal.SIG_IGN", tmp_path) == ("", True)


LISTENS_ON = """
import signal, socket, sys, time
time.sleep(DELAY)
accepts = socket.create_server(("HOST", {port}), family=socket.AF_INET6 if ":" in "HOST" else socket.AF_INET)
signal.pause()
"""


def listens_on(host: str, delay: float = 0) -> str:
    """The command of a server that listens there, after so many seconds."""
    code = LISTENS_ON.replace("HOST", host).replace("DELAY", str(delay))
    return shlex.join([sys.executable, "-c", code])


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_a_server_is_found_on_each_loopback_address(host: str, shown: str) -> None:
    target = Target(None, listens_on(host), None, Documented())
    try:
        target.ensure_running()
        assert str(target.address) == f"ws://{shown}:{target.address.port}/"
        with Server(target).another() as other:
            assert other.address.host == host
    finally:
        target.destroy()


def test_what_was_tried_and_how_long_is_said() -> None:
    target = Target(None, listens_on("127.0.0.1", 60), None, Documented(start_wait=0.5))
    port = target.address.port
    try:
        with pytest.raises(Unreachable) as caught:
            target.ensure_running()
    finally:
        target.destroy()

    refused = [f"tried {host}:{port} (Connection refused)" for host in ("127.0.0.1", "[::1]")]
    assert f"{'; '.join(refused)} within 0.5 s; --start-wait gives it longer" in str(caught.value)


def test_a_port_that_somebody_has_on_the_other_loopback_is_not_free(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        socket.create_server(("::1", 0), family=socket.AF_INET6) as six,
        socket.create_server(("127.0.0.1", 0)) as four,
        socket.create_server(("127.0.0.1", 0)) as freed,
    ):
        free = freed.getsockname()[1]
        freed.close()
        taken = [each.getsockname()[1] for each in (six, four)]
        monkeypatch.setattr(random, "sample", lambda *_: [*taken, free])
        assert free_port() == free


@pytest.mark.limit(2)
def test_the_start_of_a_server_is_no_time_of_the_check() -> None:
    target = Target(None, listens_on("127.0.0.1", 3), None, Documented())
    try:
        with Server(target).another():
            pass
    finally:
        target.destroy()


def free_port_without_a_server() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


MODEL = f"{sys.executable} -m model --port {{port}}"


def test_a_redis_that_is_not_there_is_told_from_a_server_that_is_not() -> None:
    nowhere = f"redis://:geheim@127.0.0.1:{free_port_without_a_server()}"
    target = Target(None, MODEL, nowhere, Documented())
    try:
        target.ensure_running()
        with pytest.raises(StoreUnavailable) as caught:
            target.check_store()
    finally:
        target.destroy()

    assert f"accepts connections at {target.address}, but its Redis redis://***@127.0.0.1:" in str(
        caught.value
    )
    assert "is not ready: Error 111 connecting to 127.0.0.1:" in str(caught.value)


def test_a_server_whose_redis_is_another_one_is_told() -> None:
    """The suite is not told of it, or of one that works."""
    port = free_port_without_a_server()
    target = Target(None, f"{MODEL} --redis redis://127.0.0.1:{port}", None, Documented())
    try:
        target.ensure_running()
        with pytest.raises(StoreUnavailable, match="says that its store is unavailable"):
            target.check_store()
    finally:
        target.destroy()


def test_a_server_that_serves_is_ready() -> None:
    target = Target(None, MODEL, None, Documented())
    try:
        target.ensure_running()
        target.check_store()
    finally:
        target.destroy()
