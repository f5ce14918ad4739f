"""The table clause by fault: what proves each check, as Markdown and as one HTML file."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from chatcheck.clauses import load_spec
from chatcheck.report import page


@dataclass(frozen=True)
class Verdict:
    """What became of one fault."""

    fault: str
    clause: str
    what: str
    caught_by: list[str]
    note: str
    seconds: float
    others: list[str] | None = None  # further clauses of which a check fails; None: they were not looked at


def unproven(verdicts: Iterable[Verdict], clauses: Iterable[str]) -> list[str]:
    """The clauses that no caught fault breaks."""
    proved = {verdict.clause for verdict in verdicts if verdict.caught_by}
    return [clause for clause in clauses if clause not in proved]


def collateral(verdicts: Iterable[Verdict]) -> str:
    """How many clauses fail that a fault does not break, where that was looked at."""
    counts = sorted((len(v.others), v.fault) for v in verdicts if v.others is not None)
    if not counts:
        return ""
    mean = sum(n for n, _ in counts) / len(counts)
    worst, fault = counts[-1]
    looked = f"Of {len(counts)} faults looked at, one fails {mean:.1f} other clauses in the mean"
    return f"{looked}, {worst} at most ({fault})."


def write(stem: Path, verdicts: Sequence[Verdict], clauses: Sequence[str]) -> None:
    """Write <stem>.json, <stem>.md and <stem>.html."""
    rows = [asdict(verdict) for verdict in verdicts]
    stem.with_suffix(".json").write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    stem.with_suffix(".md").write_text(markdown(verdicts, clauses))
    stem.with_suffix(".html").write_text(page.page("What proves the checks", _html(verdicts, clauses)))


def _headline(verdicts: Sequence[Verdict], clauses: Sequence[str]) -> list[str]:
    n_caught = sum(bool(verdict.caught_by) for verdict in verdicts)
    proved = len(clauses) - len(unproven(verdicts, clauses))
    lines = [f"{n_caught} of {len(verdicts)} faults caught; {proved} of {len(clauses)} clauses proved."]
    lines += [f"Unproven: {clause}" for clause in unproven(verdicts, clauses)]
    return [*lines, *filter(None, [collateral(verdicts)])]


def _by_clause(verdicts: Sequence[Verdict], clauses: Sequence[str]) -> dict[str, list[Verdict]]:
    found: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        found[verdict.clause].append(verdict)
    return {clause: found[clause] for clause in clauses}


def markdown(verdicts: Sequence[Verdict], clauses: Sequence[str]) -> str:
    """The report for a step summary, or to read in a terminal."""
    lines = ["# What proves the checks", "", *_headline(verdicts, clauses), ""]
    lines += ["| clause | fault | | caught by |", "| --- | --- | --- | --- |"]
    for clause, faults in _by_clause(verdicts, clauses).items():
        for verdict in faults:
            caught = ", ".join(f"`{_cell(check)}`" for check in verdict.caught_by) or "**not caught**"
            lines.append(f"| {clause} | {verdict.fault} | {_cell(verdict.what)} | {caught} |")
        if not faults:
            lines.append(f"| {clause} | | | **no fault** |")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("`", "'").replace("\n", " ")


def _html(verdicts: Sequence[Verdict], clauses: Sequence[str]) -> str:
    sentences = {clause.id: clause.sentence for clause in load_spec().clauses}
    parts = ['<main id="main">', "<h1>What proves the checks</h1>"]
    parts += [f"<p>{page.text(line)}</p>" for line in _headline(verdicts, clauses)]
    for clause, faults in _by_clause(verdicts, clauses).items():
        is_proved = any(verdict.caught_by for verdict in faults)
        badge = page.badge("pass" if is_proved else "fail", "proved" if is_proved else "unproven")
        parts.append(f'<section id="clause-{clause}"><h2>{clause} {badge}</h2>')
        parts.append(f"<p>{page.sentence(sentences.get(clause, clause))}</p><ul>")
        for verdict in faults:
            caught = ", ".join(f"<code>{page.text(check)}</code>" for check in verdict.caught_by)
            made = f"caught by {caught}" if caught else "<strong>not caught</strong>"
            parts.append(
                f"<li><strong>{page.text(verdict.fault)}</strong>: {page.text(verdict.what)}; {made}</li>"
            )
        parts.append("</ul></section>")
    return "\n".join([*parts, "</main>"])
