"""What a run says on the terminal: progress while it runs, then what failed and why, a short summary last."""

from __future__ import annotations

import textwrap
import time
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

from chatcheck.hidden import hide
from chatcheck.recorder import LEFT_OUT
from chatcheck.report.model import BROKEN, CONFORMANT, RED, CheckResult, ClauseResult, Report

_EXPLAINED_MAX = 10  # clauses; the rest is in the reports
_CONVERSATION_MAX = 40  # lines
_NAMED_MAX = 3  # checks of one clause that are named while the run goes on; the reports have all
_TICK_SECONDS = 5.0  # between two lines of progress where there is no terminal
_WIDTH = 110


class Console:
    """Writes to a stream; on a terminal, progress is one line that changes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._n_checks = self._n_done = self._n_failed = 0
        self._last_tick = time.monotonic()
        self._n_red: Counter[str] = Counter()  # of each clause

    def say(self, text: str = "") -> None:
        """Write a line, whatever characters it has, without secrets."""
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(hide(text).encode(encoding, "backslashreplace").decode(encoding) + "\n")
        self._stream.flush()

    def begins(self, n_checks: int) -> None:
        """The first sign of life, before the server is started."""
        self._n_checks = n_checks
        if n_checks:
            self.say(f"{n_checks} checks")

    def checked(self, clauses: Sequence[str], check: CheckResult) -> None:
        """Count a check, and name it at once if it is red."""
        self._n_done += 1
        if check.verdict in RED:
            self._n_failed += 1
            self._name(clauses, check)
        now = time.monotonic()
        line = f"{self._n_done}/{self._n_checks} checks, {self._n_failed} failed"
        if self._is_terminal:
            self._stream.write(f"\r{line}  {clauses[0] if clauses else '':12}")
            self._stream.flush()
        elif now - self._last_tick >= _TICK_SECONDS or self._n_done == self._n_checks:
            self._last_tick = now
            self.say(line)

    def _name(self, clauses: Sequence[str], check: CheckResult) -> None:
        """Say that it is red, unless enough was said of its clauses."""
        self._n_red.update(clauses)
        n_before = min((self._n_red[clause] - 1 for clause in clauses), default=0)
        if n_before > _NAMED_MAX:
            return
        self._clear()
        if n_before == _NAMED_MAX:
            self.say(f"… and more of {' '.join(clauses)}")
            return
        self.say(f"{check.verdict.upper()} {' '.join(clauses)}  {check.name}")
        self.say(f"     {check.message}")

    def explain(self, report: Report) -> None:
        """Each red clause with its sentence and its first failed check, whole."""
        self._clear()
        red = [clause for clause in report.clauses if clause.verdict in RED]
        for clause in red[:_EXPLAINED_MAX]:
            failed = [check for check in clause.checks if check.verdict in RED]
            self._explain(clause, failed[0])
            if len(failed) > 1:
                self.say(f"(other checks of {clause.id} that failed: {len(failed) - 1})")
        if len(red) > _EXPLAINED_MAX:
            self.say(f"\n{len(red) - _EXPLAINED_MAX} more clauses failed; --html FILE explains all of them")

    def summarize(self, report: Report, notes: Sequence[str]) -> None:
        """The end of the output: what became of the clauses, and the verdict."""
        self.say("\n== Summary")
        for clause in report.clauses:
            if clause.verdict in (*RED, "warn", "known"):
                self._summarize(clause.verdict, clause.id, clause.first_message)
        if report.verdict != BROKEN:
            self._list_untested(report.clauses)
        for note in [*report.alike, *notes]:
            self.say(f"note: {note}")
        counts = ", ".join(f"{n} {verdict.replace('_', ' ')}" for verdict, n in report.counts.items())
        self.say(f"clauses: {counts}")
        verdict = report.verdict if report.verdict == CONFORMANT else report.verdict.upper()
        level = f"profile {report.profile}" + "".join(f", feature {name}" for name in report.features)
        self.say(
            f"{report.target.name}: {verdict}"
            f" (chat protocol {report.spec_version}, {level}; {report.duration_s:.1f} s)"
        )

    def _explain(self, clause: ClauseResult, check: CheckResult) -> None:
        section = f"section {clause.section} {clause.section_title}"
        self.say(f"\n== {check.verdict}: {clause.id}, {clause.level}, {section}")
        self.say(textwrap.fill(clause.sentence, _WIDTH, initial_indent="  ", subsequent_indent="  "))
        self.say(f"check:    {check.name}")
        if check.expected is None or check.got is None:
            self.say(f"wrong:    {check.message}")
        else:
            self.say(f"expected: {check.expected}\n     got: {check.got}")
        lines = check.conversation
        if len(lines) > _CONVERSATION_MAX:
            self.say(
                f"conversation (the last {_CONVERSATION_MAX} of {len(lines)} lines; --html FILE has all):"
            )
        elif lines:
            self.say("conversation:")
        for line in lines[-_CONVERSATION_MAX:]:
            mark = line.direction if line.direction != "-" else " "
            self.say(f"{line.t_s:8.3f}s {line.connection:>3} {mark} {line.text}")
        if check.server_log:
            self.say("the end of the server's log:")
            self.say(textwrap.indent("\n".join(check.server_log.splitlines()[-10:]), "  "))

    def _list_untested(self, clauses: Sequence[ClauseResult]) -> None:
        groups: dict[tuple[str, str], list[str]] = {}
        for clause in clauses:
            if clause.reason not in (None, LEFT_OUT) and clause.verdict != "not_applicable":
                title = "untested" if clause.verdict == "untested" else "untested in part"
                groups.setdefault((title, str(clause.reason)), []).append(clause.id)
        for (title, reason), ids in sorted(groups.items(), key=lambda group: group[0][0]):
            self._summarize(title, f"({reason})", " ".join(ids))

    def _summarize(self, title: str, subject: str, text: str) -> None:
        self.say(textwrap.shorten(f"{title}: {subject} {text}", 4 * _WIDTH, placeholder=" …"))

    def _clear(self) -> None:
        """Leave the line of progress."""
        if self._is_terminal:
            self._stream.write("\r\x1b[K")
