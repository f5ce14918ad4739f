"""One run: everything is started, broken for a while, healed and drained; what is left is journals."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chatcheck.ports import free_port

from chaos.breaker import Breaker
from chaos.device import Common, Device, everybody, fence_of
from chaos.journal import Look, World, Writer, write_world
from chaos.processes import Child, Node, RedisServer, until_listens
from chaos.proxy import Links
from chaos.schedule import Planned

TICK_SECONDS = 0.02
SETTLE_SECONDS = 60.0  # for everybody to be signed and to have an answer to everything
TRACES_SECONDS = 30.0  # STORE-8, NODE-6: until Redis holds what is true again
POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Plan:
    """What a run is to be."""

    command: str  # a node's, with {port}, {redis} and {name}
    nodes: int
    clients: int
    rate: float  # new messages a second, of all clients together
    seconds: float  # at least
    messages: int  # at least
    n_faults: int  # at least
    seconds_max: float  # at most
    appendfsync: str
    seed: int
    folder: Path
    sabotage: str = ""  # what is done wrong before node 0
    one_in: int = 1000  # deliveries
    is_quiet: bool = False


@dataclass(frozen=True)
class Course:
    """What a run was."""

    world: World
    counts: Counter[str]
    seconds: float


class Run:
    def __init__(self, plan: Plan, faults: Iterator[Planned]) -> None:
        self._plan = plan
        self._planned = faults
        self._looks: list[Look] = []
        people = everybody(plan.clients)
        uids = sorted({who.uid for who in people})
        self._common = Common([], uids, time.monotonic())
        self._writers = [Writer(plan.folder, who) for who in people]
        self._devices = [
            Device(who, self._common, writer, f"{plan.seed} {who.client}")
            for who, writer in zip(people, self._writers, strict=True)
        ]
        self._tasks: set[asyncio.Task[None]] = set()

    async def go(self) -> Course:
        self._redis = RedisServer(self._plan.appendfsync, self._plan.folder, self._died)
        self._nodes: list[Node] = []
        self._links: Links | None = None
        self._saboteur: Child | None = None
        try:
            await self._start()
            await self._break_everything()
            await self._finish()
        finally:
            await self._end()
        world = World(tuple(self._breaker.faults), tuple(self._looks + self._breaker.looks), self._plan.seed)
        write_world(self._plan.folder, world)
        return Course(world, self._common.counts, self._common.now())

    def _died(self, what: str) -> None:
        self._looks.append(Look(self._common.now(), "alive", what))

    def say(self, text: str) -> None:
        if not self._plan.is_quiet:
            print(f"{self._common.now():7.1f} s  {text}", flush=True)

    # -- Its beginning

    async def _start(self) -> None:
        await self._redis.start()
        await self._redis.until_ready()
        ports = [free_port() for _ in range(self._plan.nodes)]
        self._links = await Links.start(self._redis.port, ports)
        for number, port in enumerate(ports):
            node = Node(number, self._plan.command, port, self._plan.folder, self._died)
            self._nodes.append(node)
            await node.start()
        for node in self._nodes:
            await node.until_ready()
        self._common.ports[:] = [node.port for node in self._nodes]
        if self._plan.sabotage:
            self._common.ports[0] = await self._start_saboteur()
        self._spawn(self._redis.watch())
        self._breaker = Breaker(self._nodes, self._redis, self._links, self._devices, self._common)
        for device in self._devices:
            self._spawn(device.live())
        self._spawn(self._tick())
        await self._until(lambda: all(device.is_signed for device in self._devices), SETTLE_SECONDS)
        self.say(f"{len(self._devices)} clients are signed on {len(self._nodes)} nodes")

    async def _start_saboteur(self) -> int:
        port, plan = free_port(), self._plan
        words = (str(self._nodes[0].port), str(port), plan.sabotage, str(plan.one_in), str(plan.seed))
        self._saboteur = Child(
            "saboteur",
            [sys.executable, "-m", "chaos.saboteur", *words],
            plan.folder / "saboteur.log",
            self._died,
        )
        await self._saboteur.start()
        await until_listens(port)
        return port

    def _spawn(self, coroutine: object) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(coroutine)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _tick(self) -> None:
        """Give all clients their share of the rate."""
        before = time.monotonic()
        while True:
            now = time.monotonic()
            share = self._plan.rate * (now - before) / len(self._devices)
            before = now
            for device in self._devices:
                device.tick(share)
            await asyncio.sleep(TICK_SECONDS)

    # -- Its middle

    async def _break_everything(self) -> None:
        began = time.monotonic()
        running: set[asyncio.Task[None]] = set()
        for n_faults, planned in enumerate(self._planned):
            if self._is_enough(time.monotonic() - began, n_faults):
                break
            await asyncio.sleep(planned.after)
            self.say(f"#{n_faults + 1} {planned}; {self._progress()}")
            task = self._spawn(self._breaker.run(planned))
            running.add(task)
            for task in [task for task in running if task.done()]:
                running.discard(task)
                task.result()
        self.say(f"no more faults; {self._progress()}")
        for device in self._devices:
            device.may_send = False
        self._breaker.heal_soon()
        if running:
            await asyncio.gather(*running)

    def _is_enough(self, seconds: float, n_faults: int) -> bool:
        plan = self._plan
        is_done = seconds >= plan.seconds and n_faults >= plan.n_faults
        return (is_done and self._common.counts["sended"] >= plan.messages) or seconds >= plan.seconds_max

    def _progress(self) -> str:
        counts = self._common.counts
        return f"{counts['sended']:,} sended, {counts['deliveries']:,} deliveries"

    # -- Its end

    async def _finish(self) -> None:
        await self._until(self._is_answered, SETTLE_SECONDS)
        await self._everybody_returns()
        await self._check_traces()
        await asyncio.gather(*(device.leave() for device in self._devices))
        await self._look("traces", self._leftovers, "every client has closed, and Redis still holds")
        for node in self._nodes:
            code = await node.end()
            if code:
                self._died(f"{node.name} was told to end and exited with {code}")

    def _is_answered(self) -> bool:
        return all(device.is_signed and not device.n_unanswered for device in self._devices)

    async def _everybody_returns(self) -> None:
        """Each client connects anew, and sends a fence to its uid; a device that has all fences has all."""
        fences = defaultdict(set)
        for device in self._devices:
            fences[device.who.uid].add(fence_of(device.who.client))
        await asyncio.gather(*(device.come_back() for device in self._devices))
        await self._until(lambda: all(device.is_signed for device in self._devices), SETTLE_SECONDS)
        for device in self._devices:
            device.expect_fences(fences[device.who.uid])
        for device in self._devices:
            device.send_fence()
        await self._until(
            lambda: self._is_answered() and all(device.drained.is_set() for device in self._devices),
            SETTLE_SECONDS,
        )
        self.say(f"drained; {self._progress()}")
        for device in self._devices:
            if not device.drained.is_set():
                signed = "signed" if device.is_signed else "not signed"
                what = f"client {device.who.client}, {signed}, {device.n_unanswered}"
                self._looks.append(
                    Look(self._common.now(), "return", f"{what} unanswered, has not got every fence")
                )

    async def _check_traces(self) -> None:
        """As many fds as there are devices, for each uid."""
        expected = Counter(device.who.uid for device in self._devices)

        async def wrong() -> list[str]:
            async with self._redis.client() as client:
                found = {uid: await client.scard(f"chat_map_uid_fd:{uid}") for uid in expected}
                return [
                    f"{uid}: {found[uid]} fds, {n} devices" for uid, n in expected.items() if found[uid] != n
                ]

        await self._look("traces", wrong, "all clients are signed, and Redis holds")

    async def _leftovers(self) -> list[str]:
        async with self._redis.client() as client:
            keys = [key.decode() async for key in client.scan_iter("chat_map_*", count=1000)]
            return keys + [key.decode() async for key in client.scan_iter("chat_node_fds:*", count=1000)]

    async def _look(self, rule: str, look: _Looking, text: str) -> None:
        """What it finds has to be gone after a while."""
        if "{redis}" not in self._plan.command:
            return
        give_up = time.monotonic() + TRACES_SECONDS
        while found := await look():
            if time.monotonic() > give_up:
                what = f"{text} {len(found)}: {', '.join(found[:5])}"
                self._looks.append(Look(self._common.now(), rule, what))
                return
            await asyncio.sleep(POLL_SECONDS)
        self.say(f"Redis holds what it should: {text[: text.index(',')]}")

    async def _until(self, is_true: _Asking, seconds: float) -> None:
        give_up = time.monotonic() + seconds
        while not is_true() and time.monotonic() < give_up:
            await asyncio.sleep(POLL_SECONDS / 5)

    async def _end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        for child in [*self._nodes, self._redis, *([self._saboteur] if self._saboteur else [])]:
            with contextlib.suppress(ProcessLookupError):
                child.thaw()
            await child.kill()
        self._redis.remove_data()
        if self._links is not None:
            await self._links.end()
        for writer in self._writers:
            writer.close()


class _Asking(Protocol):
    def __call__(self) -> bool: ...


class _Looking(Protocol):
    async def __call__(self) -> list[str]: ...
