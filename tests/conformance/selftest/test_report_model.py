"""A report goes to JSON and back, and what is no report is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatcheck.report import model
from selftest.report_examples import HOSTILE, report


def test_a_report_survives_json() -> None:
    made = report()

    assert model.loads(json.dumps(model.to_json(made))) == made


def test_hostile_text_can_be_encoded() -> None:
    text = json.dumps(model.to_json(report(HOSTILE)), ensure_ascii=False)

    assert "\\\\ud800" in text
    model.loads(text.encode())


@pytest.mark.parametrize(
    ("member", "value", "where"),
    [
        ("format", 2, "format: expected 1"),
        ("verdict", 1, "report.verdict: expected str"),
        ("clauses", {}, "report.clauses: expected"),
        ("clauses", [{}], r"report.clauses\[0\]: id is missing"),
        ("counts", {"pass": "1"}, "report.counts.pass: expected int"),
        ("duration_s", True, "report.duration_s: expected float"),
        ("target", None, "report.target: expected an object"),
    ],
)
def test_what_is_no_report_is_told_with_its_place(member: str, value: Any, where: str) -> None:
    with pytest.raises(model.ReportError, match=where):
        model.from_json({**model.to_json(report()), member: value})


def test_an_unknown_verdict_is_refused() -> None:
    value = model.to_json(report())
    value["clauses"][0]["verdict"] = "fine"

    with pytest.raises(model.ReportError, match="fine"):
        model.from_json(value)


def test_members_of_newer_suites_are_left_out() -> None:
    assert model.from_json({**model.to_json(report()), "colour": "red"}) == report()


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100000, b"\xff"])
def test_no_json_is_told(text: str | bytes) -> None:
    with pytest.raises(model.ReportError):
        model.loads(text)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["pass", "untested"], "pass"),
        (["pass", "warn", "fail"], "fail"),
        (["known", "pass"], "known"),
        (["error", "fail"], "error"),
        ([], "untested"),
    ],
)
def test_the_worst_verdict_of_the_checks_is_the_clauses(verdicts: list[str], expected: str) -> None:
    assert model.worst(verdicts) == expected


def test_red_failures_are_explained_before_warnings() -> None:
    verdicts = [check.verdict for _, check in report().explained]

    assert verdicts == sorted(verdicts, key=lambda verdict: verdict not in model.RED)
    assert {"fail", "inconclusive", "warn", "known"} <= set(verdicts)
