"""How long the suite waits: every wait ends on an event, and its limit is scaled by --timeout-factor."""

from __future__ import annotations

import time
from collections.abc import Callable

# What should come at once may take this long on a slow machine before it counts as missing.
AT_ONCE_SECONDS = 5.0
_POLL_SECONDS = 0.01

# A server that leaves out one thing fails hundreds of checks that wait for it. After so many waits in
# vain the verdict is out, and others are shorter; but many times as long as the slowest answer so far.
_IN_VAIN_MAX = 4
_SHORT_SECONDS = 1.0
_TIMES_THE_SLOWEST = 10.0

_factor = 1.0
_n_in_vain = 0
_slowest_seconds = 0.0


def set_factor(factor: float) -> None:
    """Scale all limits from now on, and forget what the server was like; done before the first test."""
    global _factor, _n_in_vain, _slowest_seconds
    _factor, _n_in_vain, _slowest_seconds = factor, 0, 0.0


def scaled(seconds: float) -> float:
    """A limit in seconds, for this machine."""
    return seconds * _factor


def at_once() -> float:
    """How many seconds, for this machine and this server, what should come at once may take."""
    if _n_in_vain < _IN_VAIN_MAX:
        return scaled(AT_ONCE_SECONDS)
    return min(scaled(AT_ONCE_SECONDS), max(scaled(_SHORT_SECONDS), _TIMES_THE_SLOWEST * _slowest_seconds))


def came_after(seconds: float) -> None:
    """Note that something came, so late."""
    global _slowest_seconds
    _slowest_seconds = max(_slowest_seconds, seconds)


def came_not() -> None:
    """Note that something was waited for in vain; no check of a right server ends so."""
    global _n_in_vain
    _n_in_vain += 1


def deadline(seconds: float | None = None) -> float:
    """The moment, on time.monotonic's clock, when a wait of so many (scaled) seconds, or at_once(), ends."""
    return time.monotonic() + (at_once() if seconds is None else scaled(seconds))


def eventually(condition: Callable[[], object], within: float = 1.0, every: float = _POLL_SECONDS) -> bool:
    """Poll until the condition is true; False if it is not within the (scaled) time.

    `every` is the pause between two looks, in seconds: longer if looking is itself a request.

    For what a black box can only see by looking, such as keys in Redis: `assert eventually(lambda: …)`.
    """
    until = deadline(within)
    while True:
        if condition():
            return True
        if time.monotonic() >= until:
            return bool(condition())
        time.sleep(every)
