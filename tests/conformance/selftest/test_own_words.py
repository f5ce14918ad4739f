"""A broadcast of somebody else is set aside, and one of the test's own never is."""

from __future__ import annotations

import json

import pytest

from chatcheck.own_words import OwnWords


def message(**members: object) -> str:
    return json.dumps({"body": "theirs", "from": "stranger", "broadcast": 1} | members)


@pytest.fixture
def words() -> OwnWords:
    words = OwnWords()
    words.sets_aside = True
    words.add({"type": "sign", "uid": 1001})
    words.add({"type": "broadcast", "body": {"b": 1, "a": [2]}})
    return words


def test_a_broadcast_of_somebody_else_is_foreign(words: OwnWords) -> None:
    assert words.is_foreign(message())
    assert words.is_foreign('{"\\u0062roadcast":true,"from":"stranger","body":null}')


@pytest.mark.parametrize(
    "text",
    [
        message(**{"from": "1001"}),  # of a uid that the test has used, whatever is in it
        message(body={"a": [2], "b": 1}),  # with a body that it has sent, whoever it is from
        '{"body":"theirs","from":"stranger"}',  # no broadcast
        '{"status":1,"msg":"sended","broadcast":1}',  # a reply
        "[1]",
        '"broadcast"',
        "broadcast",
    ],
)
def test_everything_else_is_the_tests_own(words: OwnWords, text: str) -> None:
    assert not words.is_foreign(text)


def test_a_uid_that_other_tests_use_makes_no_broadcast_ones_own(words: OwnWords) -> None:
    words.shared_uid = "1001"
    assert words.is_foreign(message(**{"from": "1001"}))
    assert not words.is_foreign(message(body={"a": [2], "b": 1}, **{"from": "1001"}))


def test_without_the_feature_nothing_is_set_aside(words: OwnWords) -> None:
    words.sets_aside = False
    assert not words.is_foreign(message())
