"""Runs the checks for the proofs: against models (prove.py, prove_useless.py) and chatd (prove_chatd.py)."""

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
TESTS = HERE / "chatcheck" / "tests"

# What the models document, told to the suite.
MODEL_DOCUMENTED = ["--message-limit=1048576", "--nesting-limit=512", "--refresh-wait=4", "--death-wait=6"]
PYTEST = "-m pytest -q --tb=no -p model.pytest_plugin -p no:cacheprovider"


@dataclass(frozen=True)
class Run:
    """One server, and the checks that it is put to."""

    start: str  # the command, with {port} and maybe {redis}
    checks: list[str] = field(default_factory=list)  # options of the suite, and files
    seconds: float = 90.0  # at most
    patience: float = 1.0  # the suite's --timeout-factor
    strict: bool = True  # is a SHOULD that is not kept a failure?


def model_command(*options: str, redis: bool = True, features: tuple[str, ...] = ()) -> str:
    """The command that starts a model with these options."""
    start = [sys.executable, "-m model --port {port} --refresh 2", *options, *feature_options(features)]
    return " ".join([*start, "--redis {redis}"] if redis else start)


def feature_options(features: tuple[str, ...]) -> list[str]:
    """What the model and the suite are told alike."""
    return [f"--feature={name}" for name in features]


def run_checks(run: Run) -> tuple[dict[str, str], str]:
    """The verdict of each check that was made, and why if there is none."""
    with tempfile.TemporaryDirectory(prefix="prove-") as folder:
        report = Path(folder, "verdicts.json")
        command = [sys.executable, *PYTEST.split(), f"--model-report={report}"]
        command += [f"--timeout-factor={run.patience}", "--start", run.start, *run.checks]
        command += ["--strict-should"] * run.strict
        try:
            done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=run.seconds)
        except subprocess.TimeoutExpired:
            return {}, f"no end within {run.seconds:g} s"
        verdicts: dict[str, str] = json.loads(report.read_text()) if report.exists() else {}
    if verdicts:
        return verdicts, ""
    return {}, f"exit {done.returncode}: {(done.stdout + done.stderr).strip()[-300:]}"


@cache
def files_of(clause: str) -> list[str]:
    """The files that have checks of this clause: to collect all the others takes longer than most checks."""
    return [str(path) for path in sorted(TESTS.glob("test_*.py")) if f'"{clause}"' in path.read_text()]


def short_name(check: str) -> str:
    """A check's name without its file."""
    return check.partition("::")[2] or check


def clauses_of(check: str) -> list[str]:
    """The clauses that a check, named with its file and without its parameters, is marked with."""
    file, _, name = check.partition("::")
    source = (HERE / file).read_text()
    marks = source[: source.index(f"def {name}(")].rpartition("\n\n\n")[2]
    return re.findall(r'"([A-Z]+-[0-9]+)"', marks.partition("mark.spec(")[2].partition(")")[0])
