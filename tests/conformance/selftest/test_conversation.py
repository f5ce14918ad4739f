"""Values are compared as the specification says, and each expectation fails for the right thing."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import pytest

from chatcheck.claims import claim_only_original, claims, echoed, refuses
from chatcheck.conversation import Conversation, NothingCame, dump, same_json
from chatcheck.own_words import OwnWords
from chatcheck.verdict import Inconclusive, Mismatch


class Scripted(Conversation):
    """A conversation in which the server's messages are written down beforehand."""

    def __init__(self, *messages: str) -> None:
        self.own_words = OwnWords()
        self.sent: list[dict[str, Any]] = []
        self._messages = deque(messages)
        self.closed_with: int | None = None

    def send_text(self, text: str) -> None:
        self.sent.append(json.loads(text))

    def recv_text(self) -> str:
        if not self._messages:
            raise NothingCame("a message", "nothing within the time limit")
        return self._messages.popleft()

    def expect_closed(self, code: int) -> None:
        self.closed_with = code

    def ping(self, payload: bytes = b"") -> None:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (1, 1.0, True), (0, -0.0, True), (2**53, 2.0**53, True), (1, True, False), (0, False, False),
        (0, None, False),
        ("", None, False), ("1", 1, False), ([], {}, False), ([1], [1.0], True), ([1, 2], [2, 1], False),
        ([1], [1, 1], False),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True), ({"a": 1}, {"a": True}, False), ({"a": 1}, {}, False),
        ("é", "e\u0301", False), ({"é": 1}, {"e\u0301": 1}, False), (5e-324, 0, False),
    ],
)  # fmt: skip
def test_json_values_are_the_same_or_not(a: object, b: object, same: bool) -> None:
    assert same_json(a, b) is same
    assert same_json(b, a) is same


GOOD = {"status": 0, "msg": "发送失败，未登入", "code": "not_signed", "extra": 1}


@pytest.mark.parametrize("change", [{}, {"code": None}, {"msg": "发送失败,未登入"}], ids=str)
def test_a_reply_as_expected_passes(change: dict[str, Any]) -> None:
    reply = {name: value for name, value in (GOOD | change).items() if value is not None}
    Scripted(dump(reply)).expect_reply(0, "not_signed", extra=1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"status": 1}, {"status": False}, {"status": "0"}, {"msg": "参数错误"}, {"msg": 1},
        {"code": "illegal"}, {"from": "a"}, {"extra": 2}, {"extra": True}, {"disconnect": 1},
    ],
    ids=str,
)  # fmt: skip
def test_a_reply_that_differs_fails(change: dict[str, Any]) -> None:
    with pytest.raises(Mismatch):
        Scripted(dump(GOOD | change)).expect_reply(0, "not_signed", extra=1)


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '"a"',
        "",
        "{",
        "{} {}",
        '{"status":NaN}',
        '{"status":1,"msg":"sended","from":"a"}',
        '{"body":1,"from":"a"}',
    ],
)
def test_what_is_no_reply_fails(text: str) -> None:
    with pytest.raises(Mismatch):
        Scripted(text).expect_reply(1)


@pytest.mark.parametrize(
    "text",
    [
        '{"body":1,"from":"b"}',
        '{"body":true,"from":"a"}',
        '{"from":"a"}',
        '{"body":1,"from":"a","status":1}',
        '{"body":1}',
    ],
)
def test_a_delivery_that_differs_fails(text: str) -> None:
    Scripted('{"from":"a","body":1.0,"extra":[]}').expect_delivery(1, "a")
    with pytest.raises(Mismatch):
        Scripted(text).expect_delivery(1, "a")


def test_a_missing_body_is_not_null() -> None:
    Scripted('{"from":"a","body":null}').expect_delivery(None, "a")
    with pytest.raises(Mismatch):
        Scripted('{"from":"a"}').expect_delivery(None, "a")


def test_an_illegal_reply_has_to_say_disconnect() -> None:
    Scripted('{"status":0,"msg":"非法请求","disconnect":1}').expect_reply(0, "illegal")
    with pytest.raises(Mismatch):
        Scripted('{"status":0,"msg":"非法请求"}').expect_reply(0, "illegal")


def test_a_fence_without_an_answer_is_inconclusive_and_one_with_another_fails() -> None:
    with pytest.raises(Inconclusive):
        Scripted().fence()
    with pytest.raises(Mismatch):
        Scripted('{"body":1,"from":"a"}').fence()
    Scripted('{"status":0,"msg":"发送失败,未登入"}').fence()


def test_an_illegal_request_is_closed_unless_only_the_original_is_claimed() -> None:
    illegal = '{"status":0,"msg":"非法请求","disconnect":1}'
    core, original = Scripted(illegal), Scripted(illegal)
    core.expect_illegal()
    claim_only_original(True)
    try:
        original.expect_illegal()
        assert (claims("ILLEGAL-3"), claims("MSG-1"), refuses("invalid_to"), echoed("x")) == (
            False,
            True,
            False,
            {},
        )
    finally:
        claim_only_original(False)
    assert (core.closed_with, original.closed_with) == (1008, None)
    assert echoed("x") == {"cid": "x"}
