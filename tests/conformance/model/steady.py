"""Is the suite's verdict the same each time, on a machine that is busy?

    python -m model.steady --chatd PATH --keep FOLDER [--count N] [--only right|faulty] [--at-once N]
                           [--minutes N]

The core of the suite runs N times against the chatd given, which has to be conformant each time, and N times
against chatds with a fault, in turn those of chatd_faults/ whose second line names what fails in core: the
clause of the fault has to fail, and no other but those. Several runs at once keep the cores busy. The JSON
report of a wrong verdict is kept, and the exit status is 1.
"""

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .prove_chatd import Build, Patch, read_patches
from .run import HERE

# Short times for pings, documented to the suite, so that it can wait for them.
SERVE = "--listen 127.0.0.1:{port} --ping-interval-ms 2000 --ping-timeout-ms 4000"
DOCUMENTED = ["--ping-wait", "6"]
RUN_SECONDS = 600.0  # a run without end is a wrong verdict, too
QUIET = ("pass", "untested", "not_applicable")


@dataclass(frozen=True)
class Judged:
    """What a run has come to."""

    fault: Patch | None
    seconds: float
    wrong: str  # what is wrong with the verdict, or nothing


def main() -> int:
    flags = _parser().parse_args()
    deadline = time.monotonic() + 60 * flags.minutes
    flags.keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="steady-") as folder:
        servers = dict(_servers(flags.chatd, Path(folder)))
        faults = itertools.cycle([fault for fault in servers if fault is not None])
        turns = [fault for _ in range(flags.count) for fault in (None, next(faults))]
        if flags.only:
            turns = [fault for fault in turns if (fault is None) == (flags.only == "right")]

        def run(number: int) -> Judged | None:
            if time.monotonic() > deadline:
                return None
            return _run(turns[number], servers[turns[number]], flags.keep / f"{number}.json")

        before = _processor_times()
        with ThreadPoolExecutor(flags.at_once) as threads:
            judged = [one for one in threads.map(run, range(len(turns))) if one is not None]
    right = [one for one in judged if one.fault is None]
    faulty = [one for one in judged if one.fault is not None]
    print(figures("chatd", right))
    print(figures(f"chatd with a fault, {len(servers) - 1} in turn", faulty))
    print(f"{flags.at_once} runs at once; the processors were busy for {_busy_since(before):.0%} of the time")
    if len(judged) < len(turns):
        print(f"the time was over before all {len(turns)} runs")
    return 0 if judged and not any(one.wrong for one in judged) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("steady", description=str(__doc__).partition("\n")[0])
    parser.add_argument("--chatd", type=Path, required=True, help="the right server")
    parser.add_argument("--keep", type=Path, required=True, help="where reports of wrong verdicts are kept")
    parser.add_argument("--count", type=int, default=300, help="so many runs against each (300)")
    parser.add_argument("--only", choices=["right", "faulty"], help="only the runs against these")
    parser.add_argument("--at-once", type=int, default=os.cpu_count(), help="runs at once (one a processor)")
    parser.add_argument("--minutes", type=float, default=120, help="no run begins later than this (120)")
    return parser


def _servers(chatd: Path, folder: Path) -> Iterator[tuple[Patch | None, Path]]:
    """The right one, and one with each fault that says what fails in core."""
    yield None, chatd.resolve()
    build = Build(folder / "build")
    for patch in read_patches():
        if patch.in_core:
            yield patch, Path(shutil.copy(build.make(patch), folder / patch.path.stem))


def _run(fault: Patch | None, server: Path, report: Path) -> Judged:
    command = [sys.executable, "-m", "chatcheck", "--start", f"{server} {SERVE}", *DOCUMENTED]
    began = time.monotonic()
    try:
        done = subprocess.run(
            [*command, "--json", str(report)], cwd=HERE, capture_output=True, text=True, timeout=RUN_SECONDS
        )
        status, said = done.returncode, done.stderr
    except subprocess.TimeoutExpired:
        status, said = -1, f"no end within {RUN_SECONDS:g} s"
    seconds = time.monotonic() - began
    wrong = what_is_wrong(status, json.loads(report.read_text()) if report.exists() else None, fault)
    if wrong:
        name = fault.path.stem if fault else "no fault"
        print(f"WRONG: {name}: {wrong}; {report}\n{said}", flush=True)
    else:
        report.unlink()
    return Judged(fault, seconds, wrong)


def what_is_wrong(status: int, report: dict[str, Any] | None, fault: Patch | None) -> str:
    """What is wrong with this verdict on a server with that fault; nothing if it is as it should be."""
    if report is None:
        return f"exit status {status}, and no report"
    verdicts = {clause["id"]: clause["verdict"] for clause in report["clauses"]}
    told = {clause: verdict for clause, verdict in verdicts.items() if verdict not in QUIET}
    if fault is None:
        return "" if status == 0 and not told and "pass" in verdicts.values() else f"{status} {told}"
    is_right = status == 1 and told.get(fault.clause) == "fail" and set(told) <= set(fault.in_core)
    return "" if is_right else f"{status} {told}, not {fault.clause}"


def figures(name: str, judged: Sequence[Judged]) -> str:
    """A line with what was measured."""
    seconds = sorted(one.seconds for one in judged)
    n_wrong = sum(bool(one.wrong) for one in judged)
    line = f"{name}: {len(judged)} runs, {n_wrong} wrong verdicts"
    if not seconds:
        return line
    p95 = seconds[-(-95 * len(seconds) // 100) - 1]  # the first that 95 % are not above
    median = statistics.median(seconds)
    return f"{line}; seconds of a run: median {median:.1f}, p95 {p95:.1f}, max {seconds[-1]:.1f}"


def _processor_times() -> tuple[int, int]:
    """In ticks, of all processors: idle, and altogether."""
    ticks = [int(number) for number in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)


def _busy_since(before: tuple[int, int]) -> float:
    idle, all_ = (now - then for now, then in zip(_processor_times(), before, strict=True))
    return 1 - idle / max(all_, 1)


if __name__ == "__main__":
    sys.exit(main())
