"""SPEC.md as one HTML file: on each clause its level, its checks, and the verdicts of servers. See ci/spec.

spec.py SPEC.md OUTPUT.html [report.json…]
"""

from __future__ import annotations

import html
import re
import sys
from collections import Counter
from pathlib import Path

from chatcheck.report import model, page
from markdown_it import MarkdownIt

# A clause's line, its continuation lines included: up to its notes, the next clause, or an empty line.
CLAUSE = re.compile(r"^- \*\*\[([A-Z]+-\d+)\]\*\*.*?(?=\n  - |\n- |\n\n|\Z)", re.MULTILINE | re.DOTALL)
MARK = "\u241e{}\u241e"  # where a clause's box is to stand; characters that no specification has
MARKED = re.compile("\u241e([A-Z]+-\\d+)\u241e")
BEGINNING = re.compile(r"<li>(\s*<p>)?<strong>\[([A-Z]+-\d+)\]</strong>")
REFERENCE = re.compile(r"\[([A-Z]+-\d+)\](?!</a>)")
HEADING = re.compile(r"<h([1-4])>(.*?)</h\1>")
STYLE = """<style>
main { max-width: 60rem; } li { margin: .5rem 0; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; }
.clause > strong a, .clause > p > strong a { text-decoration: none; }
.clause details { margin: .35rem 0 .6rem; color: var(--soft); font-size: .9rem; }
.clause:target { background: var(--card); outline: 2px solid var(--focus); border-radius: .5rem; }
.clause summary { cursor: pointer; } .clause summary .badge { margin: .1rem .15rem; }
</style>"""


def box(clause: str, reports: list[model.Report]) -> str:
    """A clause's checks, and what servers made of it."""
    found = [(report, result) for report in reports for result in report.clauses if result.id == clause]
    if not found:
        return ""
    badges = " ".join(page.badge(result.verdict, html.escape(report.target.name)) for report, result in found)
    checks = Counter(
        check.name.partition("[")[0] for _, result in found[:1] for check in result.checks
    ) or Counter(check.name.partition("[")[0] for _, result in found for check in result.checks)
    names = "".join(
        f"<li><code>{html.escape(name)}</code>{f', {n} cases' if n > 1 else ''}</li>"
        for name, n in checks.items()
    )
    return f"<details><summary>{badges} {len(checks)} checks</summary><ul>{names}</ul></details>"


def slug(title: str) -> str:
    """A heading's anchor, as GitHub makes it: links inside the document use those."""
    words = re.sub(r"<[^>]+>", "", html.unescape(title)).lower()
    return re.sub(r"[^\w\- ]", "", words).replace(" ", "-")


def render(text: str, reports: list[model.Report]) -> str:
    """The page."""
    marked = CLAUSE.sub(lambda found: found[0] + " " + MARK.format(found[1]), text)
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(marked)
    body = HEADING.sub(lambda found: f'<h{found[1]} id="{slug(found[2])}">{found[2]}</h{found[1]}>', body)
    body = BEGINNING.sub(
        lambda found: (
            f'<li class="clause" id="{found[2]}">{found[1] or ""}'
            f'<strong><a href="#{found[2]}">[{found[2]}]</a></strong>'
        ),
        body,
    )
    pieces = re.split(r"(<pre>.*?</pre>|<code>.*?</code>)", body, flags=re.DOTALL)
    body = "".join(
        piece if i % 2 else REFERENCE.sub(r'<a href="#\1">[\1]</a>', piece) for i, piece in enumerate(pieces)
    )
    body = MARKED.sub(lambda found: box(found[1], reports), body)
    return page.page("The chat protocol", f'<main id="main">{STYLE}{body}</main>')


def main() -> int:
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    reports = [model.loads(Path(path).read_bytes()) for path in sys.argv[3:]]
    Path(sys.argv[2]).write_text(
        render(Path(sys.argv[1]).read_text(encoding="utf-8"), reports), encoding="utf-8"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
