"""The command line; see bench/compare."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from comparison import report
from comparison.plan import BUILD, ROOT, SCENARIOS, SERVERS, TARGETS
from comparison.run import Runs, redis_server, run_once

QUIET = 1.0  # a load average above it makes figures that nobody should quote


def read_command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/compare", description="chatd beside other servers.")
    parser.add_argument("--quick", action="store_true", help="1 round of 1 s, into build/performance")
    parser.add_argument("--rounds", type=int, default=None, help="of each (3)")
    parser.add_argument("--seconds", type=float, default=None, help="that each run measures (4)")
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="a scenario; may be repeated")
    parser.add_argument("--server", action="append", choices=SERVERS, help="may be repeated")
    parser.add_argument("--output", type=Path, default=None, help="a folder (docs)")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 3)
    arguments.seconds = arguments.seconds or (1.0 if arguments.quick else 4.0)
    whole = not (arguments.quick or arguments.only or arguments.server)
    arguments.output = arguments.output or (ROOT / "docs" if whole else BUILD / "performance")
    return arguments


def measure(arguments: argparse.Namespace, redis: tuple[str, int]) -> report.Results:
    """Every server once, then every server again, so that a change of the machine meets them all."""
    results: report.Results = {}
    for name in arguments.only or SCENARIOS:
        scenario = SCENARIOS[name]
        runs = {server: Runs() for server in scenario.servers if server in (arguments.server or SERVERS)}
        for _ in range(arguments.rounds):
            for server, own in runs.items():
                found = run_once(scenario, SERVERS[server], redis, arguments.seconds)
                if isinstance(found, str):
                    own.failure = found
                    print(f"{name:17} {server:14} {found}", flush=True)
                else:
                    own.rounds.append(found)
                    print(f"{name:17} {server:14} {report.number(found[scenario.figure])}", flush=True)
        results[name] = runs
    return results


def main() -> int:
    arguments = read_command_line()
    load_average = os.getloadavg()[0]
    if load_average > QUIET:
        print(f"load average {load_average:.1f}: the figures are worth little", file=sys.stderr)
    began = time.monotonic()
    with redis_server() as redis:
        results = measure(arguments, redis)
    command = " ".join(["bench/compare", *sys.argv[1:]])
    circumstances = report.Circumstances(command, arguments.rounds, arguments.seconds, load_average)
    report.write(results, circumstances, arguments.output)
    print("\n".join(report.target_lines(results)))
    print(f"{report.relative(arguments.output)}/performance.md, after {time.monotonic() - began:.0f} s")
    values = [(target, report.reached(target, results)) for target in TARGETS]
    missed = any(value is not None and not report.is_met(target, value) for target, value in values)
    failed = any(own.failure for runs in results.values() for own in runs.values())
    return 3 if failed else int(missed)


if __name__ == "__main__":
    sys.exit(main())
