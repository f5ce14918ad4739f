"""The processes that are broken: nodes and one redis-server, each with its port, log and data."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import socket
import tempfile
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

import redis.asyncio as redis
from chatcheck.ports import free_port

from chaos.excuses import node_name

START_SECONDS = 20.0
STOP_SECONDS = 20.0
POLL_SECONDS = 0.02
FAST_BYTES_MIN = 4 << 30
UNSYNCED_SECONDS = 1.0  # appendfsync everysec


class Child:
    """A process that can be killed, frozen and started again. 'died' is told when it ends by itself."""

    def __init__(self, name: str, command: list[str], log: Path, died: Callable[[str], None]) -> None:
        self.name = name
        self._command = command
        self._log = log
        self._died = died
        self._process: asyncio.subprocess.Process | None = None
        self._watch: asyncio.Task[None] | None = None
        self._is_expected = False

    @property
    def pid(self) -> int:
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Nothing happens if it runs."""
        if self._process is not None:
            return
        self._is_expected = False
        with self._log.open("ab") as log:
            log.write(f"---- {self.name} starts\n".encode())
            log.flush()
            nothing = asyncio.subprocess.DEVNULL
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=nothing, stdout=nothing, stderr=log, start_new_session=True
            )
        self._watch = asyncio.get_running_loop().create_task(self._wait(self._process))

    async def _wait(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        if not self._is_expected:
            self._process = None
            self._died(f"{self.name} ended by itself with {code}, see {self._log.name}")

    async def kill(self) -> None:
        await self._end(signal.SIGKILL)

    async def end(self) -> int | None:
        """As a service manager would. Returns its exit code."""
        return await self._end(signal.SIGTERM)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            os.kill(self._process.pid, number)

    async def _end(self, number: signal.Signals) -> int | None:
        process = self._process
        if process is None:
            return None
        self._is_expected = True
        self._process = None
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
        try:
            return await asyncio.wait_for(process.wait(), STOP_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            self._died(f"{self.name} did not end within {STOP_SECONDS:.0f} s of being told to")
            return None


class Node(Child):
    """A server. 'template' is its command, with {port}, {redis} and {name}."""

    def __init__(
        self, number: int, template: str, redis_port: int, folder: Path, died: Callable[[str], None]
    ) -> None:
        self.port = free_port()
        self.node_name = node_name(number)
        values = {"port": str(self.port), "redis": f"redis://127.0.0.1:{redis_port}", "name": self.node_name}
        command = [word.format(**values) for word in shlex.split(template)]
        super().__init__(f"node {number}", command, folder / f"node-{number}.log", died)

    async def until_ready(self) -> None:
        await until_listens(self.port)


def fast_folder() -> str | None:
    """Where a disk that others use, too, does not decide how fast Redis is: in memory, if there is room.

    What is killed loses nothing that it has written, wherever that is; lose_power() is for the rest.
    """
    memory = "/dev/shm"
    is_there = os.path.isdir(memory) and os.access(memory, os.W_OK)
    return memory if is_there and shutil.disk_usage(memory).free > FAST_BYTES_MIN else None


class RedisServer(Child):
    """redis-server that finds its data again after a restart. The log is in 'folder'."""

    def __init__(self, appendfsync: str, folder: Path, died: Callable[[str], None]) -> None:
        self.port = free_port()
        self.appendfsync = appendfsync
        data = Path(tempfile.mkdtemp(prefix="chatref-chaos-", dir=fast_folder()))
        command = f"redis-server --port {self.port} --bind 127.0.0.1 --save ''"
        command += f" --logfile {shlex.quote(str(folder / 'redis.log'))} --dir {shlex.quote(str(data))}"
        if appendfsync == "none":
            command += " --appendonly no"
        else:
            command += f" --appendonly yes --appendfsync {appendfsync}"
        super().__init__("redis", shlex.split(command), folder / "redis-stderr.log", died)
        self._data = data
        self._sizes: deque[tuple[float, int]] = deque()  # of its file, when

    async def watch(self) -> None:
        """Remember how long its file was, for lose_power()."""
        while True:
            now = time.monotonic()
            self._sizes.append((now, sum(path.stat().st_size for path in self._files())))
            while self._sizes[0][0] < now - UNSYNCED_SECONDS:
                self._sizes.popleft()
            await asyncio.sleep(POLL_SECONDS)

    async def lose_power(self) -> None:
        """Kill it, and with it what it wrote in the last second: everysec has not forced it to disk yet."""
        await self.kill()
        for path in self._files():
            os.truncate(path, min(path.stat().st_size, self._sizes[0][1]))

    def _files(self) -> list[Path]:
        return list(self._data.glob("appendonlydir/*.incr.aof"))

    def remove_data(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)

    def client(self) -> redis.Redis:
        """A connection to it that no link carries. Answers are bytes."""
        return redis.Redis(port=self.port, socket_timeout=5)

    async def until_ready(self) -> None:
        async with self.client() as client:
            give_up = time.monotonic() + START_SECONDS
            while True:
                with contextlib.suppress(redis.RedisError, OSError):
                    await client.ping()
                    return
                if time.monotonic() > give_up:
                    raise RuntimeError("redis-server does not answer")
                await asyncio.sleep(POLL_SECONDS)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


async def until_listens(port: int) -> None:
    give_up = time.monotonic() + START_SECONDS
    while not _listens(port):
        if time.monotonic() > give_up:
            raise RuntimeError(f"nobody listens on port {port}; see the logs beside the journals")
        await asyncio.sleep(POLL_SECONDS)
