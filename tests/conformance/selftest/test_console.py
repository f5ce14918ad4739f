"""What a run says while it goes on, and at its end."""

from __future__ import annotations

import dataclasses
import io

from chatcheck.console import Console
from chatcheck.report import html
from chatcheck.report.model import CheckResult

from .report_examples import report

NOTHING = "expected close 1008 on {}; got nothing within the time limit"
ALIKE = (
    "4 clauses failed of the same, so there may be one cause: "
    "expected close 1008; got nothing within the time limit (WS-1 WS-2 WS-3 WS-4)"
)


def failed(number: int) -> CheckResult:
    return CheckResult(f"t.py::test[{number}]", "fail", 0.1, message=f"wrong in {number}")


def test_of_a_clause_that_fails_everywhere_some_checks_are_named_while_the_run_goes_on() -> None:
    out = io.StringIO()
    console = Console(out)
    console.begins(12)
    for number in range(10):
        console.checked(["MSG-1"], failed(number))
    console.checked(["MSG-1", "MSG-2"], failed(10))
    console.checked(["MSG-3"], failed(11))

    lines = out.getvalue().splitlines()
    assert [line for line in lines if line.startswith("FAIL")] == [
        *(f"FAIL MSG-1  t.py::test[{number}]" for number in range(3)),
        "FAIL MSG-1 MSG-2  t.py::test[10]",
        "FAIL MSG-3  t.py::test[11]",
    ]
    assert lines.count("… and more of MSG-1") == 1
    assert lines[-1] == "12/12 checks, 12 failed"


def test_what_many_clauses_failed_of_is_told_once_more() -> None:
    example = report().clauses[0]
    clauses = tuple(
        dataclasses.replace(
            example,
            id=f"WS-{number}",
            verdict="fail",
            checks=(dataclasses.replace(failed(number), message=NOTHING.format(connection)),),
        )
        for number, connection in enumerate(("A", "B", "A1", "C"), 1)
    )

    for told, of in ((clauses, True), (clauses[:3], False)):
        out = io.StringIO()
        of_these = dataclasses.replace(report(), clauses=told)
        Console(out).summarize(of_these, ["mine"])

        assert (f"note: {ALIKE}" in out.getvalue().splitlines()) is of
        assert (f"<p>{ALIKE}</p>" in html.render(of_these)) is of
        assert "note: mine" in out.getvalue()
