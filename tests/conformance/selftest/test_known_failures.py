"""Known failures: what is the same failure, what is allowed, and the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from chatcheck.known_failures import KnownFailure, fingerprint, judge, read_known_failures, write_baseline
from chatcheck.report.model import CheckResult, ClauseResult
from chatcheck.settings import WrongUse

KNOWN = KnownFailure("MSG-1", "t.py::test", "abc", "why")
FAILED = CheckResult("t.py::test", "fail", 0.1, message="wrong", fingerprint="abc")


def test_a_fingerprint_is_of_what_is_wrong_and_not_of_the_names_of_a_run() -> None:
    one = fingerprint("fail", 'expected {"body":"52370978210b0a7f"} after 0.13 s from port 54321; got 1002')
    same = fingerprint("fail", 'expected {"body":"eccc985fb64f9c6d"} after 2.5 s from port 43210; got 1002')

    assert one == same
    assert one != fingerprint(
        "fail", 'expected {"body":"52370978210b0a7f"} after 0.13 s from port 54321; got 1008'
    )
    assert one != fingerprint(
        "inconclusive", 'expected {"body":"52370978210b0a7f"} after 0.13 s from port 54321; got 1002'
    )


def test_the_same_failure_is_allowed_and_nothing_else() -> None:
    allowed = judge(FAILED, KNOWN)
    other = judge(replace(FAILED, fingerprint="def"), KNOWN)
    passes = judge(CheckResult("t.py::test", "pass", 0.1), KNOWN)

    assert (allowed.verdict, allowed.known) == ("known", "why")
    assert (other.verdict, other.message) == ("fail", "not the known failure, but another one: wrong")
    assert (passes.verdict, passes.message) == (
        "fail",
        "it passes, but is listed as a known failure: remove it from the file",
    )
    assert judge(FAILED, None) == FAILED
    assert judge(replace(FAILED, verdict="untested"), KNOWN).verdict == "untested"


def test_what_a_baseline_writes_can_be_read_once_reasons_are_in(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    odd = CheckResult('t.py::test["\\\x7f☺]', "inconclusive", 0.1, message="a\nb\x1b", fingerprint="1")
    clause = ClauseResult("MSG-1", "4", "MUST", "It MUST.", False, "fail", None, (FAILED, odd))
    passed = replace(clause, id="MSG-2", checks=(replace(FAILED, name="u", verdict="pass"),))

    assert write_baseline(path, [clause, passed], {}) == 2
    with pytest.raises(WrongUse, match=r"MSG-1, t\.py::test has no reason yet"):
        read_known_failures(path, ["MSG-1"])
    path.write_text(path.read_text().replace('reason = ""', 'reason = "why"'))
    assert read_known_failures(path, ["MSG-1"]) == {
        "t.py::test": KNOWN,
        odd.name: KnownFailure("MSG-1", odd.name, "1", "why"),
    }


def test_a_new_baseline_keeps_the_reason_of_the_same_failure_only(tmp_path: Path) -> None:
    path = tmp_path / "known.toml"
    other = replace(FAILED, name="t.py::other")
    clause = ClauseResult("MSG-1", "4", "MUST", "It MUST.", False, "fail", None, (FAILED, other))
    before = {"t.py::test": KNOWN, "t.py::other": replace(KNOWN, check="t.py::other", fingerprint="def")}

    write_baseline(path, [clause], before)
    known = read_known_failures(path, ["MSG-1"], need_reasons=False)

    assert {name: failure.reason for name, failure in known.items()} == {
        "t.py::test": "why",
        "t.py::other": "",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[failures]]\n", "expected nothing but"),
        ("failure = 1\n", "expected nothing but"),
        ("failure = [1]\n", "expected the strings"),
        ("[[failure]]\nclause = 'MSG-1'\n", "expected the strings"),
        (
            "[[failure]]\nclause='M-1'\ncheck='t'\nfingerprint='f'\nreason='r'\nlevel='x'\n",
            "unknown key 'level'",
        ),
        ("[[failure]]\nclause='MGS-1'\ncheck='t'\nfingerprint='f'\nreason='r'\n", "did you mean MSG-1"),
        ("[[", "known.toml"),
    ],
)
def test_what_is_wrong_in_the_file_is_told(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "known.toml").write_text(text)

    with pytest.raises(WrongUse, match=says):
        read_known_failures(tmp_path / "known.toml", ["MSG-1"])
