"""What a message costs as nodes and devices become more; see bench/scale.

Costs are differences: the same load runs twice, with few messages and with many, and what the second run took
more is divided by the messages that it had more. So neither how everything starts and stops nor what idle
nodes do counts much. CPU times are those that the kernel counts for each thread, so a busy machine changes
them less than it changes rates.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from comparison.plan import CHATD, CHATLOAD
from comparison.run import READY_SECONDS, redis_server
from redis import Redis
from websockets.asyncio.client import connect

BODY = 100  # bytes of a message
RUN_SECONDS = 60
PING_SECONDS = 25  # chatd pings an idle connection once in these
SETTLE_SECONDS = 2  # after the crowd has come; so no ping falls on an edge of what is measured

Counts = dict[str, int]  # calls of each of Redis' commands


@dataclass(frozen=True)
class Load:
    """chatload's options, how many of its connections ask, and how often each does in the two runs."""

    options: str
    n_senders: int
    few: int
    many: int


def pairs(few: int, many: int, connections: int = 60) -> Load:
    return Load(f"--window 16 --connections {connections} pairs", connections, few, many)


def fanout(devices: int, n_senders: int, few: int, many: int) -> Load:
    connections = n_senders * (devices + 1)
    return Load(f"--window 16 --connections {connections} --devices {devices} fanout", n_senders, few, many)


@dataclass
class Service:
    """Nodes on one Redis."""

    redis: Redis
    redis_pid: int
    ports: list[int]
    pids: list[int]

    def calls(self) -> Counts:
        """Those inside scripts are among them."""
        stats = self.redis.info("commandstats")
        return {name.removeprefix("cmdstat_"): int(row["calls"]) for name, row in stats.items()}

    def memory(self) -> int:
        return int(self.redis.info("memory")["used_memory"])

    def own_memory(self) -> int:
        """What all nodes have in memory."""
        pages = (int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids)
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")


@dataclass
class Cost:
    """Of one request."""

    chatd_us: float  # all nodes' together
    redis_us: float
    per_s: float  # as fast as it went
    calls: dict[str, float] = field(default_factory=dict)  # of Redis' commands


# ---- Nodes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def service(n_nodes: int, history: bool) -> Iterator[Service]:
    features = "broadcast,nodes,history" if history else "broadcast,nodes"
    with redis_server() as (url, redis_pid):
        ports = [free_port() for _ in range(n_nodes)]
        command = f"{CHATD} --redis {url} --features {features}"
        nodes = [
            subprocess.Popen(shlex.split(command.replace("{port}", str(port))), stdout=subprocess.DEVNULL)
            for port in ports
        ]
        try:
            for port in ports:
                wait_until_ready(port)
            yield Service(Redis.from_url(url), redis_pid, ports, [node.pid for node in nodes])
        finally:
            for node in nodes:
                node.terminate()
            for node in nodes:
                node.wait(READY_SECONDS)


def cpu_us(pid: int) -> float:
    """That all its threads have run."""
    rows = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(row.read_text().split()[0]) for row in rows) / 1000


# ---- What requests cost


@dataclass
class Run:
    chatd_us: float
    redis_us: float
    calls: Counts
    per_s: float


def run_once(nodes: Service, load: Load, n_messages: int) -> Run:
    urls = [word for port in nodes.ports for word in ("--url", f"ws://127.0.0.1:{port}/")]
    command = [str(CHATLOAD), "--json", "-", *urls, "--body", str(BODY), "--messages", str(n_messages)]
    calls, redis_us = nodes.calls(), cpu_us(nodes.redis_pid)
    chatd_us = sum(map(cpu_us, nodes.pids))
    done = subprocess.run(
        [*command, *load.options.split()], capture_output=True, text=True, timeout=RUN_SECONDS, check=False
    )
    if done.returncode != 0:
        sys.exit(f"chatload {load.options}: {done.stderr.strip()}")
    chatd_us = sum(map(cpu_us, nodes.pids)) - chatd_us
    redis_us = cpu_us(nodes.redis_pid) - redis_us
    grown = {name: n - calls.get(name, 0) for name, n in nodes.calls().items()}
    return Run(chatd_us, redis_us, grown, float(json.loads(done.stdout)["messages_per_s"]))


def cost(nodes: Service, load: Load) -> Cost:
    few, many = (run_once(nodes, load, n) for n in (load.few, load.many))
    n = (load.many - load.few) * load.n_senders
    calls = {name: (count - few.calls.get(name, 0)) / n for name, count in many.calls.items()}
    return Cost(
        (many.chatd_us - few.chatd_us) / n,
        (many.redis_us - few.redis_us) / n,
        many.per_s,
        {name: round(value, 2) for name, value in calls.items() if value >= 0.01},
    )


