"""The report as one HTML page, for people: the verdict, a map of the clauses, what failed and why."""

from __future__ import annotations

import html
from collections import defaultdict
from datetime import datetime

from chatcheck.report.model import RED, VERDICTS, CheckResult, ClauseResult, Line, Report
from chatcheck.report.page import GLYPHS, badge, facts, lines, name, page, sentence, text
from chatcheck.report.text import escape

_EXPLAINED_MAX = 3  # checks of one clause that are shown in full
_FULL_MAX = 150  # checks of all clauses that are; a server that does nothing fails more than a thousand
_HEADLINES = {
    "conformant": ("pass", "conforms to"),
    "not conformant": ("fail", "does not conform to"),
    "broken": ("error", "could not be checked against"),
}


def render(report: Report) -> str:
    """The file's text."""
    parts = [_top(report), '<main id="main" tabindex="-1">', _filter(report), _map(report), _failures(report)]
    parts += ["<h2>All clauses</h2>", *_sections(report), "</main>", _foot(report)]
    verdict, _ = _headline(report)
    return page(f"{GLYPHS[verdict]} {report.target.name}: {report.verdict} – chatcheck", "\n".join(parts))


def _headline(report: Report) -> tuple[str, str]:
    return _HEADLINES.get(report.verdict, ("error", report.verdict))


def _top(report: Report) -> str:
    verdict, words = _headline(report)
    shares = [
        f'<span class="v v-{v}" style="flex:{report.counts[v]}"></span>'
        for v in _order(report)
        if report.counts[v]
    ]
    target = report.target
    known = {
        "Server": text(target.url or "") if target.url != target.name else "",
        "Started by": f"<code>{text(target.start)}</code>" if target.start else "",
        "Profile": text(report.profile),
        "Features": text(", ".join(report.features)),
        "Checked": f"<time>{text(_when(report.started))}</time>",
        "Took": f"{report.duration_s:.1f} s",
    }
    return f"""<header class="top">
<p class="brand">chatcheck – conformance report</p>
<h1>{text(target.name)} <span class="verdict v v-{verdict}">{text(words)}</span>
the chat protocol {text(report.spec_version)}</h1>
{facts(known)}
<div class="bar" aria-hidden="true">{"".join(shares)}</div>
</header>"""


def _when(started: str) -> str:
    try:
        return f"{datetime.fromisoformat(started):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return started


def _order(report: Report) -> list[str]:
    """The verdicts that occur, as people read them: good ones last."""
    return [verdict for verdict in VERDICTS if report.counts.get(verdict)]


def _filter(report: Report) -> str:
    buttons = [
        f'<button type="button" class="v v-{v}" data-filter="{v}" aria-pressed="false">'
        f'<span aria-hidden="true">{GLYPHS[v]}</span> <b>{report.counts[v]}</b> {name(v)}</button>'
        for v in _order(report)
    ]
    return f"""<div class="filter" role="group" aria-label="Show only clauses with these verdicts">
<button type="button" data-filter="" aria-pressed="true"><b>{len(report.clauses)}</b> all</button>
{"".join(buttons)}
<span id="shown" class="hidden-text" role="status"></span>
</div>"""


def _by_section(report: Report) -> dict[str, list[ClauseResult]]:
    sections: dict[str, list[ClauseResult]] = defaultdict(list)
    for clause in report.clauses:
        sections[clause.section].append(clause)
    return sections


def _heading(section: str, clauses: list[ClauseResult]) -> str:
    return text(f"{section} {clauses[0].section_title}".strip())


def _map(report: Report) -> str:
    groups = []
    for section, clauses in _by_section(report).items():
        family = clauses[0].id.rpartition("-")[0]
        one_family = all(clause.id.rpartition("-")[0] == family for clause in clauses)
        cells = "".join(_cell(clause, one_family) for clause in clauses)
        label = f"{_heading(section, clauses)} · {text(family)}" if one_family else _heading(section, clauses)
        groups.append(f'<div><p>{label}</p><ul class="cells">{cells}</ul></div>')
    return (
        f'<nav class="map" aria-label="All clauses in the order of the specification">{"".join(groups)}</nav>'
    )


