"""The command chatcheck: does a server conform to the chat protocol?"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import NoReturn

import pytest

from chatcheck import output, plugin
from chatcheck import report as reports
from chatcheck.address import Address, CannotConnect
from chatcheck.clauses import load_spec, read_checks
from chatcheck.console import Console
from chatcheck.hidden import hide, remember
from chatcheck.interrupts import interrupts
from chatcheck.known_failures import read_known_failures, write_baseline
from chatcheck.recorder import Recorder
from chatcheck.report.model import CONFORMANT, NOT_CONFORMANT, Report, ReportError, loads
from chatcheck.settings import (
    FEATURES,
    FILE_NAME,
    Settings,
    WrongUse,
    add_flags,
    check_target,
    check_writable,
    has_clauses,
    read_settings,
)
from chatcheck.target import StillListens, Unreachable

CONFORMS, CONFORMS_NOT, WRONG_USE, BROKEN = range(4)
_PACKAGE = Path(__file__).parent
_EPILOG = f"""\
chatcheck baseline --output FILE …        writes the failures of a run as known failures
chatcheck compare A.json B.json --html F  puts the reports of several servers side by side

Every flag of a run can also stand in {FILE_NAME} of the current folder, without its dashes: profile = "core"

Exit status: 0 conformant, 1 not conformant, 2 wrong use or nothing selected, 3 the server cannot be reached,
or the suite broke or was interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    output.prepare()
    for word in words:
        remember(word)
    status = _main(words)
    lost = output.finish()
    if lost is not None:
        _complain(f"the output cannot be written: {lost}")
        return status or BROKEN
    return status


def _main(words: list[str]) -> int:
    commands = {"baseline": _baseline, "compare": _compare}
    interrupts.listen()
    try:
        if words and words[0] in commands:
            return commands[words[0]](words[1:])
        return _check(words)
    except SystemExit as end:  # argparse has said why
        return int(end.code or 0)
    except WrongUse as error:
        _complain(str(error))
        return WRONG_USE
    except Unreachable as error:
        _complain(f"the server cannot be reached: {error}")
        return BROKEN
    except Exception:  # a traceback alone would end with 1, which says something about the server
        print(hide(traceback.format_exc()), file=sys.stderr)
        _complain("the suite itself broke; please report it")
        return BROKEN


