"""The load tool as a process. Give the program with --chatload=PATH, the server with --chatd=PATH."""

import os
import pathlib
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "bench"))

from comparison.run import READY_SECONDS, wait_for

RUN_SECONDS = 60

Load = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chatload", required=True, help="path of the chatload to test")
    parser.addoption("--chatd", required=True, help="path of the chatd that it loads")


@pytest.fixture
def chatd(request: pytest.FixtureRequest) -> str:
    """The command that starts it."""
    program = os.path.abspath(request.config.getoption("--chatd"))
    return f"{program} --listen 127.0.0.1:{{port}} --log-level error --features broadcast"


@pytest.fixture
def load(request: pytest.FixtureRequest) -> Load:
    program = os.path.abspath(request.config.getoption("--chatload"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [program, *arguments], capture_output=True, text=True, timeout=RUN_SECONDS, check=False
        )

    return run


@contextmanager
def running(command: str) -> Iterator[str]:
    """A server that the tool has not started: its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    process = subprocess.Popen(shlex.split(command.replace("{port}", str(port))))
    try:
        wait_for(port)
        yield f"ws://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(READY_SECONDS)
