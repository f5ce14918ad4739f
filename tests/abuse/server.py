"""The server under abuse: its process, and what the kernel tells of it."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import time
from pathlib import Path

START_SECONDS = 20.0
STOP_SECONDS = 20.0
PAGE = os.sysconf("SC_PAGE_SIZE")


class Server:
    def __init__(self, process: asyncio.subprocess.Process, port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self._log = log

    @staticmethod
    async def start(command: list[str], log: Path, files_max: int | None) -> Server:
        """'command' listens on any free port, and says on which."""

        def limit_files() -> None:
            if files_max is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files_max, files_max))

        with log.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=stderr, preexec_fn=limit_files
            )
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        found = re.search(rb":(\d+)/\n", line)
        assert found, f"it does not listen: {line!r} {log.read_text()}"
        return Server(process, int(found[1]), log)

    def is_alive(self) -> bool:
        return self.process.returncode is None

    def memory(self) -> int:
        """Resident bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * PAGE

    def files(self) -> int:
        """Open descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def queued(self) -> int:
        """Bytes that the kernel holds on its connections: what a client has not taken, or the server."""
        address = f"0100007F:{self.port:04X}"
        size = 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            words = line.split()
            if words[1] == address:
                size += sum(int(queue, 16) for queue in words[4].split(":"))
        return size

    def log_size(self) -> int:
        return self._log.stat().st_size

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-2000:]

    async def until_files(self, n_max: int, seconds: float) -> int:
        """Wait until no more descriptors are open; returns how many there are in the end."""
        give_up = time.monotonic() + seconds
        while (n := self.files()) > n_max and time.monotonic() < give_up:
            await asyncio.sleep(0.02)
        return n

    async def stop(self) -> int:
        """Its exit code."""
        if self.is_alive():
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), STOP_SECONDS)

    async def end(self) -> None:
        if self.is_alive():
            self.process.kill()
        await self.process.wait()
