#!/usr/bin/env python3
"""More cores: one chatd on a port, and several that share it, each a node on the same Redis.

    bench/cores.py [--processes 1,2] [--runs 3] [--chatload '--connections 100 --window 16 pairs']

Builds nothing: chatd and chatload come from build/release. Runs are interleaved, and the table has medians.
The load, Redis and the servers share the machine's cores: what is gained shows only where there are cores for
all of them, so the CPU time of each is there, too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build/release"
READY_SECONDS = 20.0
TICKS = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


@contextlib.contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


def until_listens(port: int) -> None:
    give_up = time.monotonic() + READY_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if time.monotonic() > give_up:
            sys.exit(f"nobody listens on {port}")
        time.sleep(0.02)


def measure(n: int, load: list[str]) -> dict[str, float]:
    """Messages a second, and the CPU time of each."""
    port, redis_port = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="chatref-cores."))
        words = f"redis-server --port {redis_port} --bind 127.0.0.1 --save '' --appendonly no --dir {folder}"
        redis = stack.enter_context(started(shlex.split(words)))
        until_listens(redis_port)
        servers = []
        for number in range(n):
            command = [str(BUILD / "chatd"), "--listen", f"127.0.0.1:{port}", "--reuse-port", "yes"]
            command += ["--redis", f"redis://127.0.0.1:{redis_port}", "--node-name", f"core{number}"]
            server = stack.enter_context(started(command))
            assert server.stdout is not None
            server.stdout.readline()
            servers.append(server)
        pids = [server.pid for server in servers]
        before = [cpu_seconds(pid) for pid in (redis.pid, *pids)]
        command = [str(BUILD / "chatload"), "--url", f"ws://127.0.0.1:{port}/", "--warm-up", "0"]
        answer = subprocess.run([*command, "--json", "-", *load], stdout=subprocess.PIPE, check=True)
        used = [cpu_seconds(pid) - was for pid, was in zip((redis.pid, *pids), before, strict=True)]
        result = json.loads(answer.stdout)
        n_messages = float(result["messages"])
        return {
            "messages a second": float(result["messages_per_s"]),
            "p50, ms": float(result["latency_p50_us"]) / 1000,
            "p99, ms": float(result["latency_p99_us"]) / 1000,
            "all chatd, µs a message": sum(used[1:]) / n_messages * 1e6,
            "the busiest chatd, µs a message": max(used[1:]) / n_messages * 1e6,
            "Redis, µs a message": used[0] / n_messages * 1e6,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--processes", default="1,2", help="how many, with commas between (1,2)")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--chatload", default="--connections 100 --window 16 --seconds 4 pairs")
    words = parser.parse_args()
    numbers = [int(number) for number in words.processes.split(",")]
    runs: dict[int, list[dict[str, float]]] = {number: [] for number in numbers}
    for _ in range(words.runs):
        for number in numbers:
            runs[number].append(measure(number, shlex.split(words.chatload)))
    columns = list(runs[numbers[0]][0])
    print(f"| processes | {' | '.join(columns)} |")
    print(f"| --- |{' --- |' * len(columns)}")
    for number in numbers:
        cells = [f"{statistics.median(run[column] for run in runs[number]):,.2f}" for column in columns]
        print(f"| {number} | {' | '.join(cells)} |")
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"\nLoad averages at the end: {load}, {os.cpu_count()} cores.")


if __name__ == "__main__":
    main()
