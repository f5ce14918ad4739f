"""Workers make checks side by side, each in a fork of the process that has collected the checks.

A worker starts a server, and a Redis, of its own where those are the suite's to start. It sends the reports
of each check to the process that forked it (here: the parent), which tells pytest and its plugins as if the
check had been made there. So nobody else has to know whether there are workers; with one job there are none.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import NoReturn

import pytest
from _pytest.runner import pytest_sessionfinish as tear_down
from _pytest.runner import runtestprotocol

from chatcheck import processes
from chatcheck.interrupts import ENDS
from chatcheck.target import StillListens

_END_SECONDS = 20.0  # to end what a worker has started
# At least so many checks for each worker: a fork, and a server of its own, are not for nothing.
_CHECKS_MIN = 2


@dataclass(frozen=True)
class _Said:
    """What a worker says: a check's reports, or why the run ends."""

    reports: list[pytest.TestReport] = field(default_factory=list)
    stop: str = ""  # session.shouldstop
    leave: tuple[str, int | None] | None = None  # the arguments of pytest.exit()
    broken: str = ""  # a traceback


@dataclass
class _Worker:
    """A worker, as its parent sees it."""

    process: BaseProcess
    pipe: Connection
    checks: list[int] = field(default_factory=list)  # that it has been given and not reported
    gets_more: bool = True


class Workers:
    """A plugin object: the loop over all checks, with so many workers at most."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._workers: list[_Worker] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        n_workers = min(self._jobs, len(session.items) // _CHECKS_MIN)
        if n_workers < 2 or session.testsfailed or session.config.option.collectonly:
            return None  # pytest's own loop
        try:
            for _ in range(n_workers):
                self._workers.append(self._fork(session))
            self._run(session)
        finally:
            for worker in self._workers:
                _end(worker)
        return True

    def _fork(self, session: pytest.Session) -> _Worker:
        here, there = multiprocessing.Pipe()
        parents_ends = [*(worker.pipe for worker in self._workers), here]
        process = multiprocessing.get_context("fork").Process(
            target=_work, args=(session, there, parents_ends), daemon=True
        )
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDS)  # until the worker knows what to do then
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
        there.close()
        return _Worker(process, here)

    def _run(self, session: pytest.Session) -> None:
        """Hand out the checks in their order, and tell pytest what comes back, until all have ended."""
        left = iter(range(len(session.items)))
        for worker in [*self._workers, *self._workers]:  # one to make, and one to make next
            _give(worker, left)
        busy = list(self._workers)
        while busy:
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                try:
                    said: _Said = worker.pipe.recv()
                except (EOFError, ConnectionResetError):
                    _check_it_was_done(worker, session)
                    busy.remove(worker)
                    continue
                _tell(said, worker, session)
                _give(worker, left)


def _give(worker: _Worker, left: Iterator[int]) -> None:
    """Give it the next check, or None once if there is none left."""
    if not worker.gets_more:
        return
    check = next(left, None)
    if check is None:
        worker.gets_more = False
    else:
        worker.checks.append(check)
    with contextlib.suppress(OSError):  # it has ended: what it said last is still to be read
        worker.pipe.send(check)


def _check_it_was_done(worker: _Worker, session: pytest.Session) -> None:
    if worker.checks:
        name = session.items[worker.checks[0]].nodeid
        worker.process.join(_END_SECONDS)
        raise RuntimeError(f"a worker ended (exit code {worker.process.exitcode}) while it made {name}")


def _tell(said: _Said, worker: _Worker, session: pytest.Session) -> None:
    """Tell pytest what became of a check, and raise what pytest's own loop would."""
    if said.reports:
        item = session.items[worker.checks.pop(0)]
        hook = item.ihook
        hook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for report in said.reports:
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    if said.broken:
        raise RuntimeError(f"in a worker:\n{said.broken}")
    if said.leave:
        pytest.exit(*said.leave)
    if session.shouldfail:  # --maxfail, which counts in the parent
        raise session.Failed(session.shouldfail)
    if said.stop:
        session.shouldstop = said.stop
        raise session.Interrupted(said.stop)


def _end(worker: _Worker) -> None:
    """End a worker, which ends what it has started; at once, unless it has ended already."""
    worker.pipe.close()
    worker.process.terminate()
    worker.process.join(_END_SECONDS)
    worker.process.kill()
    worker.process.join()
    worker.process.close()


# In a worker


def _work(session: pytest.Session, pipe: Connection, parents_ends: list[Connection]) -> None:
    """Make the checks whose numbers come through the pipe, until None comes."""
    signal.signal(signal.SIGTERM, _leave)
    for number in {*ENDS} - {signal.SIGTERM}:  # these are for the parent, which then ends its workers
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDS)
    for end in parents_ends:  # so that the pipe breaks when the parent dies
        end.close()
    capture = session.config.pluginmanager.getplugin("capturemanager")
    if capture is not None:  # the file that output is captured in is one for each process
        capture.stop_global_capturing()
        capture.start_global_capturing()
        capture.suspend_global_capture()
    try:
        _make_checks(session, pipe)
    except (EOFError, ConnectionError):
        pass  # the parent ends the run, or has died
    except pytest.exit.Exception as leave:
        _say_last(pipe, _Said(leave=(leave.msg, leave.returncode)))
    except BaseException:
        _say_last(pipe, _Said(broken=traceback.format_exc()))
    finally:
        try:
            tear_down(session)
        except StillListens as error:
            _say_last(pipe, _Said(leave=(str(error), None)))
        finally:
            processes.end_all()


def _make_checks(session: pytest.Session, pipe: Connection) -> None:
    number = pipe.recv()
    while number is not None:
        upcoming = pipe.recv()  # pytest has to know it to keep what the next check needs as well
        next_item = None if upcoming is None else session.items[upcoming]
        reports = runtestprotocol(session.items[number], log=False, nextitem=next_item)
        pipe.send(_Said(reports, stop=str(session.shouldstop or "")))
        if session.shouldstop:
            return
        number = upcoming


def _say_last(pipe: Connection, said: _Said) -> None:
    with contextlib.suppress(ConnectionError):  # the parent listens no more: another worker has ended the run
        pipe.send(said)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    """End at once, with all that this worker has started.

    Nothing is raised: that could come in the middle of anything, of another exception or of a teardown, too.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    processes.end_all()
    os._exit(0)
