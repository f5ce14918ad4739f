"""What an abuse is given: the server, how much of it there is to be, and where to leave its connections."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from chaos.processes import RedisServer
from chaos.proxy import Links

from abuse.client import Client
from abuse.server import Server

MIB = 1 << 20


@dataclass
class Field:
    server: Server
    chatload: Path
    is_full: bool
    redis: RedisServer | None = None
    links: Links | None = None
    clients: list[Client] = field(default_factory=list)  # closed when the abuse is over

    @property
    def port(self) -> int:
        return self.server.port

    def count(self, small: int, full: int) -> int:
        return full if self.is_full else small

    @property
    def seconds(self) -> float:
        """How long an abuse goes on that has no number."""
        return 10.0 if self.is_full else 1.5

    def keep(self, client: Client) -> Client:
        self.clients.append(client)
        return client

    async def open_all(self, n: int, open_one: Callable[[], Awaitable[Client]]) -> None:
        """n connections, some at a time."""
        gate = asyncio.Semaphore(50)

        async def one() -> None:
            async with gate:
                self.keep(await open_one())

        async with asyncio.TaskGroup() as group:
            for _ in range(n):
                group.create_task(one())

    @contextlib.asynccontextmanager
    async def meanwhile(self, work: Awaitable[None]) -> AsyncIterator[None]:
        """Something that goes on without end while the body runs."""
        task = asyncio.ensure_future(work)
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await task

    async def for_a_while(self, *works: Callable[[], Awaitable[None]]) -> int:
        """Each again and again, side by side, until the time is over. Returns how often."""
        end = time.monotonic() + self.seconds
        n = 0

        async def again(work: Callable[[], Awaitable[None]]) -> None:
            nonlocal n
            while time.monotonic() < end:
                await work()
                n += 1

        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(again(work))
        return n


Go = Callable[[Field], Awaitable[str]]


@dataclass(frozen=True)
class Abuse:
    """'go' returns, when it is over, what it was in figures. 'memory_max' follows from the limits, and comes
    on top of what the server has before."""

    name: str
    what: str
    go: Go
    memory_max: Callable[[Field], int]
    flags: tuple[str, ...] = ()
    files_max: int | None = None
    redis: bool = False
    rate: float = 200.0  # of the pair
    p99_max_ms: float = 2000.0
    may_refuse: bool = False  # the pair's messages, as "unavailable", while it goes on
    is_lasting: bool = False  # and after it


abuses: list[Abuse] = []


def abuse(
    what: str,
    memory_max: Callable[[Field], int],
    *flags: str,
    files_max: int | None = None,
    redis: bool = False,
    rate: float = 200.0,
    p99_max_ms: float = 2000.0,
    may_refuse: bool = False,
    is_lasting: bool = False,
) -> Callable[[Go], Go]:
    """Puts the function into the list, under its own name."""

    def register(go: Go) -> Go:
        name = go.__name__.replace("_", "-")
        abuses.append(
            Abuse(
                name, what, go, memory_max, flags, files_max, redis, rate, p99_max_ms,
                may_refuse or is_lasting, is_lasting,
            )
        )  # fmt: skip
        return go

    return register
