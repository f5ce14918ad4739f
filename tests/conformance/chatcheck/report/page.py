"""The frame of an HTML report: one file that loads nothing, and runs no script but its own."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path

from chatcheck.report.text import block, one_line

_FOLDER = Path(__file__).parent
GLYPHS = {
    "pass": "✓",
    "fail": "✗",
    "warn": "!",
    "inconclusive": "?",
    "untested": "·",
    "not_applicable": "–",
    "error": "‼",
    "known": "≈",
}
_CODE = re.compile(r"`([^`]+)`")
_CLAUSE = re.compile(r"\[([A-Z]+-\d+)\]")
_STRONG = re.compile(r"\*\*([^*]+)\*\*")
_EMPHASIS = re.compile(r"\*([^*\s][^*]*)\*")


def page(title: str, body: str) -> str:
    """The whole file. The policy lets this script run by its hash, so nothing that a server said can run."""
    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    script = (_FOLDER / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"
    return f"""<!DOCTYPE html>
<html lang="en" class="no-script">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="chatcheck">
<title>{text(title)}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the results</a>
{body}
<script>{script}</script>
</body>
</html>
"""


def text(value: str, limit: int = 2000) -> str:
    """Any text on one line, as HTML."""
    return html.escape(one_line(value, limit))


def lines(value: str) -> str:
    """Any text with its lines, as HTML."""
    return html.escape(block(value))


def sentence(value: str, links: bool = True) -> str:
    """A sentence of SPEC.md: its code, emphasis and references to clauses, which are linked."""
    parts = _CODE.split(one_line(value, 4000))
    made = [
        _prose(part, links) if i % 2 == 0 else f"<code>{html.escape(part)}</code>"
        for i, part in enumerate(parts)
    ]
    return "".join(made)


def _prose(value: str, links: bool) -> str:
    made = _STRONG.sub(r"<strong>\1</strong>", html.escape(value))
    made = _EMPHASIS.sub(r"<em>\1</em>", made)
    return _CLAUSE.sub(r'<a href="#clause-\1">\1</a>' if links else r"\1", made)


def badge(verdict: str, label: str | None = None) -> str:
    """A verdict as a coloured pill; the sign says it without colours, too."""
    words = label if label is not None else name(verdict)
    return (
        f'<span class="badge v v-{verdict}"><span aria-hidden="true">{GLYPHS[verdict]} </span>{words}</span>'
    )


def name(verdict: str) -> str:
    """A verdict in words."""
    return "known failure" if verdict == "known" else verdict.replace("_", " ")


def facts(pairs: dict[str, str]) -> str:
    """Names and values in one flow; the values are HTML."""
    made = "".join(f"<div><dt>{key}</dt><dd>{value}</dd></div>" for key, value in pairs.items() if value)
    return f'<dl class="facts">{made}</dl>'
