"""Runs the project's own tests many times on a busy machine and counts how often each fails: ci/repeat."""

from __future__ import annotations

import argparse
import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import textwrap
import time
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from count import verdict

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "build" / "reports" / "repeat"
# A runner that hangs is a failure, too, and is ended after so long.
RUN_SECONDS = 3600
# How many lines are printed of what a failed test said, and of each stream that it wrote to.
TAIL_LINES = 20
SANITIZERS = {
    "ASAN_OPTIONS": "halt_on_error=1:detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
}


def pytest(report: Path, select: str | None) -> list[str]:
    """The words that run pytest, so that the report has the output of what failed."""
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junit-xml={report}"]
    words += ["-o", "junit_logging=all", "-o", "junit_log_passing_tests=false"]
    return [*words, *(["-k", select] if select else [])]


def command(kind: str, report: Path, select: str | None) -> tuple[Path, list[str]]:
    """Where a kind of tests is run, and how; it writes a JUnit report."""
    if kind == "selftest":
        return ROOT / "tests" / "conformance", [*pytest(report, select), "selftest", "model"]
    if kind == "process":
        chatd = f"--chatd={ROOT / 'build' / 'asan' / 'chatd'}"
        return ROOT / "tests" / "process", [*pytest(report, select), ".", chatd]
    jobs = str(os.cpu_count())
    ctest = ["ctest", "--preset", "asan", "--parallel", jobs, "--output-junit", str(report)]
    return ROOT, [*ctest, "--no-tests=error", *(["-R", select] if select else [])]


KINDS = ("unit", "process", "selftest")


def spin() -> None:
    """Load: one core is busy until the process is ended."""
    while os.getppid() != 1:  # nobody is left who could end it
        for _ in range(1_000_000):
            pass


@contextlib.contextmanager
def busy() -> Iterator[None]:
    """Every core has a loop to run beside the tests."""
    loops = [multiprocessing.Process(target=spin, daemon=True) for _ in range(os.cpu_count() or 1)]
    for loop in loops:
        loop.start()
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.join()


def tail(texts: Iterable[str | None]) -> str:
    """The last lines of each text that there is."""
    lines = (line for text in texts if text for line in text.rstrip().splitlines()[-TAIL_LINES:])
    return "\n".join(lines)


def words_of(case: ElementTree.Element) -> str:
    """What a report holds of the output of a test."""
    return tail(
        part.text for name in ("failure", "error", "system-out", "system-err") for part in case.iter(name)
    )


def started(words: list[str], folder: Path, log: Path) -> int:
    """Run a test runner to its end, its output into the log: the exit status."""
    with log.open("wb") as output, contextlib.suppress(subprocess.TimeoutExpired):
        return subprocess.run(
            words,
            cwd=folder,
            env=os.environ | SANITIZERS,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=RUN_SECONDS,
            check=False,
        ).returncode
    return -1


def run(kind: str, stem: Path, select: str | None) -> tuple[list[str], dict[str, str]]:
    """Run all tests of a kind once: the names of those that ran, and what those that failed said."""
    report, log = stem.with_suffix(".xml"), stem.with_suffix(".log")
    folder, words = command(kind, report, select)
    status = started(words, folder, log)
    ran, failed = [], {}
    with contextlib.suppress(OSError, ElementTree.ParseError):
        for case in ElementTree.parse(report).iter("testcase"):
            name = f"{kind}: {case.get('classname', '')} {case.get('name', '')}"
            ran.append(name)
            if verdict(case) == "failed":
                failed[name] = words_of(case)
    if not ran or (status != 0 and not failed):
        name = f"{kind}: (the runner, exit status {status})"
        ran.append(name)
        failed[name] = tail([log.read_text(encoding="utf-8", errors="replace")])
    if not failed:
        report.unlink()
        log.unlink()
    return ran, failed


def table(n_ran: Counter[str], n_failed: Counter[str]) -> Iterator[str]:
    """What failed, most often first."""
    for kind in KINDS:
        names = [name for name in n_ran if name.startswith(f"{kind}:")]
        if names:
            runs, failures = (sum(counts[name] for name in names) for counts in (n_ran, n_failed))
            yield f"{kind:10}{len(names):5} tests {runs:8} runs {failures:5} failures"
    for name, failures in n_failed.most_common():
        yield f"  {failures:3} of {n_ran[name]:3}  {name}"


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("ci/repeat", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="how often everything is run (50)")
    parser.add_argument("--minutes", type=float, help="begin no round after so long")
    parser.add_argument("--only", choices=KINDS, action="append", help="only this kind; may be repeated")
    parser.add_argument("--select", help="only tests of these names: pytest's -k, ctest's -R")
    flags = parser.parse_args(arguments)
    REPORTS.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=time.strftime("%Y-%m-%d-%H%M%S-"), dir=REPORTS))
    print(f"reports: {folder}", flush=True)
    began, made = time.monotonic(), 0
    n_ran: Counter[str] = Counter()
    n_failed: Counter[str] = Counter()
    with busy(), contextlib.suppress(KeyboardInterrupt):
        while made < flags.rounds:
            if flags.minutes is not None and time.monotonic() - began > 60 * flags.minutes:
                break
            for kind in flags.only or KINDS:
                ran, failed = run(kind, folder / f"{kind}-{made + 1}", flags.select)
                n_ran.update(ran)
                n_failed.update(failed.keys())
                for name, said in sorted(failed.items()):
                    print(f"round {made + 1}: FAILED {name}\n{textwrap.indent(said, '    | ')}", flush=True)
            made += 1
            print(f"round {made} of {flags.rounds}: {time.monotonic() - began:.0f} s", flush=True)
    print("\n".join(table(n_ran, n_failed)))
    print(f"{made} of {flags.rounds} rounds, {len(n_failed)} tests failed at least once")
    return 0 if made == flags.rounds and not n_failed else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
