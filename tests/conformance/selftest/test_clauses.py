"""Clauses are read from SPEC.md's text, and checks are compared with them."""

from __future__ import annotations

import pytest

from chatcheck.clauses import Check, Clause, ClauseError, parse_clauses, problems

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
        Clause("WS-1", "MUST", "A server MUST accept what is `sent`.", True, "2", 4),
        Clause("WS-17", "SHOULD NOT", 'A server SHOULD NOT "sleep".', False, "2", 7),
        Clause("JSON-1", "MAY", "It MAY.", False, "3.1", 13),
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
