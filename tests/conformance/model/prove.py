"""Do the suite's checks find what they are for? Proved with a server that is right and hundreds that are not.

    python -m model.prove [--only NAME-OR-CLAUSE]... [--sample N [--seed S]] [--workers 2] [--report STEM]
    python -m model.prove --right
    python -m model.prove --useless
    python -m model.prove --original

The right model has to pass every check. Then each fault is switched on alone, and the checks of the clause
that it breaks are run until one fails, which has to happen. A clause that no caught fault breaks is unproven,
and fails the run unless UNPROVABLE says why none can be. A sample of the faults takes a minute, and leaves
out what only the whole can say. --right: the right servers only. --useless: no check passes against a server
that is good for nothing. --original: the persona of the original has the faults that SPEC.md says, and
no others.
"""

import argparse
import random
import re
import sys
import time
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path

from . import prove_report
from .faults import FAULTS, NO_FAULT, Fault
from .prove_original import prove_original
from .prove_report import Verdict
from .prove_useless import prove_useless
from .run import (
    HERE,
    MODEL_DOCUMENTED,
    Run,
    clauses_of,
    feature_options,
    files_of,
    model_command,
    run_checks,
    short_name,
)

SPEC = HERE.parent.parent / "SPEC.md"

# Frequent pings: without them WS-10 takes too long, and WS-12 has to find its faults although a peer that has
# stopped reading is soon dropped. The other clauses are proved without.
MODEL_PINGS = "--ping-interval 1 --ping-timeout 1"
DOCUMENTED_PINGS = "--ping-wait=2"
BROADCASTER = "--broadcaster=operator"  # for model and suite
MODEL_CONNECTIONS, DOCUMENTED_CONNECTIONS = "--connections-max 20", "--connections-limit=20"
MODEL_MESSAGE, DOCUMENTED_MESSAGE = "--message-timeout 1", "--message-wait=1"
CLAUSES_WITH_PINGS = ("WS-10", "WS-12")
ALL = ("broadcast", "history", "nodes")
IN_MEMORY = ("broadcast", "history")
# What no run of the right model can see.
UNTESTED = {
    ("test_messages_are_retained_for_seven_days", "untested"),
    ("test_a_handshake_above_the_limit_of_connections_is_refused_with_503_or_429", "untested"),
    ("test_a_message_that_does_not_end_in_time_is_refused_with_1008", "untested"),
    ("test_who_may_not_broadcast_is_denied_and_reaches_nobody", "untested"),
    ("test_a_peer_that_does_not_answer_pings_is_dropped", "untested"),  # [WS-10] is seen with MODEL_PINGS
}
# A model without Redis answers at once, so a fault that answers nothing need not be waited for as long as a
# stranger's server. The model without a fault passes with this factor, too.
HASTE = 0.3

UNPROVABLE: dict[str, str] = {}  # clause -> why no fault can break it visibly


def main() -> int:
    arguments = _arguments()
    if arguments.original:
        return 1 if prove_original(arguments.workers) else 0
    if arguments.useless:
        return 1 if prove_useless(arguments.workers) else 0
    if arguments.right:
        return 1 if _run_right(arguments.workers) else 0
    faults = _chosen(arguments)
    is_all = len(faults) == len(FAULTS)
    begin = time.monotonic()
    wrong = _run_right(arguments.workers) if is_all else []
    verdicts = []
    with ThreadPoolExecutor(arguments.workers) as pool:
        for verdict in pool.map(_prove, faults):
            print(_row(verdict), flush=True)
            verdicts.append(verdict)
    if arguments.collateral:
        verdicts = _with_collateral(verdicts, arguments.collateral, arguments.workers)
    clauses = _clauses() if is_all else [clause for clause in _clauses() if clause in arguments.only]
    if arguments.report:
        prove_report.write(arguments.report, verdicts, clauses or _clauses())
    is_bad = _summary(verdicts, wrong, clauses)
    print(f"{time.monotonic() - begin:.0f} s")
    return 1 if is_bad else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m model.prove", description="Prove the suite's checks.")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a fault or a clause")
    parser.add_argument(
        "--sample", type=int, metavar="N", help="only N faults, of as many clauses as possible"
    )
    parser.add_argument("--seed", type=int, help="chooses the sample; without it, any")
    parser.add_argument("--right", action="store_true", help="run everything against right servers only")
    parser.add_argument(
        "--useless", action="store_true", help="run everything against useless servers instead"
    )
    parser.add_argument("--original", action="store_true", help="judge the persona of the original instead")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--report", type=Path, metavar="STEM", help="write STEM.md, STEM.html and STEM.json")
    parser.add_argument(
        "--collateral",
        type=int,
        default=0,
        metavar="N",
        help="run everything for N faults: who else fails?",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.only) - {*FAULTS, *_clauses()}:
        parser.error(f"neither a fault nor a clause: {' '.join(sorted(unknown))}")
    if arguments.sample is not None and arguments.sample < 1:
        parser.error("--sample: expected a number above 0")
    return arguments


