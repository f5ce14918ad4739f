"""The processes that the suite has started, with all that came of them: none outlives the run.

A server may leave the process it was started as: a script starts it and ends, it calls setsid(), it forks
twice. What belongs to it is found by its ancestors, its session, and a variable that its environment has
inherited. On Linux, orphans become children of the suite, so that one with a session and an environment of
its own is found too.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import IO

import psutil

from chatcheck.interrupts import ENDS

_KILL_SECONDS = 5.0  # for all to be gone after SIGKILL
_TICK_SECONDS = 0.02  # between two looks
_PR_SET_CHILD_SUBREAPER = 36
_GONE = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)

# In the environment of all that this run starts, its workers as well, and of all that comes of that.
_RUN = f"CHATCHECK_RUN_{secrets.token_hex(8)}"
_main = os.getpid()
_families: list[Family] = []  # that this process has started and that have not ended, the latest last
_adopts_in = 0  # the process that orphans come to


class Family:
    """A process that was started, and its descendants."""

    def __init__(
        self, process: subprocess.Popen[bytes], mark: str, forks: bool, before: set[psutil.Process]
    ) -> None:
        self._root = process
        self._before = before  # the children that this process had without it
        self._mark = mark
        self._forks = forks
        self._known: set[psutil.Process] = set()

    def poll(self) -> int | None:
        """How it ended; None while it runs. One that ended well and left others running, runs."""
        status = self._root.poll()
        return None if status == 0 and not self._is_over() else status

    @property
    def has_root(self) -> bool:
        """Does the process that was started still run?"""
        return self._root.poll() is None

    def members(self) -> set[psutil.Process]:
        """All that live now."""
        children = _children()
        found = {process for process in self._known if _lives(process)}
        found.update(process for process in _all(children) if self._is_ours(process))
        if self._forks and _families and _families[-1] is self:
            found.update(process for process in _orphans(children) if process not in self._before)
        unseen = list(found)
        while unseen:
            new = [child for child in children.get(unseen.pop().pid, ()) if child not in found]
            found.update(new)
            unseen.extend(new)
        self._known = {process for process in found if _lives(process)}
        return set(self._known)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all."""
        for process in self.members():
            _send(process, number)

    def wait(self, seconds: float) -> bool:
        """Wait until all have ended, or for so long."""
        end = time.monotonic() + seconds
        while self._root.poll() is None or not self._is_over():
            if time.monotonic() >= end:
                return False
            time.sleep(_TICK_SECONDS)
        return True

    def kill(self) -> None:
        """Kill all, also those that are forked meanwhile."""
        end = time.monotonic() + _KILL_SECONDS
        while time.monotonic() < end:
            self.signal(signal.SIGKILL)
            if self.wait(0):
                break
            time.sleep(_TICK_SECONDS)
        if self in _families:
            _families.remove(self)

    def _is_over(self) -> bool:
        """Has the last one ended? One that becomes an orphan during one look is found by the next."""
        if any(map(_lives, self._known)) or self.members():
            return False
        time.sleep(_TICK_SECONDS)
        return not self.members()

    def _is_ours(self, process: psutil.Process) -> bool:
        if process.pid == self._root.pid:
            return self._root.returncode is None
        with contextlib.suppress(OSError):
            if os.getsid(process.pid) == self._root.pid:
                return True
        return self._mark in _environment(process)


def start(
    command: Sequence[str], stdout: int | IO[bytes], stderr: int | None = None, forks: bool = True
) -> Family:
    """Start a process in a session of its own; not `forks`: one without descendants. Raises OSError."""
    mark = f"CHATCHECK_STARTED_{secrets.token_hex(8)}"
    with _signals_held_back():
        _adopt_orphans()
        before = set(psutil.Process().children())
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            env={**os.environ, _RUN: "1", mark: "1"},
        )
        family = Family(process, mark, forks, before)
        _families.append(family)
    return family


def end_all() -> None:
    """Kill all that this process has started. A signal handler may call it, whatever it interrupts."""
    for family in reversed(_families[:]):
        family.kill()


@atexit.register
def _end_the_run() -> None:
    """Kill what still runs, also what a worker has left that was killed itself."""
    if os.getpid() != _main:
        return
    end_all()
    for process in _all(_children()):
        if _RUN in _environment(process):
            _send(process, signal.SIGKILL)


def listener(port: int) -> str | None:
    """The process that listens on a port, for people, if this can be known."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            is_it = connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,)
            if is_it and connection.pid is not None:
                return f"{psutil.Process(connection.pid).name()}, process {connection.pid}"
    return None


def _children() -> dict[int, list[psutil.Process]]:
    """Each process' children, of all that may be ours: our descendants, where orphans come to us."""
    children: dict[int, list[psutil.Process]] = {}
    with contextlib.suppress(psutil.Error):
        adopts = _adopts_in == os.getpid()
        for process in psutil.Process().children(recursive=True) if adopts else psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                children.setdefault(process.ppid(), []).append(process)
    return children


def _all(children: dict[int, list[psutil.Process]]) -> Iterator[psutil.Process]:
    for processes in children.values():
        yield from processes


def _orphans(children: dict[int, list[psutil.Process]]) -> Iterator[psutil.Process]:
    """Those that have become ours and whose origin nothing tells: they have a session of their own."""
    if _adopts_in != os.getpid():
        return
    known = {family._root.pid for family in _families}
    known.update(process.pid for family in _families for process in family._known)
    for process in children.get(os.getpid(), ()):
        with contextlib.suppress(OSError):
            session = os.getsid(process.pid)
            if process.pid in known or session in known or session == os.getsid(0):
                continue
            if _RUN not in _environment(process):
                yield process


def _lives(process: psutil.Process) -> bool:
    """Does it run? One that has ended and has become ours is waited for."""
    try:
        if not process.is_running():
            return False
        if process.status() not in _GONE:
            return True
        is_ours_to_wait_for = process.ppid() == os.getpid()
    except psutil.Error:
        return False
    if is_ours_to_wait_for and all(process.pid != family._root.pid for family in _families):
        with contextlib.suppress(OSError):
            os.waitpid(process.pid, os.WNOHANG)
    return False


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except (psutil.Error, OSError):  # another user's; or it ends just now
        return {}


def _send(process: psutil.Process, number: signal.Signals) -> None:
    with contextlib.suppress(psutil.Error):
        process.send_signal(number)


def _adopt_orphans() -> None:
    """Let orphans among our descendants become our children, and not init's."""
    global _adopts_in
    if sys.platform == "linux" and _adopts_in != os.getpid():
        with contextlib.suppress(OSError, AttributeError):
            if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0:
                _adopts_in = os.getpid()


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
