"""Do the suite's checks find what they are for? Proved with a server that is right and hundreds that are not.

    python -m model.prove [--only NAME-OR-CLAUSE]... [--workers 2] [--json FILE]

The right model has to pass every check. Then each fault is switched on alone, and the checks of the clause
that it breaks are run: at least one has to fail. A clause that no caught fault breaks is unproven, and fails
the run unless UNPROVABLE says why none can be.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from .faults import FAULTS, NO_FAULT, Fault

HERE = Path(__file__).resolve().parent.parent
SPEC = HERE.parent.parent / "SPEC.md"
RUN_S_MAX = 90.0  # of the checks of one clause against one fault
RIGHT_S_MAX = 600.0

# What the model documents, told to the suite.
MODEL = "-m model --port {port} --redis {redis} --refresh 2"
DOCUMENTED = "--message-limit 1048576 --nesting-limit 512 --refresh-wait 4 --death-wait 6"
# Frequent pings: without them WS-10 takes too long, and WS-12 has to find its faults although a peer that has
# stopped reading is soon dropped. The other clauses are proved without.
MODEL_PINGS = "--ping-interval 1 --ping-timeout 1"
DOCUMENTED_PINGS = "--ping-wait 2"
CLAUSES_WITH_PINGS = ("WS-10", "WS-12")
PYTEST = "-m pytest -q -p model.pytest_plugin -p no:cacheprovider --strict-should"

UNPROVABLE: dict[str, str] = {}  # clause -> why no fault can break it visibly


@dataclass(frozen=True)
class Verdict:
    fault: str
    clause: str
    what: str
    caught_by: list[str]
    note: str = ""


def main() -> int:
    arguments = _arguments()
    faults = [f for f in FAULTS.values() if not arguments.only or {f.name, f.clause} & set(arguments.only)]
    wrong = [] if arguments.only else _run_right()
    with ThreadPoolExecutor(arguments.workers) as pool:
        verdicts = []
        for verdict in pool.map(_prove, faults):
            print(_row(verdict), flush=True)
            verdicts.append(verdict)
    if arguments.json:
        arguments.json.write_text(
            json.dumps([asdict(v) for v in verdicts], ensure_ascii=False, indent=1) + "\n"
        )
    clauses = set(arguments.only) & set(_clauses()) if arguments.only else _clauses()
    return 1 if _summary(verdicts, wrong, clauses) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m model.prove", description="Prove the suite's checks.")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="a fault or a clause")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the verdicts there as well")
    return parser.parse_args()


def _run_right() -> list[str]:
    """What goes wrong with the right model: the checks that fail or are not run."""
    wrong: list[str] = []
    models: dict[str, list[str]] = {"right model": [], "faulty model without a fault": ["--fault", NO_FAULT]}
    for name, options in models.items():
        failed, note = _run_checks([MODEL_PINGS, *options], DOCUMENTED_PINGS.split(), RIGHT_S_MAX)
        wrong += [f"{name}: {line}" for line in [*failed, note] if line]
    print("\n".join(wrong) or "the model without a fault passes all checks", flush=True)
    return wrong


def _prove(fault: Fault) -> Verdict:
    model = ["--fault", fault.name]
    checks = ["--maxfail=3", "--model-only", fault.clause]
    if fault.clause in CLAUSES_WITH_PINGS:
        model.append(MODEL_PINGS)
        checks += DOCUMENTED_PINGS.split()
    failed, note = _run_checks(model, checks, RUN_S_MAX)
    return Verdict(fault.name, fault.clause, fault.what, failed, note)


def _run_checks(model: list[str], checks: list[str], seconds: float) -> tuple[list[str], str]:
    """Run checks against a model; the names of those that failed, and a remark if the run went otherwise."""
    start = " ".join([sys.executable, MODEL, *model])
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        report = Path(folder, "verdicts.json")
        command = [sys.executable, *PYTEST.split(), f"--model-report={report}", "--start", start]
        command += [*DOCUMENTED.split(), *checks]
        try:
            done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=seconds)
        except subprocess.TimeoutExpired:
            return [], f"no end within {seconds:g} s"
        if not report.exists():
            return [], f"exit {done.returncode}: {(done.stdout + done.stderr).strip()[-300:]}"
        return _read_report(json.loads(report.read_text()), done.returncode)


def _read_report(verdicts: dict[str, str], code: int) -> tuple[list[str], str]:
    def checks(*wanted: str) -> list[str]:
        return [name.rpartition("::")[2] for name, verdict in verdicts.items() if verdict in wanted]

    failed = checks("fail", "inconclusive")
    if not verdicts:
        return [], "the clause has no check" if code == 5 else f"exit {code}"
    if broken := checks("error"):
        return failed, f"the check itself is broken: {' '.join(broken)}"
    if untested := checks("untested"):
        return failed, f"untested: {' '.join(untested)}"
    return failed, "" if failed or code == 0 else f"exit {code}"


def _row(verdict: Verdict) -> str:
    first = verdict.caught_by[0] if verdict.caught_by else "NOT CAUGHT"
    more = f" and {len(verdict.caught_by) - 1} more" if len(verdict.caught_by) > 1 else ""
    note = f" ({verdict.note})" if verdict.note and not verdict.caught_by else ""
    return f"{verdict.clause:10} {verdict.fault:30} {first}{more}{note}"


def _clauses() -> list[str]:
    """The ids of the clauses of SPEC.md, all of which are a MUST or a SHOULD."""
    return re.findall(r"^- \*\*\[([A-Z]+-[0-9]+)\]\*\*", SPEC.read_text(), re.MULTILINE)


def _summary(verdicts: list[Verdict], wrong: list[str], clauses: Iterable[str]) -> bool:
    """Print what is left to do; is there anything?"""
    missed = [v for v in verdicts if not v.caught_by]
    proved: dict[str, int] = defaultdict(int)
    for verdict in verdicts:
        proved[verdict.clause] += bool(verdict.caught_by)
    unproven = [clause for clause in clauses if not proved[clause] and clause not in UNPROVABLE]
    print(f"\n{len(verdicts) - len(missed)} of {len(verdicts)} faults caught")
    for verdict in missed:
        print(f"NOT CAUGHT {_row(verdict)}: {verdict.what}")
    for clause in unproven:
        print(f"unproven: {clause}")
    for clause, reason in UNPROVABLE.items():
        print(f"unprovable: {clause} ({reason})")
    for line in wrong:
        print(f"wrong without a fault: {line}")
    return bool(missed or unproven or wrong)


if __name__ == "__main__":
    sys.exit(main())
