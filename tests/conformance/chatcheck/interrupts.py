"""Signals that end the run early, so that it still ends what it has started and writes its reports."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

# A Ctrl-C, a CI that gives up, a terminal that is closed.
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Notes every signal of ENDS; raises KeyboardInterrupt where the run can be left, and only once.

    A second one could come in the middle of the end that the first one has begun, which is bounded anyway.
    """

    def __init__(self) -> None:
        self.came = False
        self._raises = False

    def listen(self) -> None:
        """Hear the signals from now on, but for one that is ignored already: nohup asks for that."""
        for number in ENDS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._hear)

    @contextlib.contextmanager
    def raised(self) -> Iterator[None]:
        """What comes in here, or came before, is raised. Whoever uses it catches it around the `with`."""
        self._raises = True
        try:
            self.check()
            yield
        finally:
            self._raises = False

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal came: code that swallows exceptions may have got it."""
        if self.came:
            self._raises = False
            raise KeyboardInterrupt

    def _hear(self, _number: int, _frame: FrameType | None) -> None:
        self.came = True
        if self._raises:
            self._raises = False
            raise KeyboardInterrupt


interrupts = Interrupts()  # of this process