def _cell(clause: ClauseResult, short: bool) -> str:
    shown = clause.id.rpartition("-")[2] if short else clause.id
    solid = " solid" if clause.verdict in (*RED, "warn", "known") else ""
    label = f"{clause.id}: {name(clause.verdict)}"
    return (
        f'<li data-verdict="{clause.verdict}"{"" if short else " class=wide"}>'
        f'<a class="v v-{clause.verdict}{solid}" href="#clause-{text(clause.id)}" title="{text(label)}" '
        f'aria-label="{text(label)}">{text(shown)}</a></li>'
    )


def _sections(report: Report) -> list[str]:
    return [
        f"""<section data-group><h3>{_heading(section, clauses)}</h3>
<div class="card"><table class="rules">
<caption class="hidden-text">Clauses of {_heading(section, clauses)}</caption>
<thead><tr><th scope="col">Clause</th><th scope="col">Level</th><th scope="col">Sentence</th>
<th scope="col">Verdict</th></tr></thead>
<tbody>{"".join(_row(clause) for clause in clauses)}</tbody></table></div></section>"""
        for section, clauses in _by_section(report).items()
    ]


def _row(clause: ClauseResult) -> str:
    original = (
        ' <span class="tag" title="The original server does this, too">original</span>'
        if clause.original
        else ""
    )
    why = f'<p class="why">{text(clause.reason)}</p>' if clause.reason else ""
    n_passed = sum(check.verdict == "pass" for check in clause.checks)
    counted = f"{n_passed} of {len(clause.checks)} checks passed" if clause.checks else "no check was made"
    verdict = badge(clause.verdict)
    if clause.failures:
        verdict = f'<a href="#failure-{text(clause.id)}-1" class="badge-link">{verdict}</a>'
    must = " must" if clause.level.startswith("MUST") else ""
    return f"""<tr id="clause-{text(clause.id)}" data-verdict="{clause.verdict}">
<th scope="row">{text(clause.id)}</th><td class="level{must}">{text(clause.level)}</td>
<td>{sentence(clause.sentence)}{original}{why}</td><td title="{counted}">{verdict}</td></tr>"""


def _failures(report: Report) -> str:
    shown: list[str] = []
    n_full = 0
    for clause in sorted((c for c in report.clauses if c.failures), key=lambda c: c.verdict not in RED):
        failures = sorted(clause.failures, key=lambda check: VERDICTS.index(check.verdict))
        room = max(0, min(_EXPLAINED_MAX, _FULL_MAX - n_full))
        full, rest = failures[:room], failures[room:]
        n_full += len(full)
        shown += [_failure(clause, check, number) for number, check in enumerate(full, 1)]
        if rest:
            shown.append(_others(clause, rest, 1 + len(full)))
    if not shown:
        return ""
    alike = "".join(f"<p>{text(told, 1000)}</p>" for told in report.alike)
    return f"<section data-group><h2>What failed, and why</h2>\n{alike}{''.join(shown)}</section>"


def _others(clause: ClauseResult, checks: list[CheckResult], number: int) -> str:
    items = "".join(f"<li><code>{text(c.name)}</code>: {text(c.message, 300)}</li>" for c in checks)
    return f"""{_article(clause, clause.verdict, number)}
<details class="long"><summary>{len(checks)} more checks of {text(clause.id)} failed</summary>
<ul class="plain">{items}</ul></details></article>"""


def _article(clause: ClauseResult, colour: str, number: int) -> str:
    place = f"failure-{text(clause.id)}-{number}"
    return f'<article class="card failure v v-{colour}" id="{place}" data-verdict="{clause.verdict}">'