def _chosen(arguments: argparse.Namespace) -> list[Fault]:
    faults = [f for f in FAULTS.values() if not arguments.only or {f.name, f.clause} & set(arguments.only)]
    if arguments.sample is None:
        return faults
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed
    print(f"a sample of {arguments.sample} of {len(faults)} faults, with --seed {seed}")
    return sample(faults, arguments.sample, random.Random(seed))


def sample(faults: Iterable[Fault], size: int, chance: random.Random) -> list[Fault]:
    """So many faults by chance, but one of each clause before the second of any."""
    of_clause: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        of_clause[fault.clause].append(fault)
    groups = list(of_clause.values())
    chance.shuffle(groups)
    for group in groups:
        chance.shuffle(group)
    in_turns = chain.from_iterable(zip_longest(*groups))
    return [fault for fault in in_turns if fault is not None][:size]


def _run_right(workers: int) -> list[str]:
    """What goes wrong without a fault: the checks that do not pass."""
    with_pings = [*MODEL_DOCUMENTED, DOCUMENTED_PINGS]
    runs = {
        "right model": Run(model_command(MODEL_PINGS), with_pings, 600.0),
        "faulty model without a fault": Run(
            model_command(MODEL_PINGS, "--fault", NO_FAULT), with_pings, 600.0
        ),
        "a right but odd server": Run(
            model_command("--persona", "odd", redis=False), MODEL_DOCUMENTED, 600.0, strict=False
        ),
        "a right but late server": Run(
            model_command("--persona", "late", redis=False), [*MODEL_DOCUMENTED, "--jobs=12"], 600.0
        ),
        "right model with features": Run(
            model_command(features=ALL), [*MODEL_DOCUMENTED, *feature_options(ALL), "--jobs=4"], 600.0
        ),
        "faulty model with features and without a fault": Run(
            model_command("--fault", NO_FAULT, features=ALL),
            [*MODEL_DOCUMENTED, *feature_options(ALL), "--jobs=4"],
            600.0,
        ),
        "a right but odd server with features": Run(
            model_command("--persona", "odd", redis=False, features=IN_MEMORY),
            [*MODEL_DOCUMENTED, *feature_options(IN_MEMORY), "--volatile"],
            600.0,
            strict=False,
        ),
        "a right but late server with features": Run(
            model_command("--persona", "late", redis=False, features=IN_MEMORY),
            [*MODEL_DOCUMENTED, *feature_options(IN_MEMORY), "--volatile", "--jobs=12"],
            600.0,
        ),
        "features in haste": Run(
            model_command("--fault", NO_FAULT, redis=False, features=IN_MEMORY),
            [*MODEL_DOCUMENTED, *feature_options(IN_MEMORY), "--volatile"],
            600.0,
            HASTE,
        ),
        "the same in haste": Run(
            model_command("--fault", NO_FAULT, redis=False), MODEL_DOCUMENTED, 600.0, HASTE
        ),
    }
    wrong: list[str] = []
    with ThreadPoolExecutor(workers) as pool:
        for (name, run), (verdicts, note) in zip(
            runs.items(), pool.map(run_checks, runs.values()), strict=True
        ):
            allowed = {"pass", "not_applicable"}
            if not run.strict:
                allowed.add("warn")
            if "--redis" not in run.start:
                allowed.add("untested")
            bad = [
                f"{short_name(check)}: {v}"
                for check, v in verdicts.items()
                if v not in allowed and (short_name(check), v) not in UNTESTED
            ]
            wrong += [f"{name}: {line}" for line in [*bad, note] if line]
    print("\n".join(wrong) or "the model without a fault passes all checks", flush=True)
    return wrong


