"""Whatever the suite starts, it ends, and its kill -9 is for the server itself, however that was started."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from chatcheck.ports import free_port
from chatcheck.target import Documented, Server, StillListens, Target, Unreachable
from chatcheck.timing import eventually

from .test_cli import ENVIRONMENT, chatcheck

pytestmark = pytest.mark.limit(300)

# A server that does nothing but accept, and ends in order at SIGTERM unless it is told to ignore it.
LISTENS = f"""{sys.executable} -c 'if True:
    import os, signal, socket, sys
    if "stubborn" in sys.argv: signal.signal(signal.SIGTERM, signal.SIG_IGN)
    accepts = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    print("pid", os.getpid(), flush=True)
    while True: accepts.accept()[0].close()
' """
FORKS_TWICE = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.execve("/bin/sh", ["sh", "-c", sys.argv[1]], ENVIRONMENT)
"""


def forks_twice(server: str, environment: str = "os.environ") -> str:
    code = FORKS_TWICE.replace("ENVIRONMENT", environment)
    return shlex.join([sys.executable, "-c", code, server])


SERVER = LISTENS + "{port}"
WAYS = {
    "exec": f"exec {SERVER}",
    "a shell": f"{SERVER}; true",
    "two shells": shlex.join(["sh", "-c", f"{SERVER}; true"]) + "; true",
    "setsid": f"setsid {SERVER}",
    "setsid, waited for": f"setsid {SERVER} & wait",
    "setsid, and the script ends": f"setsid {SERVER} &",
    "nohup, and the script ends": f"nohup {SERVER} &",
    "a fork, and the script ends": f"{SERVER} &",
    "a double fork": forks_twice(SERVER),
    "a double fork without environment": forks_twice(SERVER, "{}"),
    "a helper that ends later": f"sleep 100 & {SERVER}",
    "a stubborn one": f"{SERVER} stubborn",
    "a stubborn one in a session of its own": f"setsid {SERVER} stubborn & wait",
}


def started_by(script: str) -> Target:
    return Target(None, shlex.join(["sh", "-c", script]), None, Documented())


def pid_of(target: Target) -> int:
    """The real server's; its latest."""
    assert eventually(lambda: "pid " in target.log(), within=20)
    return int(re.findall(r"pid (\d+)", target.log())[-1])


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(params=WAYS)
def started(request: pytest.FixtureRequest) -> Iterator[Target]:
    made = started_by(WAYS[request.param])
    try:
        yield made
    finally:
        made.destroy()


def test_a_kill_and_the_end_are_for_the_server_itself(started: Target) -> None:
    started.ensure_running()
    first, server = pid_of(started), Server(started)
    assert (started.exit_status(), is_gone(first)) == (None, False)

    server.kill()
    assert is_gone(first)
    server.start()
    assert eventually(lambda: pid_of(started) != first, within=20)
    second = pid_of(started)
    assert not is_gone(second)

    started.destroy()
    assert is_gone(second)


@pytest.mark.parametrize("way", ["a shell", "setsid, and the script ends", "a double fork"])
def test_a_freeze_is_for_the_server_itself(way: str) -> None:
    target = started_by(WAYS[way])
    try:
        target.ensure_running()
        pid = pid_of(target)
        target.signal(signal.SIGSTOP)
        assert eventually(lambda: psutil.Process(pid).status() == psutil.STATUS_STOPPED, within=5)
    finally:
        target.destroy()


@pytest.mark.parametrize("way", ["a shell", "setsid, and the script ends", "a double fork"])
def test_a_stop_waits_for_the_server_itself(way: str) -> None:
    orderly = 'signal.signal(signal.SIGTERM, lambda *_: (__import__("time").sleep(1), os._exit(0)))'
    slow = WAYS[way].replace("while True", f"{orderly}\n    while True")
    target = started_by(slow)
    try:
        target.ensure_running()
        pid, server = pid_of(target), Server(target)
        server.stop()
        assert is_gone(pid)
        server.start()
    finally:
        target.destroy()


def test_a_server_that_died_under_a_script_that_has_ended_is_not_running() -> None:
    target = started_by(WAYS["setsid, and the script ends"])
    try:
        target.ensure_running()
        os.kill(pid_of(target), signal.SIGKILL)
        assert eventually(lambda: target.exit_status() == 0, within=5)
    finally:
        target.destroy()


