"""The server under test: what it writes is read without harm to it."""

from __future__ import annotations

import shlex
import sys

from chatcheck.target import Documented, Target

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
