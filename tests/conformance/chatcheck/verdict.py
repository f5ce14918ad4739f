"""The ways in which a check ends otherwise than well."""

from __future__ import annotations

from typing import NoReturn

import pytest

UNTESTED = "untested: "
NOT_APPLICABLE = "not applicable: "


class Mismatch(AssertionError):
    """The server did something else than the clause asks for."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"expected: {expected}\n     got: {got}")
        self.expected = expected
        self.got = got


class Inconclusive(AssertionError):
    """A fence timed out: whether the clause holds cannot be told, which counts as failed."""


def untested(reason: str) -> NoReturn:
    """End the test: this run has no way to observe its clause."""
    pytest.skip(UNTESTED + reason)


def not_applicable(reason: str) -> NoReturn:
    """End the test: what it checks is not asked of this server."""
    pytest.skip(NOT_APPLICABLE + reason)