def test_one_of_two_servers_is_ended_and_the_other_goes_on() -> None:
    target = started_by(WAYS["a double fork without environment"])
    try:
        target.ensure_running()
        twin = target.twin()
        try:
            twin.ensure_running()
            pid, other = pid_of(target), pid_of(twin)
        finally:
            twin.destroy()
        assert (is_gone(pid), is_gone(other)) == (False, True)
    finally:
        target.destroy()
    assert is_gone(pid)


def test_processes_that_are_not_the_servers_are_left_alone() -> None:
    with subprocess.Popen(["sleep", "100"], start_new_session=True) as before:
        target = started_by(WAYS["a double fork without environment"])
        with subprocess.Popen(["sleep", "100"]) as after:
            target.ensure_running()
            target.destroy()
            assert (before.poll(), after.poll()) == (None, None)
            after.kill()
        before.kill()


# What cannot be ended


def accepts(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def elsewhere() -> Iterator[int]:
    """A port on which somebody else's server listens, as one does that a service manager has started."""
    port = free_port()
    with subprocess.Popen(shlex.split(f"{LISTENS} {port}"), stdout=subprocess.DEVNULL) as process:
        try:
            assert eventually(lambda: accepts(port), within=20)
            yield port
        finally:
            process.kill()


def test_a_port_that_is_taken_is_no_finding_about_the_server(elsewhere: int) -> None:
    target = Target(f"ws://127.0.0.1:{elsewhere}", "sleep {port}", None, Documented())
    with pytest.raises(StillListens, match=f"something still listens at ws://127.0.0.1:{elsewhere}"):
        target.ensure_running()
    with pytest.raises(StillListens):
        target.destroy()


# "Starts" a server by asking somebody else for it.
ASKS = """
import socket, subprocess, sys
asked = socket.create_connection(("127.0.0.1", ASK))
asked.sendall(sys.argv[1].encode() + b"\\n")
asked.recv(1)
import signal; signal.pause()
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[int]:
    """The port of a service manager: it starts a server for whoever asks, and ends none."""
    code = """if True:
        import socket, subprocess, sys
        listener = socket.create_server(("127.0.0.1", 0))
        print(listener.getsockname()[1], flush=True)
        servers = []
        while True:
            connection = listener.accept()[0]
            port = connection.makefile().readline().strip()
            if port == "end":
                break
            servers.append(subprocess.Popen([sys.executable, "-m", "model", "--port", port]))
            connection.sendall(b"!")
        for server in servers:
            server.kill()
    """
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        try:
            yield port
        finally:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(b"end\n")


@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("clauses", [["MSG-2"], ["ID-2", "MSG-2"]])
def test_what_still_listens_ends_the_run_with_3_and_says_what_to_do(
    manager: int, clauses: list[str], jobs: str, tmp_path: Path
) -> None:
    start = shlex.join([sys.executable, "-c", ASKS.replace("ASK", str(manager))]) + " {port}"
    only = [word for clause in clauses for word in ("--only", clause)]
    run = chatcheck(tmp_path, "--start", start, *only, "--jobs", jobs, "--json", "a.json")
    report = json.loads((tmp_path / "a.json").read_text())

    assert run.returncode == 3, run.stdout + run.stderr
    assert "something still listens at ws://127.0.0.1:" in run.stderr
    assert "use --url" in run.stderr
    assert "Traceback" not in run.stderr
    assert report["counts"].get("fail", 0) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_a_run_has_started_does_not_outlive_it(number: signal.Signals, tmp_path: Path) -> None:
    """SIGKILL: of a worker."""
    server = tmp_path / "server.sh"
    server.write_text(f"setsid {sys.executable} -m model --port $1 &\necho $! >>{tmp_path}/pids\n")
    pids = tmp_path / "pids"
    process = subprocess.Popen(
        [sys.executable, "-m", "chatcheck", "--jobs", "2", "--start", f"sh {server} {{port}}"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert eventually(lambda: pids.exists() and len(pids.read_text().split()) >= 2, within=60)
    if number == signal.SIGKILL:
        psutil.Process(process.pid).children()[0].kill()
    else:
        process.send_signal(number)
    assert process.wait(100) == 3

    assert all(is_gone(int(pid)) for pid in pids.read_text().split())


def test_a_command_that_fails_leaves_nothing() -> None:
    target = started_by(f"setsid {SERVER.replace('{port}', '1{{port}}')} & echo $! ; exit 3; : {{port}}")
    try:
        with pytest.raises(Unreachable, match="the server ended with status 3"):
            target.ensure_running()
        pid = int(target.log().split()[0])
    finally:
        target.destroy()
    assert is_gone(pid)
