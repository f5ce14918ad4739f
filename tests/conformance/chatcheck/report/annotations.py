"""The report as GitHub's workflow commands: an annotation for each clause that is red, or a warning.

They stand at the clause's line of the known-failures file where one was given, for that is the file of the
implementer's repository that is about it; else at no file.
"""

from __future__ import annotations

from pathlib import Path

from chatcheck.report.model import RED, CheckResult, ClauseResult, Report
from chatcheck.report.text import one_line

_SHOWN_PER_LEVEL = 10  # GitHub shows no more of a step


def render(report: Report, path: Path | None = None) -> str:
    """The commands, a line each; red ones first, and one that says how many are not shown.

    `path`: the known-failures file, if there is one.
    """
    errors = [c for c in report.clauses if c.verdict in RED]
    warnings = [c for c in report.clauses if c.verdict == "warn"]
    lines = [*_commands("error", errors, path), *_commands("warning", warnings, path)]
    return "".join(f"{line}\n" for line in lines)


def _commands(level: str, clauses: list[ClauseResult], path: Path | None) -> list[str]:
    shown = clauses if len(clauses) <= _SHOWN_PER_LEVEL else clauses[: _SHOWN_PER_LEVEL - 1]
    lines = [_command(level, _place(clause, path), _title(clause), _message(clause)) for clause in shown]
    rest = [clause.id for clause in clauses[len(shown) :]]
    if rest:
        lines.append(_command(level, {}, f"{len(rest)} more clauses", " ".join(rest)))
    return lines


def _command(level: str, place: dict[str, str], title: str, message: str) -> str:
    members = {**place, "title": title}
    properties = ",".join(f"{name}={_property(value)}" for name, value in members.items())
    return f"::{level} {properties}::{_data(message)}"


def _title(clause: ClauseResult) -> str:
    return f"{clause.id} ({clause.level}): {clause.verdict}"


def _message(clause: ClauseResult) -> str:
    check: CheckResult | None = next((c for c in clause.failures if c.verdict == clause.verdict), None)
    why = check.message if check is not None else clause.reason or ""
    return f"{one_line(why, 500)}\n{one_line(clause.sentence, 500)}"


def _place(clause: ClauseResult, path: Path | None) -> dict[str, str]:
    """Where the file lists the clause; its first line if it does not; nowhere without a file."""
    if path is None:
        return {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    numbers = [number for number, line in enumerate(lines, 1) if clause.id in _words(line.partition("#")[0])]
    return {"file": str(path), "line": str(numbers[0] if numbers else 1)}


def _words(line: str) -> list[str]:
    return "".join(c if c.isalnum() or c == "-" else " " for c in line).split()


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text)).replace(":", "%3A").replace(",", "%2C")
