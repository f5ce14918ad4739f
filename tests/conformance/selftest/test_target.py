"""The server under test: what it writes is read without harm to it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from chatcheck.target import Documented, Server, Target
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
