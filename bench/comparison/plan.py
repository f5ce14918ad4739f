"""What is compared: the servers, the scenarios, and what chatd has to reach."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build"
CHATLOAD = BUILD / "release/chatload"
CHATD = f"{BUILD}/release/chatd --listen 127.0.0.1:{{port}} --log-level error"


@dataclass(frozen=True)
class Server:
    name: str
    what: str  # for the table
    command: str  # with {port}, and {redis} for a URL
    color: str


def bun() -> str:
    """Its binary stands in another place if npm did not run the package's script."""
    modules = BUILD / "peers/bun/node_modules"
    others = sorted((modules / "@oven").glob("*/bin/bun"))
    linked = modules / ".bin/bun"
    return str(linked if os.access(linked, os.X_OK) or not others else others[0])


SERVERS = {
    server.name: server
    for server in (
        Server("chatd", "chatd, Redis", f"{CHATD} --redis {{redis}}", "#1f6feb"),
        Server("chatd-memory", "chatd, memory", f"{CHATD}", "#54aeff"),
        Server(
            "chatd-history",
            "chatd, Redis, history",
            f"{CHATD} --redis {{redis}} --features history",
            "#0a3069",
        ),
        Server(
            "node", "Node: ws, ioredis", f"node {BUILD}/peers/node/server.js {{port}} {{redis}}", "#2da44e"
        ),
        Server(
            "bun",
            "Bun: its uWebSockets",
            f"{bun()} {BUILD}/peers/bun/server.js {{port}} {{redis}}",
            "#bf8700",
        ),
        Server(
            "node-memory", "Node example, memory", f"node {BUILD}/examples/node/server.js {{port}}", "#8c959f"
        ),
        Server("go-memory", "Go example, memory", f"{BUILD}/examples/chat-go -port {{port}}", "#57606a"),
    )
}

PAIRED = ("chatd", "chatd-memory", "chatd-history", "node", "bun", "node-memory", "go-memory")


@dataclass(frozen=True)
class Scenario:
    name: str
    what: str
    arguments: tuple[str, ...]  # of chatload
    servers: tuple[str, ...] = PAIRED
    figure: str = "messages_per_s"
    unit: str = "messages/s"


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("window-16", "100 connections, window 16", ("--window", "16", "pairs")),
        Scenario("window-1", "100 connections, window 1", ("pairs",)),
        Scenario(
            "1000-connections",
            "1,000 connections, window 4",
            ("--connections", "1000", "--window", "4", "pairs"),
        ),
        Scenario(
            "1-KiB",
            "100 connections, window 16, bodies of 1 KiB",
            ("--window", "16", "--body", "1024", "pairs"),
        ),
        Scenario(
            "fan-out",
            "fan-out to 8 devices, 12 senders, window 16",
            ("--window", "16", "fanout"),
            figure="deliveries_per_s",
            unit="deliveries/s",
        ),
        Scenario(
            "idle",
            "a pair beside 19,000 idle connections",
            ("--connections", "19000", "idle"),
            servers=("chatd", "chatd-memory"),
            figure="p50_ratio",
            unit="times its round trip alone",
        ),
    )
}


@dataclass(frozen=True)
class Target:
    """chatd's figure in terms of another one of the same run; without 'other', by itself."""

    what: str
    scenario: str
    server: str
    other: str | None
    wanted: float
    at_most: bool = False
    figure: str = ""  # instead of the scenario's
    why: str = ""  # if it is not met: what holds it back, and what was tried


_WHY_MEMORY = (
    "With Redis a message costs chatd about 0.5 µs more than without, for one command that leaves with "
    "many others; the target was set when that cost more. What is left of a message is the same in "
    "both: reading and writing sockets, and a strict look at its JSON (`bench/instructions`)."
)
_WHY_HISTORY = (
    "Redis holds it back, not chatd, which needs an eighth of Node's time for a message: to store one "
    "is a script of 16 to 20 µs, and one Redis has one core. `bench/append_cost` takes it apart, in "
    "pipelines of 500 that cost it less: 13.5 µs are 2.9 for a call that does nothing, 8.0 for what has "
    "to be asked and written (the clock, the last id and the number, the devices, the stream, the "
    "state, the answer) and 2.8 for Lua itself, so even without the latter three times Node would be "
    "out of reach. A script of its own for the usual case has halved the cost (27 µs before). What "
    "would help is several Redis, each with a part of the uids: [docs/scale.md](scale.md)."
)

TARGETS = (
    Target("window 16, in terms of Node's", "window-16", "chatd", "node", 10),
    Target("window 16, in terms of Bun's", "window-16", "chatd", "bun", 6),
    Target("window 1, in terms of Node's", "window-1", "chatd", "node", 2.5),
    Target("1,000 connections, window 4, in terms of Node's", "1000-connections", "chatd", "node", 7),
    Target("bodies of 1 KiB, in terms of Node's", "1-KiB", "chatd", "node", 3.5),
    Target("fan-out to 8 devices, in terms of Node's", "fan-out", "chatd", "node", 3.5),
    Target(
        "memory store, in terms of chatd's on Redis",
        "window-16",
        "chatd-memory",
        "chatd",
        1.5,
        why=_WHY_MEMORY,
    ),
    Target(
        "history on, in terms of Node's without", "window-16", "chatd-history", "node", 3, why=_WHY_HISTORY
    ),
    Target("the pair's p50 beside 19,000, in terms of alone", "idle", "chatd", None, 1.2, True),
    Target(
        "bytes of chatd's memory for each idle connection",
        "idle",
        "chatd",
        None,
        3072,
        True,
        "bytes_per_connection",
    ),
    Target(
        "joins a second, the last 30 % in terms of the first", "idle", "chatd", None, 0.9, False, "join_ratio"
    ),
)
