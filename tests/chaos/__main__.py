"""ci/chaos: see README.md beside this file."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import secrets
import shutil
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

from chaos.checker import check
from chaos.journal import read_folder, read_world
from chaos.loss import measure, table_of
from chaos.prove import prove
from chaos.report import json_of, text_of
from chaos.run import Course, Plan, Run
from chaos.saboteur import FAULTS
from chaos.schedule import RECIPES, schedule

ROOT = Path(__file__).resolve().parents[2]
CHATD = "build/release/chatd --listen 127.0.0.1:{port} --redis {redis} --node-name {name}"
CHATD += " --features broadcast,history,nodes --redis-refresh-ms 5000 --history-messages-max 100000"


def main() -> int:
    arguments = _arguments()
    folder: Path = arguments.journals.resolve()
    if arguments.check:
        return _check(_plan(arguments))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    plan = _plan(arguments)
    if arguments.loss_table:
        return _write_loss_table(plan, arguments.rounds)
    print(f"seed {plan.seed}", flush=True)
    if arguments.prove:
        return 1 if prove(plan) else 0
    faults = schedule(plan.seed, plan.nodes, arguments.gap, arguments.only, arguments.without)
    course = asyncio.run(Run(plan, faults).go())
    return 0 if _judge(plan, course, arguments.keep) else 1


def _check(plan: Plan) -> int:
    """Judge again the run whose journals are there."""
    if not read_folder(plan.folder):
        print(
            f"ci/chaos: no journals in {plan.folder}: --keep keeps those of a run that passes",
            file=sys.stderr,
        )
        return 2
    course = Course(read_world(plan.folder), Counter(), 0.0)
    return 0 if _judge(replace(plan, seed=course.world.seed), course, True) else 1


def _judge(plan: Plan, course: Course, is_kept: bool) -> bool:
    gc.freeze()  # millions of records, none of them garbage
    gc.disable()
    verdict = check(read_folder(plan.folder), course.world)
    report = text_of(plan, course, verdict)
    print(report, flush=True)
    (plan.folder / "report.txt").write_text(report + "\n", encoding="utf-8")
    (plan.folder / "report.json").write_text(
        json.dumps(json_of(plan, course, verdict), indent=1), encoding="utf-8"
    )
    if verdict.is_good and not is_kept:
        for path in plan.folder.glob("client-*.jsonl"):
            path.unlink()
    return verdict.is_good


def _write_loss_table(plan: Plan, rounds: int) -> int:
    figures = measure(plan, rounds)
    table = table_of(figures, plan, "ci/chaos --loss-table")
    (ROOT / "docs/loss.md").write_text(table, encoding="utf-8")
    print(table)
    return 1 if any(figure.others for figure in figures) else 0


def _plan(arguments: argparse.Namespace) -> Plan:
    return Plan(
        command=arguments.start,
        nodes=arguments.nodes,
        clients=arguments.clients,
        rate=arguments.rate,
        seconds=arguments.seconds,
        messages=arguments.messages,
        n_faults=arguments.faults,
        seconds_max=arguments.seconds_max,
        appendfsync=arguments.appendfsync,
        seed=arguments.seed,
        folder=arguments.journals.resolve(),
        sabotage=arguments.sabotage,
        one_in=arguments.one_in,
        is_quiet=arguments.quiet,
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="ci/chaos", description="Break nodes, Redis, links and clients at random; nothing may be lost."
    )
    add = parser.add_argument
    add("--seconds", type=float, default=80, help="of faults, at least (default %(default)s)")
    add("--messages", type=int, default=0, help="answered 'sended', at least (default %(default)s)")
    add("--faults", type=int, default=0, help="at least (default %(default)s)")
    add("--seconds-max", type=float, default=7200, help="then it ends all the same (default %(default)s)")
    add("--seed", type=int, default=secrets.randbelow(1 << 32), help="of the schedule (default: any)")
    add("--nodes", type=int, default=3, help="(default %(default)s)")
    add("--clients", type=int, default=200, help="(default %(default)s)")
    add("--rate", type=float, default=2500, help="messages a second (default %(default)s)")
    add("--gap", type=float, default=2.0, help="seconds between two faults on average (default %(default)s)")
    add("--only", nargs="+", choices=RECIPES, metavar="KIND", help=f"only these faults: {', '.join(RECIPES)}")
    add("--without", nargs="+", choices=RECIPES, default=[], metavar="KIND", help="not these")
    add(
        "--appendfsync",
        choices=("always", "everysec", "none"),
        default="always",
        help="(default %(default)s)",
    )
    add("--start", default=CHATD, help="a node's command, with {port}, {redis} and {name} (default: chatd's)")
    add("--journals", type=Path, default=ROOT / "build/reports/chaos", help="(default build/reports/chaos)")
    add("--sabotage", choices=FAULTS, default="", help="do this wrong before node 0, and expect to be caught")
    add("--one-in", type=int, default=1000, help="deliveries that --sabotage spoils (default %(default)s)")
    add("--prove", action="store_true", help="a short run for each --sabotage: is it caught by its rule?")
    add("--loss-table", action="store_true", help="measure what is lost when, and write docs/loss.md")
    add("--rounds", type=int, default=5, help="faults in each row of the table (default %(default)s)")
    add("--keep", action="store_true", help="keep the journals although all is well")
    add("--check", action="store_true", help="only check the journals that are there")
    add("--quiet", action="store_true", help="do not name the faults as they come")
    return parser.parse_args()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
    sys.exit(130)
