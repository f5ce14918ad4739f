"""Runs chatload: the server on one core, Redis and the load on the others."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from comparison.plan import CHATLOAD, Scenario, Server

READY_SECONDS = 10
RUN_SECONDS = 300

Figures = dict[str, float]


@dataclass
class Runs:
    """What one server did in one scenario: the figures of each round, or why there are none."""

    rounds: list[Figures] = field(default_factory=list)
    failure: str = ""


def cores() -> tuple[str, str]:
    """For the server, and for everything else; the same if there is only one."""
    known = sorted(os.sched_getaffinity(0))
    return str(known[0]), ",".join(map(str, known[1:] or known))


@contextmanager
def redis_server() -> Iterator[tuple[str, int]]:
    """A Redis of its own that writes nothing to disk: its URL and its pid."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        words = (
            f"taskset -c {cores()[1]} redis-server --port {port} --bind 127.0.0.1 --save '' --appendonly no"
        )
        process = subprocess.Popen([*shlex.split(words), "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            wait_for(port)
            yield f"redis://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            process.wait(READY_SECONDS)


def wait_for(port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def flush(redis: str) -> None:
    """Empty it, so that a run does not find what the one before has left."""
    host, port = redis.removeprefix("redis://").split(":")
    with socket.create_connection((host, int(port)), READY_SECONDS) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        assert connection.recv(64).startswith(b"+OK")


def run_once(scenario: Scenario, server: Server, redis: tuple[str, int], seconds: float) -> Figures | str:
    """The figures; or, as a text, what went wrong."""
    url, pid = redis
    flush(url)
    server_core, other_cores = cores()
    start = f"taskset -c {server_core} {server.command.replace('{redis}', url)}"
    warm_up = str(min(1.0, seconds / 2))
    pids = ["--redis-pid", str(pid)] if "{redis}" in server.command else []
    command = ["taskset", "-c", other_cores, str(CHATLOAD), "--json", "-", "--start", start, *pids]
    command += ["--seconds", str(seconds), "--warm-up", warm_up, *scenario.arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or [f"chatload ended with {done.returncode}"])[-1]
    found = json.loads(done.stdout)
    return with_join_ratio(
        {name: float(value) for name, value in found.items() if not isinstance(value, str)}
    )


def with_join_ratio(figures: Figures) -> Figures:
    """Whether the last connections of a crowd were as quick to join as the first."""
    joins = [value for name, value in figures.items() if name.startswith("joined_per_s_up_to_")]
    if joins:
        figures["join_ratio"] = sum(joins[-3:]) / sum(joins[:3])
    return figures
