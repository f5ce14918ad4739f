"""How long the suite waits: every wait ends on an event, and its limit is scaled by --timeout-factor."""

from __future__ import annotations

import time
from collections.abc import Callable

# What should come at once may take this long on a slow machine before it counts as missing.
AT_ONCE_SECONDS = 5.0
_POLL_SECONDS = 0.01

_factor = 1.0


def set_factor(factor: float) -> None:
    """Scale all limits from now on; the plugin does so once, before the first test."""
    global _factor
    _factor = factor


def scaled(seconds: float) -> float:
    """A limit in seconds, for this machine."""
    return seconds * _factor


def deadline(seconds: float = AT_ONCE_SECONDS) -> float:
    """The moment, on time.monotonic's clock, at which a wait of so many (scaled) seconds ends."""
    return time.monotonic() + scaled(seconds)


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