# ---- What connections cost


async def signed(port: int, uid: str) -> AsyncExitStack:
    """A connection that has signed; it ends when the stack is closed."""
    stack = AsyncExitStack()
    connection = await stack.enter_async_context(connect(f"ws://127.0.0.1:{port}/", compression=None))
    await connection.send(json.dumps({"type": "sign", "uid": uid}))
    assert json.loads(await connection.recv())["status"] == 1
    return stack


@asynccontextmanager
async def crowd(nodes: Service, n: int) -> AsyncIterator[None]:
    """So many users, with one device each, that ask for nothing more."""
    stacks: list[AsyncExitStack] = []
    for i in range(0, n, 100):
        some = (signed(nodes.ports[k % len(nodes.ports)], f"user-{k:06}") for k in range(i, min(i + 100, n)))
        stacks += await asyncio.gather(*some)
    try:
        yield
    finally:
        for stack in stacks:
            await stack.aclose()


@dataclass
class Idle:
    """In a minute."""

    node_calls: float  # of each node, whatever it holds
    connection_calls: float
    connection_chatd_us: float
    connection_redis_us: float
    redis_bytes: float  # that it holds for a connection
    chatd_bytes: float
    calls: dict[str, float]


async def watch(nodes: Service, seconds: float) -> Run:
    calls, redis_us = nodes.calls(), cpu_us(nodes.redis_pid)
    chatd_us = sum(map(cpu_us, nodes.pids))
    await asyncio.sleep(seconds)
    chatd_us = sum(map(cpu_us, nodes.pids)) - chatd_us
    redis_us = cpu_us(nodes.redis_pid) - redis_us
    return Run(chatd_us, redis_us, {name: n - calls.get(name, 0) for name, n in nodes.calls().items()}, 0)


