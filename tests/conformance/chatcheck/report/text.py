"""Texts that a server may have had a hand in, made fit for a report."""

from __future__ import annotations

from chatcheck.report.model import clean

SHOWN_MAX = 8000  # characters of one text; what is longer keeps its ends


def cut(text: str, limit: int = SHOWN_MAX) -> str:
    """The text, or its beginning and end with a note of how much is left out."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return f"{text[:half]} […{len(text) - 2 * half} characters left out…] {text[-half:]}"


def escape(text: str, keep: str = "") -> str:
    """The text with everything that is not printable escaped, but for the characters to keep."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in clean(text)
    )


def one_line(text: str, limit: int = 300) -> str:
    """The text on one line, escaped and cut."""
    return escape(cut(" ".join(text.split(" ")), limit))


def block(text: str, limit: int = SHOWN_MAX) -> str:
    """The text with its lines, escaped and cut."""
    return escape(cut(text.replace("\r\n", "\n"), limit), keep="\n\t")
