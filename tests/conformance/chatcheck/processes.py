"""The processes that the suite has started: none outlives the run, at whatever moment that is ended."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import IO

from chatcheck.interrupts import ENDS

# Each is remembered until it has ended.
_started: set[subprocess.Popen[bytes]] = set()


def start(
    command: Sequence[str], stdout: int | IO[bytes], stderr: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in a session of its own. Raises OSError."""
    with _signals_held_back():
        _started.difference_update([process for process in _started if process.returncode is not None])
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
        )
        _started.add(process)
    return process


@atexit.register
def end_all() -> None:
    """Kill what still runs, with its process group. A signal handler may call it, whatever it interrupts."""
    for process in list(_started):
        if process.returncode is None:
            with contextlib.suppress(OSError):  # it has ended, and somebody has waited for it
                os.killpg(process.pid, signal.SIGKILL)
                os.waitpid(process.pid, 0)  # not process.wait(), which may be what the signal has interrupted


@contextlib.contextmanager
def _signals_held_back() -> Iterator[None]:
    """Between a process' start and the note of it nothing is interrupted: what comes then comes afterwards.

    By handlers and not by a mask, which the process would inherit.
    """
    came: list[int] = []

    def hold_back(number: int, _frame: FrameType | None) -> None:
        came.append(number)

    with _mask():
        before = {number: signal.signal(number, hold_back) for number in ENDS}
    try:
        yield
    finally:
        with _mask():
            for number, handler in before.items():
                signal.signal(number, handler)
        for held_back in came:
            signal.raise_signal(held_back)


@contextlib.contextmanager
def _mask() -> Iterator[None]:
    """All handlers change at once: one that raises leaves no other half done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
