"""chatd as a process: fixtures that start one, and a Redis of its own. Give the program with --chatd=PATH."""

import contextlib
import os
import pathlib
import re
import secrets
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator

import pytest
import redis

START_SECONDS = 40
STOP_SECONDS = 10
PORTS = range(12000, 32000)  # below those that the kernel gives to connections


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chatd", required=True, help="path of the chatd to test")


@pytest.fixture
def program(request: pytest.FixtureRequest) -> str:
    path: str = os.path.abspath(request.config.getoption("--chatd"))
    return path


def environment(**settings: str) -> dict[str, str]:
    """This one, without settings of chatd but those that are given: redis="…" is CHATD_REDIS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CHATD_")}
    return kept | {f"CHATD_{name.upper()}": value for name, value in settings.items()}


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Look until it holds; what must hold is told if that never comes."""
    give_up = time.monotonic() + START_SECONDS
    while not holds():
        assert time.monotonic() < give_up, f"waited in vain until {what}"
        time.sleep(0.01)


class Chatd:
    """One process. Its stderr is in a file, so that it never has to wait for somebody to read."""

    def __init__(self, *command: str, env: dict[str, str]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self._log, env=env)
        self.stdout = ""

    def until_ready(self) -> "Chatd":
        """Wait for the line that says so."""
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        wait_until(self._has_said_a_line, "chatd is ready")
        return self

    def _has_said_a_line(self) -> bool:
        assert self.process.stdout is not None
        assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.log()}"
        self.stdout += (self.process.stdout.read() or b"").decode()
        return "\n" in self.stdout

    @property
    def url(self) -> str:
        found = re.fullmatch(r"listening on (ws://\S+/)\n", self.stdout)
        assert found, self.stdout
        return found[1]

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rsplit(":", 1)[1])

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def exit_code(self) -> int:
        """Wait for the end, and keep what it has said since."""
        code = self.process.wait(STOP_SECONDS)
        assert self.process.stdout is not None
        self.stdout += (self.process.stdout.read() or b"").decode()
        return code

    def log(self) -> str:
        file = self._log.fileno()
        # Not seek() and read(): chatd writes where they would leave the position, which it shares.
        return os.pread(file, os.fstat(file).st_size, 0).decode(errors="replace")

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self._log.close()


Start = Callable[..., Chatd]


@pytest.fixture
def start(program: str) -> Iterator[Start]:
    """Start chatd on a free port with these flags and settings in its environment, until it is ready.

    With the setting redis it has its connection, too; one whose Redis is away is started by the flag."""
    started: list[Chatd] = []

    def start_one(*flags: str, **settings: str) -> Chatd:
        chatd = Chatd(program, "--listen", "127.0.0.1:0", *flags, env=environment(**settings))
        started.append(chatd)
        chatd.until_ready()
        if "redis" in settings:
            wait_until(lambda: " info redis_connected " in chatd.log(), "it is connected to Redis")
        return chatd

    yield start_one
    for chatd in started:
        chatd.end()


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(program: str) -> Run:
    """Run chatd with these flags and settings to its end."""

    def run_once(*flags: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [program, *flags],
            env=environment(**settings),
            capture_output=True,
            text=True,
            timeout=STOP_SECONDS,
            check=False,
        )

    return run_once


class Redis:
    """A redis-server of our own, with a password."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.port = free_port()
        self.password = "planted-password-" + secrets.token_hex(8)
        self.url = f"redis://:{self.password}@127.0.0.1:{self.port}"
        options = {"port": self.port, "bind": "127.0.0.1", "dir": folder, "requirepass": self.password}
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(
            ["redis-server", *words, "--save", "", "--appendonly", "no"], stdout=subprocess.DEVNULL
        )
        self.client = redis.Redis(port=self.port, password=self.password, decode_responses=True)
        wait_until(self._answers, "Redis answers")

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False

    def end(self) -> None:
        self.client.close()
        self._process.kill()
        self._process.wait()


@pytest.fixture
def private_redis(tmp_path: pathlib.Path) -> Iterator[Redis]:
    server = Redis(tmp_path)
    yield server
    server.end()


def free_port() -> int:
    """One that no connection gets of the kernel in the moment before somebody listens on it."""
    while True:
        port = secrets.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
