"""A transcript can be printed whatever was sent."""

from __future__ import annotations

import pytest

from chatcheck.transcript import Transcript, show_bytes, show_close, show_text


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b'{"type":"sign"}', '{"type":"sign"}'),
        ("号\U0001f642".encode(), "号\U0001f642"),
        (b"a\n\x00\x1b[31m\x7f", "a\\n\\x00\\x1b[31m\\x7f"),
        (b"\xff\xc3(\xed\xa0\x80", "\\xff\\xc3(\\xed\\xa0\\x80"),
        ("\u202e\u2028\ufeff".encode(), "\\u202e\\u2028\\ufeff"),
        (b"", ""),
    ],
)
def test_bytes_are_shown_on_one_line_without_controls(data: bytes, shown: str) -> None:
    assert show_bytes(data) == shown
    assert shown.isprintable()


def test_lone_surrogates_can_be_shown_and_printed() -> None:
    assert show_text("a\ud800").encode() == b"a\\ud800"


def test_what_is_long_is_cut_and_its_size_told() -> None:
    for shown in (show_bytes(b"\xff" * 65536), show_bytes(b"x" * 65536), show_text("x" * 65536)):
        assert "65536" in shown
        assert len(shown) < 3000


def test_a_close_frame_is_shown_with_code_and_reason() -> None:
    assert show_close(1002, b"bad \xff\n") == 'close 1002 "bad \\xff\\n"'
    assert show_close(None) == "close (no code)"


def test_the_conversation_has_a_line_for_each_event_in_order() -> None:
    transcript = Transcript()
    first, second = transcript.new_connection(), transcript.new_connection()
    transcript.add(first, "> one")
    transcript.add(second, "< two")
    transcript.note(" three")

    lines = transcript.render().splitlines()

    assert [line.split("s", 1)[1].strip() for line in lines] == ["A> one", "B< two", "- three"]


def test_a_very_long_conversation_keeps_its_ends() -> None:
    transcript = Transcript()
    for i in range(5000):
        transcript.add("A", f"> {i}.")

    shown = transcript.render()

    assert "> 0." in shown
    assert "> 4999." in shown
    assert "4600 more" in shown


def test_connections_never_share_a_name() -> None:
    transcript = Transcript()
    assert len({transcript.new_connection() for _ in range(200)}) == 200
