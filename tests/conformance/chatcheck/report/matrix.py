"""Several reports as one matrix, clause × server: who conforms, and in what they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chatcheck.report.markdown import ICONS, code, escape
from chatcheck.report.model import CONFORMANT, VERDICTS, ClauseResult, Report
from chatcheck.report.page import GLYPHS, badge, name, page, sentence, text


@dataclass(frozen=True)
class Row:
    """A clause, and what each report says of it; None where a report does not have it."""

    clause: ClauseResult
    results: tuple[ClauseResult | None, ...]

    @property
    def differs(self) -> bool:
        """Do the servers that were checked for it differ?"""
        verdicts = {r.verdict for r in self.results if r is not None} - {"untested", "not_applicable"}
        return len(verdicts) > 1


def rows(reports: Sequence[Report]) -> list[Row]:
    """All clauses of all reports, in the order of the first; what only later ones have comes last."""
    found = [{clause.id: clause for clause in report.clauses} for report in reports]
    ids = dict.fromkeys(id for clauses in found for id in clauses)
    made = []
    for id in ids:
        results = tuple(clauses.get(id) for clauses in found)
        made.append(Row(next(result for result in results if result is not None), results))
    return made


def titles(reports: Sequence[Report]) -> list[str]:
    """What each column is called; servers of one name are numbered."""
    names = [report.target.name for report in reports]
    return [f"{n} ({names[: i + 1].count(n)})" if names.count(n) > 1 else n for i, n in enumerate(names)]


def html(reports: Sequence[Report]) -> str:
    """The matrix as a page."""
    columns = titles(reports)
    table = rows(reports)
    heads = "".join(
        f'<th scope="col">{text(column)}'
        f"<small>{text(report.profile)}, {text(report.started[:10])}</small></th>"
        for column, report in zip(columns, reports, strict=True)
    )
    verdicts = [v for v in VERDICTS if any(report.counts.get(v) for report in reports)]
    summary = _summary_row("Verdict", [_conclusion(report) for report in reports])
    summary += "".join(
        _summary_row(name(v).capitalize(), [str(report.counts.get(v, 0)) for report in reports])
        for v in verdicts
    )
    n_different = sum(row.differs for row in table)
    body = f"""<header class="top"><p class="brand">chatcheck – comparison</p>
<h1>{len(reports)} servers, {len(table)} clauses</h1>
<p>{_differences(n_different)}</p></header>
<main id="main" tabindex="-1">
<div class="card matrix" tabindex="0" role="region" aria-label="Clauses by server">
<table><caption class="hidden-text">The verdict on each clause, by server</caption>
<thead><tr><th scope="col">Clause</th>{heads}</tr></thead>
<tbody>{summary}</tbody>{_bodies(table, len(reports))}</table></div>
<p class="why">{_legend(verdicts)}</p></main>
<footer><span id="shown" hidden></span>A stripe at the left: the servers differ.</footer>"""
    return page(f"{', '.join(columns)} – chatcheck", body)


def _differences(n_different: int) -> str:
    return "They do not differ." if n_different == 0 else f"They differ in {n_different} of them."


def _conclusion(report: Report) -> str:
    verdict = {CONFORMANT: "pass", "not conformant": "fail"}.get(report.verdict, "error")
    return badge(verdict, text(report.verdict))


def _summary_row(title: str, cells: list[str]) -> str:
    made = "".join(f"<td>{cell}</td>" for cell in cells)
    return f'<tr><th scope="row">{title}</th>{made}</tr>'


def _bodies(table: list[Row], n_columns: int) -> str:
    made = []
    section = None
    for row in table:
        if row.clause.section != section:
            section = row.clause.section
            title = text(f"{section} {row.clause.section_title}".strip())
            head = f'<th colspan="{n_columns + 1}" scope="rowgroup">{title}</th>'
            made.append(f'</tbody><tbody><tr class="section">{head}</tr>')
        made.append(_row(row))
    return "".join(made).removeprefix("</tbody>") + ("</tbody>" if made else "")


def _row(row: Row) -> str:
    clause = row.clause
    cells = "".join(f"<td>{_cell(result)}</td>" for result in row.results)
    differs = ' class="differs"' if row.differs else ""
    return f"""<tr{differs} id="clause-{text(clause.id)}"><th scope="row">{text(clause.id)}
<span class="tag">{text(clause.level)}</span>
<small>{sentence(clause.sentence, links=False)}</small></th>{cells}</tr>"""


def _cell(result: ClauseResult | None) -> str:
    if result is None:
        return '<span class="nothing">not in this report</span>'
    why = result.failures[0].message if result.failures else result.reason or ""
    return f'<span title="{text(why, 300)}">{badge(result.verdict)}</span>'


def _legend(verdicts: list[str]) -> str:
    return " · ".join(f"{GLYPHS[verdict]} {name(verdict)}" for verdict in verdicts)


def markdown(reports: Sequence[Report]) -> str:
    """The matrix as a table in Markdown."""
    columns = titles(reports)
    table = rows(reports)
    lines = [f"## {len(reports)} servers, {len(table)} clauses", ""]
    lines += [_differences(sum(row.differs for row in table)), ""]
    lines += [_cells(["clause", *(code(column) for column in columns)]), "| --- |" + " :-: |" * len(reports)]
    lines.append(_cells(["**verdict**", *(f"**{escape(report.verdict)}**" for report in reports)]))
    lines.append(_cells(["**counts**", *(_counts(report) for report in reports)]))
    for row in table:
        verdicts = [ICONS[result.verdict] if result is not None else "" for result in row.results]
        id = escape(row.clause.id)
        lines.append(_cells([f"**{id}**" if row.differs else id, *verdicts]))
    legend = " · ".join(f"{icon} {name(verdict)}" for verdict, icon in ICONS.items())
    return "\n".join([*lines, "", f"{legend}. In bold: the servers differ.", ""])


def _counts(report: Report) -> str:
    return " ".join(f"{ICONS[verdict]} {n}" for verdict, n in report.counts.items() if verdict in ICONS)


def _cells(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
