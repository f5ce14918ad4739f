"""The report as Markdown for a GitHub step summary: counts, then what failed, a line each."""

from __future__ import annotations

import re

from chatcheck.report.model import CONFORMANT, RED, ClauseResult, Report
from chatcheck.report.text import one_line

_SIZE_MAX = 1 << 19  # bytes; GitHub takes 1 MiB from all of a job's steps
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+!|~>=:@$-])")
ICONS = {
    "pass": "✅",
    "fail": "❌",
    "warn": "⚠️",
    "inconclusive": "❓",
    "untested": "⬜",
    "not_applicable": "➖",
    "error": "💥",
    "known": "📌",
}


def render(report: Report) -> str:
    """The Markdown text; the last rows are left out, and said so, if GitHub would refuse it."""
    rows = [
        *_table("Failed", [c for c in report.clauses if c.verdict in RED]),
        *_table("Warnings", [c for c in report.clauses if c.verdict == "warn"]),
        *_table("Known failures", [c for c in report.clauses if c.verdict == "known"]),
        *_table("Untested", [c for c in report.clauses if c.verdict == "untested"]),
    ]
    head = _head(report)
    size = sum(len(line.encode()) + 1 for line in head)
    for number, row in enumerate(rows):
        size += len(row.encode()) + 1
        if size > _SIZE_MAX:
            more = f"\n…and {len(rows) - number} lines more; see the JSON or HTML report.\n"
            return "\n".join([*head, *rows[:number], more])
    return "\n".join([*head, *rows, ""])


def _head(report: Report) -> list[str]:
    icon = "✅" if report.verdict == CONFORMANT else "❌"
    target = code(report.target.name)
    counts = " · ".join(
        f"{ICONS[v]} {n} {v.replace('_', ' ')}" for v, n in report.counts.items() if v in ICONS
    )
    return [
        f"## {icon} {target} is {escape(report.verdict)}"
        if report.verdict != "broken"
        else "## 💥 The run broke",
        "",
        f"{counts}",
        "",
        f"{len(report.clauses)} clauses of the chat protocol {escape(report.spec_version)}, profile "
        f"{escape(report.profile)}, {report.duration_s:.1f} s, "
        f"{escape(report.suite.name)} {escape(report.suite.version)}",
        "",
    ]


def _table(title: str, clauses: list[ClauseResult]) -> list[str]:
    if not clauses:
        return []
    rows = [f"| {ICONS[c.verdict]} {escape(c.id)} | {c.level} | {_why(c)} |" for c in clauses]
    return [f"### {title}", "", "| clause | level | why |", "| --- | --- | --- |", *rows, ""]


def _why(clause: ClauseResult) -> str:
    failures = clause.failures
    if not failures:
        return escape(clause.reason or "")
    first = min(failures, key=lambda check: check.verdict != clause.verdict)
    more = f" *(and {len(failures) - 1} more)*" if len(failures) > 1 else ""
    return code(first.known or first.message) + more


def escape(text: str) -> str:
    """Text that Markdown and HTML leave as it is."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;")
    return _SPECIAL.sub(r"\\\1", text)


def code(text: str) -> str:
    """A code span for a cell of a table: HTML's element, for backquotes cannot quote everything."""
    text = one_line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "<code>" + re.sub(r"[\\`*_{}\[\]()#+!|~=:@$-]", lambda c: f"&#{ord(c[0])};", text) + "</code>"
