"""Recorder: listens to pytest while the checks run, and makes the Report of what it has heard."""

from __future__ import annotations

import datetime
import shlex
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Protocol

import pytest

from chatcheck.address import Address
from chatcheck.clauses import UNCHECKABLE, Clause, load_spec
from chatcheck.hidden import hide
from chatcheck.interrupts import Interrupts
from chatcheck.known_failures import KnownFailure, fingerprint, judge
from chatcheck.plugin import BROKEN_CONNECTION, clauses_of, server_key
from chatcheck.report import model, recorded, replay
from chatcheck.report.model import CheckResult, ClauseResult, Report
from chatcheck.settings import Settings, WrongUse, nearest
from chatcheck.target import Server
from chatcheck.transcript import show_text
from chatcheck.verdict import Mismatch

LEFT_OUT = "left out by --only"
_MESSAGE_MAX = 400
_MADE = "made"  # the property of a report that has what came of the check


class Progress(Protocol):
    """Who is told while the checks run."""

    def begins(self, n_checks: int) -> None:
        """So many checks are going to be made."""

    def checked(self, clauses: Sequence[str], check: CheckResult) -> None:
        """A check has ended."""


@dataclass(frozen=True)
class Made:
    """A check that was made, for which clauses, and why it came to no verdict, if it did not."""

    check: CheckResult
    clauses: tuple[str, ...]
    reason: str | None


class Recorder:
    """A plugin object for one run of pytest."""

    def __init__(
        self,
        settings: Settings,
        known: dict[str, KnownFailure],
        progress: Progress,
        interrupts: Interrupts,
    ) -> None:
        self._settings = settings
        self._interrupts = interrupts
        self._known = known
        self._progress = progress
        self._started = time.time()
        self._began = time.monotonic()
        self._names: list[str] = []  # of all checks, in their order
        self._made: dict[str, Made] = {}
        self.broken: str | None = None  # why the run says nothing about the server
        self.cut_short: str | None = None  # why it ended before all checks were made
        self.wrong_use: WrongUse | None = None
        spec = load_spec()
        self.selected = {clause.id for clause in spec.clauses if self._why_left_out(clause) is None}

    def breaks(self, why: str) -> None:
        """The run says nothing about the server; the first reason is the one that is told."""
        self.broken = self.broken or why

    def ends_early(self, why: str) -> None:
        """The same, and checks were left out."""
        self.breaks(why)
        self.cut_short = "the run ended early"

    @property
    def n_checked(self) -> int:
        """How many checks came to a verdict."""
        return sum(made.check.verdict not in ("untested", "not_applicable") for made in self._made.values())

    # What pytest tells

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        names = {name_of(item.nodeid) for item in items}
        for name, known in self._known.items():
            if name not in names:
                where = f"{self._settings.known_failures}: {known.clause}"
                self.wrong_use = WrongUse(f"{where} has no check {name}; {nearest(name, names)}")
                items.clear()
        items[:] = [item for item in items if self.selected.intersection(clauses_of(item))]
        self._names = [name_of(item.nodeid) for item in items]
        self._progress.begins(len(items))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """What a check has come to travels with its report, for the check may be made by a worker."""
        report = yield
        properties = dict(report.user_properties)
        if "verdict" not in properties:  # nothing has come of this phase
            return report
        check = CheckResult(name_of(report.nodeid), str(properties["verdict"]), report.duration)
        if report.failed or check.verdict == "warn":
            check = _explained(check, call, report, item.stash.get(server_key, None))
        clauses = tuple(c for c in clauses_of(item) if c in self.selected)
        reason = properties.get("reason")
        made = Made(check, clauses, str(reason) if reason is not None else None)
        report.user_properties.append((_MADE, made))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = name_of(report.nodeid)
        before, made = self._made.get(name), dict(report.user_properties).get(_MADE)
        seconds = report.duration + (before.check.duration_s if before else 0.0)
        if isinstance(made, Made):
            made = replace(made, check=judge(made.check, self._known.get(name)))
            if before is None or _is_worse(made.check, before.check):
                self._made[name] = made
        if name in self._made:
            made = self._made[name]
            self._made[name] = replace(made, check=replace(made.check, duration_s=seconds))

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        made = self._made.get(name_of(nodeid))
        if made is not None:
            self._progress.checked(made.clauses, made.check)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.broken = f"the suite cannot read its own checks:\n{report.longreprtext}"

    def pytest_internalerror(self, excrepr: object) -> None:
        self.breaks(f"the suite broke:\n{excrepr}")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        if isinstance(excinfo.value, pytest.Session.Interrupted):  # session.shouldstop
            return
        is_ours = isinstance(excinfo.value, pytest.exit.Exception)
        self.ends_early(str(excinfo.value) if is_ours else "interrupted")

    def pytest_runtest_logstart(self) -> None:
        self._interrupts.check()

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.shouldstop:
            self.cut_short = hide(str(session.shouldstop))

    # What becomes of it

    def report(self, arguments: Sequence[str]) -> Report:
        """The report of the run that has ended."""
        spec = load_spec()
        clauses = tuple(self._clause(clause) for clause in spec.clauses)
        settings = self._settings
        return Report(
            suite=model.Suite("chatcheck", version("chatcheck")),
            spec_version=spec.version,
            target=_target(settings),
            profile=settings.profile,
            features=tuple(settings.features),
            started=datetime.datetime.fromtimestamp(self._started, datetime.UTC).isoformat(
                timespec="seconds"
            ),
            duration_s=round(time.monotonic() - self._began, 3),
            verdict=self._verdict(clauses),
            counts=model.count(clauses),
            clauses=clauses,
            arguments=tuple(map(hide, arguments)),
        )

    def _verdict(self, clauses: Sequence[ClauseResult]) -> str:
        verdicts = {clause.verdict for clause in clauses}
        if self.broken is not None or self.n_checked == 0:
            return model.BROKEN
        if verdicts & {"fail", "inconclusive"}:
            return model.NOT_CONFORMANT
        return model.BROKEN if "error" in verdicts else model.CONFORMANT

    def _clause(self, clause: Clause) -> ClauseResult:
        made = [self._made[name] for name in self._names if name in self._made]
        made = [one for one in made if clause.id in one.clauses]
        why = self._why_left_out(clause)
        if why is not None:
            verdict = "untested" if self._settings.why_not(clause) is None else "not_applicable"
        elif not made:
            verdict, why = "untested", UNCHECKABLE.get(clause.id, self.cut_short or "no check was made")
        else:
            verdict = model.worst(one.check.verdict for one in made)
            silent = [one for one in made if one.check.verdict in ("untested", verdict)]
            why = "; ".join(sorted({one.reason for one in silent if one.reason is not None})) or None
        checks = tuple(one.check for one in made)
        title = load_spec().sections[clause.section]
        return ClauseResult(
            clause.id,
            clause.section,
            clause.level,
            clause.sentence,
            clause.original,
            verdict,
            why,
            checks,
            title,
        )

    def _why_left_out(self, clause: Clause) -> str | None:
        only = self._settings.only
        return self._settings.why_not(clause) or (LEFT_OUT if only and clause.id not in only else None)


