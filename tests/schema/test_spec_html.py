"""SPEC.md as HTML: every clause is there with its verdicts, and every link leads somewhere."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest
from chatcheck.clauses import load_spec
from chatcheck.report import model

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "ci"))

import spec  # noqa: E402

HOSTILE = '<script>alert("x")</script>'


def report(name: str) -> model.Report:
    """A server that satisfies WS-1 and breaks MSG-2."""
    checks = (
        model.CheckResult("test_x.py::test_one[a]", "pass", 0.1),
        model.CheckResult("test_x.py::test_one[b]", "pass", 0.1),
    )
    clauses = (
        model.ClauseResult("WS-1", "2", "MUST", "…", True, "pass", checks=checks),
        model.ClauseResult("MSG-2", "4.3", "MUST", "…", True, "fail"),
    )
    target = model.TargetInfo(name, "ws://127.0.0.1:1/", None)
    suite = model.Suite("chatcheck", "0")
    return model.Report(
        suite, "1.0", target, "core", (), "2026-01-01T00:00:00Z", 1.0, "not conformant", {}, clauses
    )


@pytest.fixture(scope="module")
def page() -> str:
    return spec.render((ROOT / "SPEC.md").read_text(encoding="utf-8"), [report("one"), report(HOSTILE)])


def test_every_clause_has_an_anchor(page: str) -> None:
    anchors = re.findall(r'<li class="clause" id="([A-Z]+-\d+)">', page)
    assert anchors == [clause.id for clause in load_spec().clauses]


def test_a_clause_shows_its_checks_and_the_verdicts_of_all_servers(page: str) -> None:
    clause = page.partition('id="WS-1"')[2].partition('class="clause"')[0]
    assert "test_x.py::test_one</code>, 2 cases" in clause
    assert clause.count('class="badge v v-pass"') == 2
    clause = page.partition('id="MSG-2"')[2].partition('class="clause"')[0]
    assert clause.count('class="badge v v-fail"') == 2


def test_every_link_inside_the_page_leads_somewhere(page: str) -> None:
    ids = set(re.findall(r'\bid="([^"]+)"', page))
    links = re.findall(r'href="#([^"]+)"', page)
    assert len(links) > 100
    assert {link for link in links if link not in ids} == set()


def test_what_a_server_is_called_cannot_run(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;script&gt;alert" in page
    assert "\u241e" not in page
