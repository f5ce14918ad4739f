"""ci/steady's judgement of a run: what a wrong verdict is, and the figures of all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from model.prove_chatd import Patch, read_patches
from model.steady import Judged, figures, what_is_wrong

FAULT = Patch(Path("fault.patch"), "WS-6", "what is wrong", ("WS-6", "REPLY-6"))


def report(**verdicts: str) -> dict[str, Any]:
    names = {"WS_5": "pass", "WS_6": "pass", "REPLY_6": "pass", "REPLY_8": "untested", **verdicts}
    return {"clauses": [{"id": name.replace("_", "-"), "verdict": v} for name, v in names.items()]}


@pytest.mark.parametrize(
    ("status", "made", "fault"),
    [
        (0, report(), None),
        (1, report(WS_6="fail"), FAULT),
        (1, report(WS_6="fail", REPLY_6="inconclusive"), FAULT),
    ],
)
def test_the_expected_verdict_is_not_wrong(status: int, made: dict[str, Any], fault: Patch | None) -> None:
    assert what_is_wrong(status, made, fault) == ""


@pytest.mark.parametrize(
    ("status", "made", "fault"),
    [
        (0, None, None),
        (1, report(), None),
        (0, report(WS_5="warn"), None),
        (1, report(WS_5="inconclusive"), None),
        (0, {"clauses": []}, None),
        (0, report(), FAULT),
        (1, report(WS_5="fail"), FAULT),
        (1, report(REPLY_6="fail"), FAULT),
        (1, report(WS_6="inconclusive"), FAULT),
        (1, report(WS_6="fail", WS_5="warn"), FAULT),
        (3, report(WS_6="fail"), FAULT),
    ],
)
def test_any_other_is(status: int, made: dict[str, Any] | None, fault: Patch | None) -> None:
    assert what_is_wrong(status, made, fault)


def test_a_patch_that_says_what_fails_in_core_names_its_own_clause_too() -> None:
    told = [patch for patch in read_patches() if patch.in_core]

    assert told
    for patch in told:
        assert patch.clause in patch.in_core, patch.path.name


def test_the_figures_are_those_of_the_runs() -> None:
    runs = [Judged(None, float(seconds), "wrong" if seconds == 7 else "") for seconds in range(20, 0, -1)]

    assert figures("mine", runs) == (
        "mine: 20 runs, 1 wrong verdicts; seconds of a run: median 10.5, p95 19.0, max 20.0"
    )
    assert figures("mine", []) == "mine: 0 runs, 0 wrong verdicts"
