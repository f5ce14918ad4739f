"""Does what the schedule says to nodes, links, Redis and clients, and writes down when it held."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Sequence

import redis.asyncio as redis
from redis.exceptions import RedisError

from chaos.device import Common, Device
from chaos.excuses import tag_of
from chaos.journal import Fault, Look
from chaos.processes import Node, RedisServer
from chaos.proxy import Links, State, whole
from chaos.schedule import Planned

TRACES_SECONDS = 30.0  # NODE-6: after so long a dead node has left no traces
MANY_CLIENTS = 0.1  # of all clients are hit at once, at most


class Breaker:
    def __init__(
        self,
        nodes: Sequence[Node],
        redis_server: RedisServer,
        links: Links,
        devices: Sequence[Device],
        common: Common,
    ) -> None:
        self._nodes = nodes
        self._redis = redis_server
        self._links = links
        self._devices = devices
        self._common = common
        self._turns: dict[str, asyncio.Lock] = {}
        self._hurry = asyncio.Event()  # nothing lasts any longer
        self.faults: list[Fault] = []
        self.looks: list[Look] = []

    async def run(self, planned: Planned) -> None:
        """From its beginning until it is healed. Faults of one target wait for each other."""
        kind, _, what = planned.kind.partition("-")
        if kind == "client":
            await self._clients(planned, what)
            return
        async with self._turns.setdefault(planned.target, asyncio.Lock()):
            if kind == "node":
                await self._node(planned, what)
            elif kind == "link":
                await self._link(planned, what)
            else:
                await self._store(planned)

    def heal_soon(self) -> None:
        """All that is broken is healed now, and what is broken from now on at once."""
        self._hurry.set()

    async def _during(
        self,
        planned: Planned,
        begin: Callable[[], Awaitable[object]],
        heal: Callable[[], Awaitable[object]],
        lasts: float | None = None,
    ) -> Fault:
        began = self._common.now()
        await begin()
        effective = self._common.now()
        await self._pause(planned.lasts if lasts is None else lasts)
        healing = self._common.now()
        await heal()
        fault = Fault(
            planned.kind, planned.target, began, effective, healing, self._common.now(), planned.detail
        )
        self.faults.append(fault)
        return fault

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._hurry.wait()

    # -- Nodes

    async def _node(self, planned: Planned, what: str) -> None:
        node = self._nodes[int(planned.target.split()[1])]
        if what == "stop":
            await self._during(planned, _now(node.freeze), _now(node.thaw))
            return
        traces = await self._traces_of(node)

        async def heal() -> None:
            await self._look_for_traces(node, traces, planned.lasts)
            await node.start()
            with contextlib.suppress(RuntimeError):
                await node.until_ready()

        await self._during(planned, node.kill if what == "kill" else node.end, heal)

    async def _traces_of(self, node: Node) -> list[str]:
        """The fds that stand in Redis as the node's, which names itself anew at each start."""
        fds: list[str] = []
        with contextlib.suppress(RedisError, OSError):
            async with self._redis.client() as client:
                async for key in client.scan_iter(f"chat_map_fd_uid:{node.node_name}-*", count=1000):
                    fds.append(key.decode().partition(":")[2])
        return fds

    async def _look_for_traces(self, node: Node, fds: list[str], lasted: float) -> None:
        """NODE-6, if it was dead for long enough, and Redis there for the others all the while."""
        now = self._common.now()
        is_long = lasted > TRACES_SECONDS and not self._hurry.is_set()
        if not is_long or any(
            fault.healed > now - lasted for fault in self.faults if _touches_others(fault, node)
        ):
            return
        with contextlib.suppress(RedisError, OSError):
            async with self._redis.client() as client:
                left = [fd for fd in fds if await client.exists(f"chat_map_fd_uid:{fd}")]
                self._common.counts["dead nodes looked at"] += 1
                if left:
                    what = f"{node.name}, dead for {lasted:.0f} s, has left {len(left)} of {len(fds)} fds"
                    self.looks.append(Look(now, "traces", what))

    # -- Links

    async def _link(self, planned: Planned, what: str) -> None:
        number = int(planned.target.split()[1])
        broken, healed = whole(number), whole(number)
        if what == "cut":
            cut, heal = planned.detail.split()
            broken["up"], broken["down"] = cut == "down", cut == "up"
            healed["reset"] = heal == "reset"
        elif what == "refuse":
            broken["refuse"] = True
        elif what == "delay":
            broken["delay"] = float(planned.detail)
        else:
            broken["reset"] = True
        await self._during(planned, self._change(broken), self._change(healed))

    def _change(self, state: State) -> Callable[[], Awaitable[object]]:
        return lambda: self._links.change(state)

    # -- Redis

    async def _store(self, planned: Planned) -> None:
        if planned.kind in ("redis-kill", "redis-power"):

            async def heal() -> None:
                await self._redis.start()
                await self._redis.until_ready()

            end = self._redis.kill if planned.kind == "redis-kill" else self._redis.lose_power
            await self._during(planned._replace(detail=self._redis.appendfsync), end, heal)
        elif planned.kind == "redis-stop":
            await self._during(planned, _now(self._redis.freeze), _now(self._redis.thaw))
        else:
            async with self._redis.client() as client:
                if planned.kind == "flushall":
                    await self._during(planned, client.flushall, _nothing)
                elif planned.kind == "script-flush":
                    await self._during(planned, client.script_flush, _nothing)
                else:
                    await self._delete(planned, client)

    async def _delete(self, planned: Planned, client: redis.Redis) -> None:
        keys = [key.decode() async for key in client.scan_iter(planned.detail, count=1000)]
        if not keys:
            return
        key = random.Random(planned.seed).choice(sorted(keys))
        whose = next((uid for uid in self._common.uids if key == f"chat_inbox:{tag_of(uid)}"), "")
        await self._during(planned._replace(target=key, detail=whose), lambda: client.delete(key), _nothing)

    # -- Clients

    async def _clients(self, planned: Planned, what: str) -> None:
        chance = random.Random(planned.seed)
        share = float(planned.detail or chance.uniform(0, MANY_CLIENTS))
        n = max(1, int(len(self._devices) * share))
        chosen = chance.sample(self._devices, n)

        async def begin() -> None:
            for device in chosen:
                if what == "reset":
                    device.reset()
                elif what == "away":
                    device.go_away()
                else:
                    device.pause(is_slow=what == "slow")

        async def heal() -> None:
            for device in chosen:
                if what == "away":
                    device.return_home()
                else:
                    device.recover()

        numbers = " ".join(str(device.who.client) for device in chosen)
        await self._during(planned._replace(detail=numbers), begin, heal if what != "reset" else _nothing)


def _touches_others(fault: Fault, node: Node) -> bool:
    return fault.kind.startswith(("node", "link", "redis")) and fault.target != node.name


def _now(act: Callable[[], None]) -> Callable[[], Awaitable[object]]:
    async def run() -> None:
        act()

    return run


async def _nothing() -> None:
    pass