def name_of(nodeid: str) -> str:
    """A check's name, the same wherever the suite is installed: pytest's node id without folders."""
    path, colons, test = nodeid.partition("::")
    return path.rpartition("/")[2] + colons + test


def _target(settings: Settings) -> model.TargetInfo:
    url = str(Address.parse(settings.url[0])) if settings.url else None
    program = shlex.split(settings.start)[0].rpartition("/")[2] if settings.start else None
    start = hide(settings.start) if settings.start else None
    return model.TargetInfo(settings.name or program or str(url), url, start)


def _is_worse(check: CheckResult, other: CheckResult) -> bool:
    return model.VERDICTS.index(check.verdict) < model.VERDICTS.index(other.verdict)


def _explained(
    check: CheckResult, call: pytest.CallInfo[None], report: pytest.TestReport, server: Server | None
) -> CheckResult:
    """The check with all that explains why it failed."""
    error = call.excinfo.value if call.excinfo is not None else None
    expected = got = None
    if isinstance(error, Mismatch):
        expected, got = error.expected, error.got
        wrong = f"expected {expected}; got {got}"
    elif check.verdict == "error":
        expected, got = "that the check itself works", report.longreprtext
        wrong = f"the check broke: {type(error).__name__}: {error}"
    elif isinstance(error, BROKEN_CONNECTION):
        expected, got = "a connection that is accepted and stays", str(error)
        wrong = f"expected {expected}; got {got}"
    else:
        wrong = str(error)
    wrong = hide(wrong)
    expected, got = expected and hide(expected), got and hide(got)
    check = replace(check, expected=expected, got=got, fingerprint=fingerprint(check.verdict, wrong))
    check = replace(check, message=_one_line(wrong))
    if server is None:
        return check
    entries = server.transcript.entries
    return replace(
        check,
        conversation=recorded.lines(entries),
        replay=replay.script(entries, f"{check.name}: {check.message}"),
        server_log=server.log().strip(),
    )


def _one_line(text: str) -> str:
    first = next((line.strip() for line in text.splitlines() if line.strip()), "(no message)")
    return show_text(first)[:_MESSAGE_MAX]