def _complain(text: str) -> None:
    print(f"chatcheck: {hide(text)}", file=sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        super().error(hide(message))


def _parser(name: str, description: str, epilog: str | None = None) -> argparse.ArgumentParser:
    return _Parser(
        name, description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def _check(words: list[str]) -> int:
    parser = _parser("chatcheck", str(__doc__), _EPILOG)
    parser.add_argument("--version", action="version", version=f"chatcheck {version('chatcheck')}")
    parser.add_argument("--list", action="store_true", help="list the clauses that would be checked, and end")
    add_flags(parser)
    flags = parser.parse_args(words)
    settings = read_settings(flags, Path.cwd())
    if flags.list:
        return _list(settings)
    report, status = _run(settings, words)
    written = [_write(report, kind, path) for kind, path in settings.reports.items()]
    if settings.annotations:
        reports.annotate(report, settings.known_failures)
    return status if all(written) else status or BROKEN


def _baseline(words: list[str]) -> int:
    parser = _parser("chatcheck baseline", "Run the checks and write those that fail as known failures.")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="the file to write")
    add_flags(parser)
    flags = parser.parse_args(words)
    settings = read_settings(flags, Path.cwd())
    check_writable("output", flags.output)
    before = {}
    if settings.known_failures is not None and settings.known_failures.exists():
        before = read_known_failures(settings.known_failures, _clause_ids(), need_reasons=False)
    report, status = _run(replace(settings, known_failures=None), words)
    if status in (WRONG_USE, BROKEN):
        _complain("no baseline is written, for this run says nothing about the server")
        return status
    try:
        n_failures = write_baseline(flags.output, report.clauses, before)
    except OSError as error:
        _complain(f"--output {flags.output} cannot be written: {error.strerror}")
        return BROKEN
    print(f"{flags.output}: {n_failures} known failures; give each its reason, then use --known-failures")
    return CONFORMS


def _compare(words: list[str]) -> int:
    parser = _parser("chatcheck compare", "Put the JSON reports of several servers side by side.")
    parser.add_argument("reports", nargs="+", type=Path, metavar="REPORT.json", help="written by --json")
    parser.add_argument("--html", type=Path, required=True, metavar="FILE", help="the page to write")
    flags = parser.parse_args(words)
    check_writable("html", flags.html)
    compared = []
    for path in flags.reports:
        try:
            compared.append(loads(path.read_bytes()))
        except (OSError, ReportError) as error:
            raise WrongUse(f"{path}: {error}") from None
    try:
        reports.compare(compared, flags.html)
    except OSError as error:
        _complain(f"--html {flags.html} cannot be written: {error.strerror}")
        return BROKEN
    return CONFORMS


def _write(report: Report, kind: str, path: Path) -> bool:
    """Write a report; if that fails, the others are written all the same."""
    try:
        reports.write(report, kind, path)
    except OSError as error:
        _complain(f"--{kind} {path} cannot be written: {error.strerror}")
        return False
    return True


def _list(settings: Settings) -> int:
    """Print the clauses that apply, with how many tests each has."""
    checks = read_checks(_PACKAGE / "tests")
    clauses = [c for c in load_spec().clauses if settings.why_not(c) is None]
    clauses = [c for c in clauses if not settings.only or c.id in settings.only]
    for clause in clauses:
        n_checks = sum(clause.id in check.clauses for check in checks)
        print(f"{clause.id:10} {clause.level:10} {n_checks:2} tests  {clause.sentence}")
    return CONFORMS if clauses else WRONG_USE


def _run(settings: Settings, words: Sequence[str]) -> tuple[Report, int]:
    """Make the checks, and say what came of it."""
    check_target(settings)
    known = read_known_failures(settings.known_failures, _clause_ids()) if settings.known_failures else {}
    console = Console(sys.stdout)
    recorder = Recorder(settings, known, console, interrupts)
    if not recorder.selected:
        raise WrongUse(_nothing_selected(settings))
    _make_checks(settings, recorder)
    if recorder.wrong_use is not None:
        raise recorder.wrong_use
    report = recorder.report(words)
    console.explain(report)
    console.summarize(report, _notes(settings))
    if recorder.broken is not None:
        _complain(recorder.broken)
        return report, BROKEN
    if recorder.n_checked == 0:
        _complain("nothing was checked; the summary says what each clause would need")
        return report, WRONG_USE
    return report, {CONFORMANT: CONFORMS, NOT_CONFORMANT: CONFORMS_NOT}.get(report.verdict, BROKEN)


def _make_checks(settings: Settings, recorder: Recorder) -> None:
    """Let pytest make the checks. However that ends, the recorder can report on it."""
    try:
        with interrupts.raised():
            _check_nodes(settings)
            status = pytest.main(_pytest_arguments(settings), plugins=[plugin, recorder])
            interrupts.check()
        if status in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
            recorder.breaks("the suite broke before it could check anything")
    except KeyboardInterrupt:
        recorder.ends_early("interrupted")
    except Unreachable as error:
        recorder.ends_early(f"the server cannot be reached: {error}")
    except StillListens as error:  # when the run ended
        recorder.ends_early(str(error))
    except Exception:
        if interrupts.came:  # what it left half done may be found only when pytest clears up
            recorder.ends_early("interrupted")
        else:
            recorder.breaks(f"the suite itself broke; please report it\n{traceback.format_exc()}")


def _clause_ids() -> list[str]:
    return [clause.id for clause in load_spec().clauses]


def _nothing_selected(settings: Settings) -> str:
    """Why no clause is left, for each that was asked for."""
    asked = [clause for clause in load_spec().clauses if clause.id in settings.only]
    reasons = "; ".join(f"{clause.id}: {settings.why_not(clause)}" for clause in asked)
    return f"nothing is selected ({reasons}); see --profile and --feature"


def _check_nodes(settings: Settings) -> None:
    """Raise Unreachable if a node besides the first, which pytest looks at, does not accept connections."""
    for url in settings.url[1:]:
        address = Address.parse(url, settings.cafile)
        try:
            address.connect().close()
        except CannotConnect as error:
            raise Unreachable(f"{address}: {error}") from None


def _notes(settings: Settings) -> list[str]:
    """What a reader of the summary might otherwise take for granted."""
    notes = [
        f"the feature {name} is declared, but this suite has no checks for it yet: nothing is known of it"
        for name in settings.features
        if not has_clauses(name)
    ]
    if len(settings.url) > 1 and "nodes" not in settings.features:
        notes.append(
            f"all checks were made at {hide(settings.url[0])}: add --feature nodes to check several nodes"
        )
    if settings.shows_redis and "redis" not in settings.features and settings.profile != "original":
        notes.append("section 5, the store in Redis, was not checked: add --feature redis")
    return notes


def _pytest_arguments(settings: Settings) -> list[str]:
    """pytest is told all it needs; nothing that lies around where the user is may change the run."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    arguments = ["-p", "no:terminal", "-p", "no:cacheprovider", "-c", os.devnull]
    arguments += ["--rootdir", str(_PACKAGE), "--noconftest", "--strict-markers", "-W", "error"]
    arguments += ["--pyargs", "chatcheck.tests"]
    single = {
        "start": settings.start,
        "redis": settings.redis,
        "cafile": settings.cafile,
    }
    for name in (
        "start-wait",
        "profile",
        "timeout-factor",
        "jobs",
        "message-limit",
        "nesting-limit",
        "device-limit",
        "connections-limit",
        "ping-wait",
        "message-wait",
        "refresh-wait",
        "death-wait",
        "confirm-wait",
        "broadcast-wait",
        "history-max",
        "broadcaster",
    ):
        single[name] = getattr(settings, name.replace("-", "_"))
    arguments += [f"--{name}={value}" for name, value in single.items() if value is not None]
    arguments += [f"--url={url}" for url in settings.url]
    arguments += [f"--path={path}" for path in settings.path]
    arguments += [f"--feature={name}" for name in settings.features if name in FEATURES]
    flags = {"--strict-should": settings.strict, "--volatile": settings.volatile}
    return [*arguments, *(flag for flag, is_set in flags.items() if is_set)]
