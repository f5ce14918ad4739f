"""PrivateRedis: a Redis server of the suite's own, which tests may stop, kill, freeze and restart."""

from __future__ import annotations

import secrets
import signal
import subprocess
import tempfile

import redis

from chatcheck import processes
from chatcheck.ports import free_port
from chatcheck.timing import eventually

_STOP_SECONDS = 10.0


class PrivateRedis:
    """redis-server on a free port of 127.0.0.1, without persistence: a restart is empty, as after a flush."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._process: processes.Family | None = None
        self.start()

    def client(self) -> redis.Redis:
        """A connection to it, which answers in bytes."""
        return redis.Redis(port=self.port, decode_responses=False)

    def start(self) -> None:
        """Start it on its port and wait until it answers; nothing happens if it runs."""
        if self._process is not None:
            return
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"]
        command += ["--save", "", "--appendonly", "no", "--dbfilename", f"{secrets.token_hex(8)}.rdb"]
        command += ["--dir", tempfile.gettempdir()]
        self._process = processes.start(command, subprocess.DEVNULL, forks=False)
        if not eventually(self._answers, within=5.0):
            raise RuntimeError(f"redis-server did not answer on port {self.port}")

    def stop(self) -> None:
        """Stop it as a service manager would (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections stay open, nothing is answered."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after pause()."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Stop it and start it again on the same port, empty."""
        self.stop()
        self.start()

    def heal(self) -> None:
        """Make it run and answer again, whatever a test has done to it."""
        if self._process is not None:
            self.resume()
        self.start()

    def destroy(self) -> None:
        """End it; it has no files."""
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "redis-server does not run"
        self._process.signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.signal(number)
            self._process.wait(_STOP_SECONDS)
            self._process.kill()
            self._process = None

    def _answers(self) -> bool:
        with self.client() as connection:
            try:
                return bool(connection.ping())
            except redis.RedisError:
                return False
