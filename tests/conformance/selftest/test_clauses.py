"""Clauses are read from SPEC.md's text, and checks are compared with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatcheck import clauses
from chatcheck.clauses import Check, Clause, ClauseError, load_spec, parse_clauses, problems

SPEC = """
## 2 Transport

- **[WS-1]** *(original)* A server MUST accept
  what is `sent`.
  - *Note: one that MAY say other things.*
- **[WS-17]** A server SHOULD NOT "sleep".

Text in between, with [WS-1] and a MUST.

### 3.1 Messages

- **[JSON-1]** It MAY.
"""


def test_a_clause_has_id_level_sentence_section_and_mark() -> None:
    assert parse_clauses(SPEC) == [
        Clause("WS-1", "MUST", "A server MUST accept what is `sent`.", True, "2"),
        Clause("WS-17", "SHOULD NOT", 'A server SHOULD NOT "sleep".', False, "2"),
        Clause("JSON-1", "MAY", "It MAY.", False, "3.1"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "- **[A-1]** It MUST and SHOULD.\n",
        "- **[A-1]** It does.\n",
        "- **[A-1]** It MUST.\n- **[A-1]** It MUST.\n",
    ],
    ids=["two key words", "no key word", "twice"],
)
def test_a_clause_that_breaks_the_rules_is_refused(text: str) -> None:
    with pytest.raises(ClauseError):
        parse_clauses(text)


CLAUSES = parse_clauses("- **[A-1]** It MUST work.\n- **[A-2]** It MUST\n  stop.\n")
GOOD = Check("t::a", ("A-1", "A-2"), 'A-1: "It MUST work." A-2: "It MUST stop."')


def test_checks_that_cover_and_quote_all_clauses_have_no_problems() -> None:
    assert problems(CLAUSES, [GOOD], {}) == []


@pytest.mark.parametrize(
    ("checks", "uncheckable", "problem"),
    [
        ([], {"A-1": "why"}, "A-2: no check"),
        ([GOOD, Check("t::b", ("A-3",), "")], {}, "t::b: there is no clause A-3"),
        (
            [GOOD, Check("t::b", ("A-1",), 'A-1: "It must work."')],
            {},
            't::b: does not quote A-1: "It MUST work."',
        ),
        ([GOOD], {"A-2": "why"}, "A-2: listed as uncheckable, but there is a check"),
        ([GOOD], {"A-9": "why"}, "A-9: listed as uncheckable, but there is no such clause"),
    ],
)
def test_each_problem_is_told(checks: list[Check], uncheckable: dict[str, str], problem: str) -> None:
    assert problems(CLAUSES, checks, uncheckable) == [problem]


def test_clauses_json_is_written_from_a_specification_and_compared_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tmp_path / "SPEC.md"
    spec.write_text(f"# The chat protocol, version 2.1\n{SPEC}\n```conversation\nA> close\n```\n")
    monkeypatch.setattr(clauses, "DATA", tmp_path / "clauses.json")

    assert clauses.main(["--write", str(spec)]) == 0
    load_spec.cache_clear()
    try:
        assert load_spec() == clauses.parse_spec(spec.read_text())
    finally:
        load_spec.cache_clear()
    clauses.main(["--check", str(spec)])
    assert "clauses.json" not in capsys.readouterr().out
    spec.write_text(spec.read_text().replace("sleep", "snore"))
    assert clauses.main(["--check", str(spec)]) == 1
    assert "clauses.json is not made from this" in capsys.readouterr().out