def _prove(fault: Fault) -> Verdict:
    model = ["--fault", fault.name]
    checks = ["-x", *MODEL_DOCUMENTED, f"--model-only={fault.clause}", *files_of(fault.clause)]
    patience = 1.0 if fault.needs_redis else HASTE
    if fault.clause in CLAUSES_WITH_PINGS:
        model, checks, patience = [*model, MODEL_PINGS], [*checks, DOCUMENTED_PINGS], 1.0
    if fault.clause == "CAST-9":
        model, checks = [*model, BROADCASTER], [*checks, BROADCASTER]
    if fault.clause == "WS-20":
        model, checks, patience = [*model, MODEL_MESSAGE], [*checks, DOCUMENTED_MESSAGE], 1.0
    if fault.clause == "WS-18":
        model, checks = [*model, MODEL_CONNECTIONS], [*checks, DOCUMENTED_CONNECTIONS]
    checks += feature_options(fault.features)
    if not fault.needs_redis:
        checks.append("--volatile")  # else HIST-2 fails without any fault
    begin = time.monotonic()
    start = model_command(*model, redis=fault.needs_redis, features=fault.features)
    verdicts, note = run_checks(Run(start, checks, patience=patience))

    def having(*wanted: str) -> list[str]:
        return [short_name(check) for check, verdict in verdicts.items() if verdict in wanted]

    if broken := having("error"):
        note = f"the check itself is broken: {' '.join(broken)}"
    elif skipped := having("untested"):
        note = f"untested: {' '.join(skipped)}"
    took = round(time.monotonic() - begin, 1)
    return Verdict(fault.name, fault.clause, fault.what, having("fail", "inconclusive"), note, took)


def _with_collateral(verdicts: list[Verdict], n: int, workers: int) -> list[Verdict]:
    """Run all checks for some of the faults, always the same: which other clauses do they fail?"""
    chosen = random.Random(1).sample([v for v in verdicts if not FAULTS[v.fault].needs_redis], n)
    with ThreadPoolExecutor(workers) as pool:
        others = dict(zip((v.fault for v in chosen), pool.map(_others, chosen), strict=True))
    return [replace(v, others=others.get(v.fault)) for v in verdicts]


def _others(verdict: Verdict) -> list[str]:
    """The clauses of which all checks fail, or some, besides the one that the fault breaks."""
    start = model_command("--fault", verdict.fault, redis=False)
    verdicts, _ = run_checks(Run(start, MODEL_DOCUMENTED, 300.0, HASTE))
    names = {check.partition("[")[0] for check, made in verdicts.items() if made in ("fail", "inconclusive")}
    return sorted({clause for name in names for clause in clauses_of(name)} - {verdict.clause})


def _row(verdict: Verdict) -> str:
    first = verdict.caught_by[0] if verdict.caught_by else "NOT CAUGHT"
    note = f" ({verdict.note})" if verdict.note and not verdict.caught_by else ""
    return f"{verdict.clause:10} {verdict.fault:30} {first}{note}"


def _clauses() -> list[str]:
    """The ids of the clauses of SPEC.md, all of which are a MUST or a SHOULD."""
    return re.findall(r"^- \*\*\[([A-Z]+-[0-9]+)\]\*\*", SPEC.read_text(), re.MULTILINE)


def _summary(verdicts: list[Verdict], wrong: list[str], clauses: Iterable[str]) -> bool:
    """Print what is left to do; is there anything?"""
    missed = [v for v in verdicts if not v.caught_by]
    n_proved = len({v.clause for v in verdicts if v.caught_by})
    unproven = [clause for clause in prove_report.unproven(verdicts, clauses) if clause not in UNPROVABLE]
    print(f"\n{len(verdicts) - len(missed)} of {len(verdicts)} faults caught, in {n_proved} clauses")
    print(prove_report.collateral(verdicts))
    for verdict in missed:
        print(f"{_row(verdict)}: {verdict.what}")
    for clause in unproven:
        print(f"unproven: {clause}")
    for clause, reason in UNPROVABLE.items():
        print(f"unprovable: {clause} ({reason})")
    for line in wrong:
        print(f"wrong without a fault: {line}")
    return bool(missed or unproven or wrong)


if __name__ == "__main__":
    sys.exit(main())
