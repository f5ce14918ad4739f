"""Frames of every length, cut at every byte."""

from __future__ import annotations

import pytest

from chaos.frames import TEXT, Reader, masked, unmasked


@pytest.mark.parametrize("size", [0, 1, 125, 126, 1000, 65535])
def test_a_frame_is_read_as_it_was_written(size: int) -> None:
    payload = bytes(size)

    assert list(Reader().feed(unmasked(TEXT, payload))) == [(TEXT, payload)]


def test_frames_may_be_cut_anywhere() -> None:
    data = unmasked(TEXT, b"one") + unmasked(TEXT, bytes(200)) + unmasked(TEXT, b"")
    for cut in range(len(data) + 1):
        reader = Reader()

        found = [*reader.feed(data[:cut]), *reader.feed(data[cut:])]

        assert found == [(TEXT, b"one"), (TEXT, bytes(200)), (TEXT, b"")]


def test_a_clients_frame_has_a_mask_of_zero() -> None:
    assert masked(TEXT, b"hi") == b"\x81\x82\0\0\0\0hi"
    assert masked(TEXT, bytes(300))[:8] == b"\x81\xfe\x01\x2c\0\0\0\0"
