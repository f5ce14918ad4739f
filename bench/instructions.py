"""Instructions per message, counted by callgrind; see bench/instructions.

chatd runs the same workload twice, with few messages and with many; the difference, divided by the messages
that were more, leaves out how it starts and stops. The load comes in batches, each sent when all of the one
before has arrived, so that chatd reads and writes as often in each run. What is counted is the process: its
libraries and the C library are in it. So figures are kept for each set of versions, and compared only with
those of the same versions.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from comparison.plan import CHATD, CHATLOAD, ROOT
from comparison.run import flush, redis_server

KNOWN = ROOT / "bench/instructions.json"
WORSE_MAX = 0.03
FEW, MANY = 480, 2880  # messages; whole batches
RUN_SECONDS = 300
LIBRARIES = ("libwebsockets", "libuv", "hiredis", "libcjson")

Figures = dict[str, float]


@dataclass(frozen=True)
class Workload:
    name: str
    chatd: str  # its options; {redis} is filled in
    load: tuple[str, ...]


ONE_TO_ONE = ("--connections", "2", "--devices", "1", "fanout")
WORKLOADS = (
    Workload("memory, window 1", "", ("--window", "1", *ONE_TO_ONE)),
    Workload("memory, window 16", "", ("--window", "16", *ONE_TO_ONE)),
    Workload("memory, window 16, 1 KiB", "", ("--window", "16", "--body", "1024", *ONE_TO_ONE)),
    Workload("memory, window 16, 8 devices", "", ("--window", "16", "--connections", "9", "fanout")),
    Workload("memory, window 16, history", "--features history", ("--window", "16", *ONE_TO_ONE)),
    Workload("Redis, window 1", "--redis {redis}", ("--window", "1", *ONE_TO_ONE)),
    Workload("Redis, window 16", "--redis {redis}", ("--window", "16", *ONE_TO_ONE)),
)


def count(workload: Workload, n_messages: int, redis: str) -> int:
    """Of one run, from beginning to end."""
    flush(redis)
    with tempfile.NamedTemporaryFile(suffix=".callgrind") as profile:
        valgrind = f"valgrind --quiet --tool=callgrind --callgrind-out-file={profile.name}"
        start = f"{valgrind} {CHATD} {workload.chatd.replace('{redis}', redis)}"
        command = [str(CHATLOAD), "--start", start, "--prefix", "fixed", "--batches", "--patience", "60"]
        command += ["--messages", str(n_messages), *workload.load]
        done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
        found = re.search(r"^(?:totals|summary): (\d+)", Path(profile.name).read_text(), re.MULTILINE)
    if done.returncode != 0 or found is None:
        sys.exit(f"{workload.name}: {done.stderr.strip() or 'callgrind wrote no profile'}")
    return int(found[1])


def per_message(workload: Workload, redis: str) -> float:
    return (count(workload, MANY, redis) - count(workload, FEW, redis)) / (MANY - FEW)


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def versions() -> str:
    """Of everything whose instructions are counted, and of what made them."""
    libraries = [f"{name} {output('pkg-config', '--modversion', name).rstrip('-')}" for name in LIBRARIES]
    compiler = f"gcc {output('gcc', '-dumpfullversion')}"
    return ", ".join([platform.machine(), compiler, output("getconf", "GNU_LIBC_VERSION"), *libraries])


def compare(figures: Figures, known: Figures) -> bool:
    """Prints them beside each other; is none of them much worse?"""
    fine = True
    for name, value in figures.items():
        before = known.get(name)
        change = value / before - 1 if before else 0.0
        worse = change > WORSE_MAX
        fine = fine and not worse
        beside = f"{before:10,.0f} {change:+7.2%}{'  WORSE' if worse else ''}" if before else ""
        print(f"{name:32} {value:10,.0f} {beside}")
    return fine


def spread(workload: Workload, redis: str, times: int) -> float:
    """Between the least and the most of several measurements, in terms of the least."""
    values = [per_message(workload, redis) for _ in range(times)]
    return max(values) / min(values) - 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/instructions", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--update", action="store_true", help="write the figures to bench/instructions.json")
    parser.add_argument("--spread", type=int, metavar="N", help="measure N times, and say how much it varies")
    arguments = parser.parse_args()
    began = time.monotonic()
    with redis_server() as (redis, _):
        if arguments.spread:
            for workload in WORKLOADS:
                print(f"{workload.name:32} {spread(workload, redis, arguments.spread):.3%}", flush=True)
            return 0
        figures = {workload.name: round(per_message(workload, redis), 1) for workload in WORKLOADS}
    all_known: dict[str, Figures] = json.loads(KNOWN.read_text()) if KNOWN.exists() else {}
    key = versions()
    fine = compare(figures, all_known.get(key, {}))
    if key not in all_known:
        print(f"nothing to compare with: there are no figures of {key}")
    if arguments.update:
        all_known[key] = figures
        KNOWN.write_text(json.dumps(all_known, indent=2) + "\n")
        fine = True
    print(f"{time.monotonic() - began:.0f} s")
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