def _failure(clause: ClauseResult, check: CheckResult, number: int) -> str:
    is_open = " open" if check.verdict in RED and number == 1 else ""
    known = f'<p class="why">Known failure: {text(check.known)}</p>' if check.known else ""
    pair = ""
    if check.expected is not None or check.got is not None:
        sides = (("Expected", check.expected), ("Got", check.got))
        pair = f'<dl class="pair">{"".join(_side(title, said or "") for title, said in sides)}</dl>'
    elif check.message:
        pair = f"<p>{text(check.message)}</p>"
    return f"""{_article(clause, check.verdict, number)}
<h3><a href="#clause-{text(clause.id)}">{text(clause.id)}</a> {badge(check.verdict)}
<code>{text(check.name)}</code></h3>
<blockquote>{sentence(clause.sentence)}</blockquote>
{known}{pair}{_talk(check, is_open)}{_replay(check)}{_log(check)}
</article>"""


def _side(title: str, said: str) -> str:
    return f'<div><dt>{title}</dt><dd><pre tabindex="0">{lines(said)}</pre></dd></div>'


def _talk(check: CheckResult, is_open: str) -> str:
    if not check.conversation:
        return ""
    names = list(dict.fromkeys(line.connection for line in check.conversation if line.connection != "-"))
    wrong = _wrong(check)
    events = "".join(_event(line, names, i == wrong) for i, line in enumerate(check.conversation))
    return f"""<details{is_open}>
<summary>The conversation <small>({len(check.conversation)} events)</small></summary>
<div class="sides" aria-hidden="true"><span>the suite →</span><span>← the server</span></div>
<ol class="talk" tabindex="0" aria-label="Conversation">{events}</ol></details>"""


def _wrong(check: CheckResult) -> int | None:
    """Which event is the one that was not as expected, if it can be told."""
    same = [
        i for i, line in enumerate(check.conversation) if line.direction == "<" and line.text == check.got
    ]
    return same[-1] if same else None


def _event(line: Line, names: list[str], is_wrong: bool) -> str:
    if line.direction == "-" and line.connection == "-":
        return f'<li class="note">{line.t_s:.3f} s · {text(line.text)}</li>'
    who = f"w{names.index(line.connection) % 6}"
    port = f' title="port {line.port}"' if line.port is not None else ""
    chip = f'<span class="who"{port}>{text(line.connection)}</span>'
    if line.direction == "-":
        return f'<li class="note {who}">{line.t_s:.3f} s · {chip} {text(line.text)}</li>'
    side, spoken = ("got", "the server on") if line.direction == "<" else ("sent", "the suite on")
    kind = "" if line.kind == "text" else f"<span>{text(line.kind)}</span>"
    kind += "<strong>not as expected</strong>" if is_wrong else ""
    return (
        f'<li class="{side} {who}{" wrong" if is_wrong else ""}"><div class="meta">'
        f'<span class="hidden-text">{spoken}</span>{chip}'
        f"<span>{line.t_s:.3f} s</span>{kind}</div>"
        f'<div class="said">{text(line.text, 1000)}</div></li>'
    )


def _replay(check: CheckResult) -> str:
    if not check.replay:
        return ""
    # Never cut, and of a script of the suite's nothing is escaped but what HTML needs: it stays a script.
    script = html.escape(escape(check.replay, keep="\n"), quote=False)
    return f"""<details class="long">
<summary>Have it again <small>(Python's standard library is enough)</small></summary>
<p class="why">Save it as <code>replay.py</code>, then <code>python3 replay.py ws://HOST:PORT</code></p>
<div class="script"><button type="button" class="copy">Copy</button><pre tabindex="0">{script}</pre></div>
</details>"""


def _log(check: CheckResult) -> str:
    if not check.server_log.strip():
        return ""
    return f"""<details><summary>The end of the server's log</summary>
<pre tabindex="0">{lines(check.server_log)}</pre></details>"""


def _foot(report: Report) -> str:
    words = " ".join(report.arguments)
    called = f"<p>Called as <code>chatcheck {text(words)}</code></p>" if words else ""
    return f"""<footer>{called}
<p>{text(report.suite.name)} {text(report.suite.version)}. A check can prove a clause wrong, not right:
<em>pass</em> means that none could. <em>Untested</em> is what this run had no way to observe.</p></footer>"""
