"""The report of the proof: what is not caught is said, and looks like it."""

from __future__ import annotations

from pathlib import Path

from model.prove_report import Verdict, collateral, markdown, unproven, write

CAUGHT = Verdict(
    "newest-only", "MSG-2", "only the newest|device gets it", ["test_a[x]"], "", 1.0, ["MSG-8", "ID-1"]
)
MISSED = Verdict("lost", "MSG-3", "<b>it</b> is lost", [], "", 1.0)
CLAUSES = ["MSG-1", "MSG-2", "MSG-3"]


def test_a_clause_without_a_caught_fault_is_unproven() -> None:
    assert unproven([CAUGHT, MISSED], CLAUSES) == ["MSG-1", "MSG-3"]


def test_the_table_has_every_clause_and_says_what_was_missed() -> None:
    table = markdown([CAUGHT, MISSED], CLAUSES)
    assert "1 of 2 faults caught; 1 of 3 clauses proved." in table
    assert r"| MSG-2 | newest-only | only the newest\|device gets it | `test_a[x]` |" in table
    assert "| MSG-3 | lost | <b>it</b> is lost | **not caught** |" in table
    assert "| MSG-1 | | | **no fault** |" in table


def test_collateral_counts_the_other_clauses() -> None:
    assert collateral([CAUGHT, MISSED]).startswith("Of 1 faults looked at, one fails 2.0 other clauses")
    assert collateral([MISSED]) == ""


def test_three_files_are_written_and_html_is_escaped(tmp_path: Path) -> None:
    write(tmp_path / "proof", [CAUGHT, MISSED], CLAUSES)
    assert '"fault": "newest-only"' in (tmp_path / "proof.json").read_text()
    page = (tmp_path / "proof.html").read_text()
    assert "&lt;b&gt;it&lt;/b&gt;" in page
    assert page.count("not caught") == 1