async def idle(nodes: Service, n: int, seconds: float) -> Idle:
    async with crowd(nodes, n // 10):
        pass  # buffers have grown
    alone = await watch(nodes, seconds)
    redis_bytes, chatd_bytes = nodes.memory(), nodes.own_memory()
    async with crowd(nodes, n):
        redis_bytes, chatd_bytes = nodes.memory() - redis_bytes, nodes.own_memory() - chatd_bytes
        await asyncio.sleep(SETTLE_SECONDS)
        beside = await watch(nodes, seconds)
    each = 60 / seconds / n
    calls = {name: (count - alone.calls.get(name, 0)) * each for name, count in beside.calls.items()}
    calls = {name: round(value, 2) for name, value in calls.items() if value >= 0.05}
    return Idle(
        sum(alone.calls.values()) * 60 / seconds / len(nodes.ports),
        sum(calls.values()),
        (beside.chatd_us - alone.chatd_us) * each,
        (beside.redis_us - alone.redis_us) * each,
        redis_bytes / n,
        chatd_bytes / n,
        calls,
    )


@dataclass
class Stored:
    """Bytes that Redis holds."""

    message: float
    inbox: float  # of each uid besides its messages
    cid: float


async def stored(nodes: Service, n_messages: int) -> Stored:
    """Two users have written to each other; then a message has a cid."""
    nodes.redis.flushall()
    run_once(nodes, pairs(0, 0, connections=2), n_messages)
    inboxes = list(nodes.redis.scan_iter("chat_inbox:*"))
    states = list(nodes.redis.scan_iter("chat_inbox_state:*"))
    n_stored = sum(nodes.redis.xlen(key) for key in inboxes)
    async with connect(f"ws://127.0.0.1:{nodes.ports[0]}/", compression=None) as connection:
        for request in (
            {"type": "sign", "uid": "1001"},
            {"type": "msg", "to": "1002", "body": "", "cid": "b8a3c1d05e7f"},
        ):
            await connection.send(json.dumps(request))
            assert json.loads(await connection.recv())["status"] == 1
    cids = list(nodes.redis.scan_iter("chat_dup:*"))
    return Stored(
        size_of(nodes, inboxes) / n_stored, size_of(nodes, states) / len(states), size_of(nodes, cids)
    )


def size_of(nodes: Service, keys: list[bytes]) -> float:
    return float(sum(nodes.redis.memory_usage(key, samples=0) or 0 for key in keys))


# ---- All of it


@dataclass(frozen=True)
class Size:
    """How much of everything: the figures get steadier with it."""

    factor: int  # messages
    idle_connections: int
    idle_seconds: float


WHOLE, QUICK = Size(4, 1500, PING_SECONDS), Size(1, 500, 3)
# Both nodes of a pair are never the same, and a user's devices are spread over all of them.
NODES, DEVICES, N_SPREAD = (1, 2, 3), {1: 30, 8: 12, 64: 4}, 3
INBOX_MAX = 1000  # messages, chatd's default


@dataclass
class Figures:
    load_average: float
    costs: dict[str, Cost] = field(default_factory=dict)
    idle: dict[str, Idle] = field(default_factory=dict)
    stored: Stored | None = None


def measure(size: Size) -> Figures:
    figures = Figures(os.getloadavg()[0])
    many = 200 * size.factor
    for history in (False, True):
        suffix = ", history" if history else ""
        for n in NODES:
            with service(n, history) as nodes:
                costs = {f"msg, {n} node{'s' * (n > 1)}": pairs(50, 50 + many)}
                if n == 1:
                    costs["sign"] = Load("--connections 50 --window 1 sign", 50, 50, 50 + many // 4)
                if n == 1 and history:
                    full = INBOX_MAX + 200
                    costs["msg, 1 node, inbox full"] = pairs(full, full + many, connections=20)
                if n == N_SPREAD:
                    for devices, n_senders in DEVICES.items():
                        load = fanout(devices, n_senders, 20, 20 + many // 2)
                        costs[f"msg to {devices} device{'s' * (devices > 1)}, {n} nodes"] = load
                    if not history:
                        broadcasts = Load("--window 4 --connections 60 broadcast", 1, 20, 20 + many)
                        costs["broadcast to 60, 3 nodes"] = broadcasts
                for name, load in costs.items():
                    figures.costs[name + suffix] = show(name + suffix, cost(nodes, load))
                if n == 1 and history:
                    nodes.redis.config_set("appendonly", "yes")
                    name = "msg, 1 node, appendonly everysec, history"
                    figures.costs[name] = show(name, cost(nodes, pairs(50, 50 + many)))
        with service(1, history) as nodes:
            found = asyncio.run(idle(nodes, size.idle_connections, size.idle_seconds))
            figures.idle[f"idle{suffix}"] = found
            if history:
                figures.stored = asyncio.run(stored(nodes, INBOX_MAX // 2))
    return figures


def show(name: str, found: Cost) -> Cost:
    """So that whoever waits sees something."""
    print(f"{name:42} {found.chatd_us:8.1f} {found.redis_us:8.1f} {found.per_s:10,.0f}", file=sys.stderr)
    return found


def words(calls: dict[str, float]) -> str:
    return ", ".join(
        f"{name} {value:g}" for name, value in sorted(calls.items(), key=lambda call: (-call[1], call[0]))
    )


def tables(figures: Figures) -> list[str]:
    lines = [
        "| one | chatd, us | Redis, us | a second | commands of Redis |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for name, found in figures.costs.items():
        cells = (f"{found.chatd_us:.1f}", f"{found.redis_us:.1f}", f"{found.per_s:,.0f}", words(found.calls))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "| a minute of | commands of a node | of it | chatd, us | Redis, us | bytes there | in chatd |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, quiet in figures.idle.items():
        times = f"{quiet.connection_chatd_us:.0f} | {quiet.connection_redis_us:.0f}"
        calls = f"{quiet.connection_calls:.1f}: {words(quiet.calls)}"
        held = f"{quiet.redis_bytes:.0f} | {quiet.chatd_bytes:.0f}"
        lines.append(f"| {name} | {quiet.node_calls:.0f} | {calls} | {times} | {held} |")
    if figures.stored is not None:
        kept = figures.stored
        lines += [
            "",
            "| what Redis holds | bytes |",
            "| --- | ---: |",
            f"| a message of {BODY} bytes, stored | {kept.message:.0f} |",
            f"| the state of an inbox | {kept.inbox:.0f} |",
            f"| a cid, for 5 minutes | {kept.cid:.0f} |",
        ]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/scale", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="in less than a minute, and coarse")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures, besides the tables")
    arguments = parser.parse_args()
    began = time.monotonic()
    figures = measure(QUICK if arguments.quick else WHOLE)
    print("\n".join(tables(figures)))
    print(f"\nload average {figures.load_average:.1f} before; {time.monotonic() - began:.0f} s")
    if arguments.json:
        arguments.json.write_text(json.dumps(dataclasses.asdict(figures), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
