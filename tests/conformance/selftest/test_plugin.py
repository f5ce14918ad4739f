"""Verdicts, the summary, the report of a failure, and exit codes."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

CHECKS = '''
import pytest
from chatcheck.verdict import Inconclusive, Mismatch, untested

@pytest.mark.spec("WS-1")
def test_pass(server):
    """WS-1: "It MUST pass." """

@pytest.mark.spec("WS-2")
def test_fail(server):
    """WS-2: "It MUST be 1." """
    server.transcript.add("A", "< what the server \\u202e said")
    raise Mismatch("one", "two")

@pytest.mark.spec("WS-3")
def test_warn(server):
    """WS-3: "It SHOULD be 1." """
    raise Mismatch("one", "two")

@pytest.mark.spec("WS-4")
def test_inconclusive(server):
    """WS-4: "It MUST be told." """
    raise Inconclusive("no answer")

@pytest.mark.spec("WS-5")
@pytest.mark.needs("start")
def test_untested(server):
    """WS-5: "It MUST be seen." """

@pytest.mark.spec("WS-5", "WS-1")
def test_untested_in_part(server):
    """WS-5: "It MUST be seen." """
    untested("no sight")

@pytest.mark.spec("WS-6")
def test_error(server):
    """WS-6: "It MUST be right." """
    raise KeyError("a mistake of the check")
'''


@pytest.fixture
def url() -> Iterator[str]:
    """A port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(test_checks=CHECKS)
    return pytester.runpytest_inprocess("-p", "chatcheck.plugin", *arguments)


def test_the_summary_has_every_verdict_and_lists_what_was_not_tested(
    pytester: pytest.Pytester, url: str
) -> None:
    result = run(pytester, "--url", url)

    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "1 untested, 1 pass, 1 warn, 1 inconclusive, 1 fail, 1 error",
            "error: WS-6",
            "fail: WS-2",
            "inconclusive: WS-4",
            "warn: WS-3",
            "untested: WS-5 (needs --start; no sight)",
            "untested in part: WS-1 (no sight)",
        ],
        consecutive=True,
    )


def test_a_failure_shows_the_clause_what_was_expected_and_the_conversation(
    pytester: pytest.Pytester, url: str
) -> None:
    result = run(pytester, "--url", url, "-k", "test_fail")

    result.stdout.fnmatch_lines(
        [
            "*expected: one",
            "*got: two",
            "*- clause -*",
            'WS-2: "It MUST be 1."*',
            "*- conversation -*",
            "*A< what the server*said",
        ]
    )


def test_a_should_that_fails_warns_unless_strict(pytester: pytest.Pytester, url: str) -> None:
    lenient = run(pytester, "--url", url, "-k", "test_warn")
    strict = run(pytester, "--url", url, "-k", "test_warn", "--strict-should")

    assert lenient.ret == 0
    lenient.stdout.fnmatch_lines(["*warning: WS-3*", "*expected: one", "warn: WS-3"])
    assert strict.ret == 1


def test_a_connection_that_the_server_refuses_is_its_failure(pytester: pytest.Pytester, url: str) -> None:
    pytester.makepyfile(
        test_refused='''
        import pytest

        @pytest.mark.spec("WS-1")
        def test_refused(server):
            """WS-1: "It MUST accept." """
            raise ConnectionRefusedError("refused")
        '''
    )
    result = pytester.runpytest_inprocess("-p", "chatcheck.plugin", "--url", url)

    assert result.ret == 1
    result.stdout.fnmatch_lines(["fail: WS-1"])


def test_a_run_that_checked_nothing_is_no_success(pytester: pytest.Pytester, url: str) -> None:
    result = run(pytester, "--url", url, "-k", "test_untested")

    assert result.ret == 2
    result.stdout.fnmatch_lines(["*nothing was checked*"])


def test_no_target_or_two_is_wrong_use(pytester: pytest.Pytester, url: str) -> None:
    for arguments in ((), ("--url", url, "--start", "x {port}"), ("--url", "http://x"), ("--start", "x")):
        result = run(pytester, *arguments)
        assert result.ret == 4
        result.stderr.fnmatch_lines(["ERROR: *--*"])


def test_a_server_that_cannot_be_reached_ends_the_run_with_3(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--start", "false {port}")

    assert result.ret == 3


def test_only_selects_by_clause(pytester: pytest.Pytester, url: str) -> None:
    result = run(pytester, "--url", url, "--only", "WS-1", "-k", "test_pass or test_fail")

    result.assert_outcomes(passed=1, deselected=6)


def test_a_check_without_a_clause_is_refused(pytester: pytest.Pytester, url: str) -> None:
    pytester.makepyfile(test_loose="def test_loose(server): pass")
    result = pytester.runpytest_inprocess("-p", "chatcheck.plugin", "--url", url)

    assert result.ret == 4
    result.stderr.fnmatch_lines(["*no clause*"])


def test_a_test_that_hangs_is_ended(pytester: pytest.Pytester, url: str) -> None:
    pytester.makepyfile(
        test_slow='''
        import threading, pytest

        @pytest.mark.spec("WS-1")
        @pytest.mark.limit(0.2)
        def test_slow(server):
            """WS-1: "It MUST end." """
            threading.Event().wait(30)
        '''
    )
    result = pytester.runpytest_inprocess("-p", "chatcheck.plugin", "--url", url)

    assert result.ret == 1
    result.stdout.fnmatch_lines(["*the test took longer than*", "inconclusive: WS-1"])
