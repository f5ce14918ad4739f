"""One abuse from beginning to end: the server alone with the pair, then under abuse, then after it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from chaos.processes import RedisServer
from chaos.proxy import Links
from chatcheck.ports import free_port

from abuse.field import MIB, Abuse, Field
from abuse.pair import Figures, PairProcess
from abuse.server import Server

QUIET_SECONDS = 0.8
SAMPLE_SECONDS = 0.02
FILES_SECONDS = 15.0  # for connections that ended to be gone
LOG_MAX = 16384  # bytes that it may bring


@dataclass
class Outcome:
    name: str
    what: str
    amount: str
    quiet: Figures
    abused: Figures
    after: Figures
    memory_before: int
    memory_peak: int
    memory_after: int
    memory_max: int  # above what it was before
    log_bytes: int

    def line(self) -> str:
        return (
            f"{self.name}: {self.amount}; the pair's p50/p99 in ms {_times(self.quiet)} before, "
            f"{_times(self.abused)} meanwhile, {_times(self.after)} after; {self.abused['refused']} of "
            f"{self.abused['sent']} refused; memory in MiB {_mib(self.memory_before)} before, "
            f"{_mib(self.memory_peak)} at most (allowed {_mib(self.memory_before + self.memory_max)}), "
            f"{_mib(self.memory_after)} after; {self.log_bytes} bytes of log"
        )


def _times(figures: Figures) -> str:
    return f"{figures['p50']:.1f}/{figures['p99']:.1f}"


def _mib(size: int) -> str:
    return f"{size / MIB:.1f}"


class Peak:
    """The most memory that the server had since."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.size = 0

    async def watch(self) -> None:
        while self._server.is_alive():
            self.size = max(self.size, self._server.memory())
            await asyncio.sleep(SAMPLE_SECONDS)


@contextlib.asynccontextmanager
async def redis_of_its_own(folder: Path) -> AsyncIterator[tuple[RedisServer, Links, int]]:
    """And the port of the way to it, which can be made slow."""

    def died(why: str) -> None:
        raise RuntimeError(why)

    redis = RedisServer("none", folder, died)
    await redis.start()
    await redis.until_ready()
    port = free_port()
    links = await Links.start(redis.port, [port])
    try:
        yield redis, links, port
    finally:
        await links.end()
        await redis.kill()


async def run(abuse: Abuse, chatd: Path, chatload: Path, is_full: bool) -> Outcome:
    """AssertionError says which bound was not kept."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chatref-abuse.")))
        command = [str(chatd), "--listen", "127.0.0.1:0", *abuse.flags]
        redis, links = None, None
        if abuse.redis:
            redis, links, port = await stack.enter_async_context(redis_of_its_own(folder))
            command += ["--redis", f"redis://127.0.0.1:{port}"]
        server = await Server.start(command, folder / "chatd.log", abuse.files_max)
        stack.push_async_callback(server.end)
        field = Field(server, chatload, is_full, redis, links)
        return await _judge(abuse, field, stack)


async def _judge(abuse: Abuse, field: Field, stack: contextlib.AsyncExitStack) -> Outcome:
    server = field.server
    pair = await PairProcess.start(server.port, abuse.rate)
    stack.push_async_callback(pair.end)
    await asyncio.sleep(QUIET_SECONDS)
    quiet = await pair.end_phase()
    memory_before, files_before, log_before = server.memory(), server.files(), server.log_size()
    peak = Peak(server)
    async with field.meanwhile(peak.watch()):
        try:
            amount = await abuse.go(field)
        except Exception as error:
            raise AssertionError(f"{error!r}; alive: {server.is_alive()}\n{server.log_tail()}") from error
        abused = await pair.end_phase()
        for client in field.clients:
            client.close()
        n_files = await server.until_files(files_before, FILES_SECONDS)
    await pair.end_phase()
    await asyncio.sleep(QUIET_SECONDS)
    after = await pair.end_phase()
    outcome = Outcome(
        abuse.name, abuse.what, amount, quiet, abused, after, memory_before, peak.size, server.memory(),
        abuse.memory_max(field), server.log_size() - log_before,
    )  # fmt: skip
    print(outcome.line(), flush=True)
    await pair.end()
    await _nothing_is_left(field, n_files, files_before)
    _keeps_its_bounds(abuse, outcome)
    return outcome


def _keeps_its_bounds(abuse: Abuse, outcome: Outcome) -> None:
    assert outcome.abused["sent"] > 0
    assert outcome.abused["p99"] <= abuse.p99_max_ms, "the pair was held up"
    assert abuse.is_lasting or outcome.after["refused"] == 0, "the pair is still refused when it is over"
    assert abuse.may_refuse or outcome.abused["refused"] == 0, "the pair was refused"
    assert outcome.memory_peak <= outcome.memory_before + outcome.memory_max, (
        "it took more memory than it may"
    )
    assert outcome.log_bytes <= LOG_MAX, "it wrote too much into the log"


async def _nothing_is_left(field: Field, n_files: int, files_before: int) -> None:
    assert n_files <= files_before, f"{n_files - files_before} descriptors are left"
    if field.redis is not None:
        await field.server.until_files(files_before - 2, FILES_SECONDS)  # the pair has gone, too
        async with field.redis.client() as client:
            keys = [key async for key in client.scan_iter("chat_map_*", count=10000)]
        assert not keys, f"{len(keys)} keys are left in Redis, such as {keys[0]!r}"
    assert await field.server.stop() == 0, field.server.log_tail()
