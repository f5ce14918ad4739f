"""The command's output: it suits every terminal, and it is no matter whether somebody still reads it.

What a terminal's encoding lacks is escaped. Who has read enough (`| head`) ends nothing: the run goes on, and
its exit status is its own. Output that is lost, on a full disk, is an error.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Any

_sinks: list[_Sink] = []


class _Sink(io.RawIOBase):
    """Writes to a descriptor, and never raises."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.error: OSError | None = None  # the first one, but that nobody reads

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def isatty(self) -> bool:
        return os.isatty(self._fd)

    def write(self, data: Any) -> int:
        while True:
            try:
                return os.write(self._fd, data)
            except BlockingIOError:
                select.select([], [self._fd], [])
            except BrokenPipeError:
                return len(data)
            except OSError as error:
                self.error = self.error or error
                return len(data)


def prepare() -> None:
    """Make stdout and stderr such streams; to be called first."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:  # closed: nothing that is opened later may take its place
            os.open(os.devnull, os.O_RDWR)
    for name, fd in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, name)
        if stream is not None and _fileno(stream) != fd:  # somebody has put another one there
            continue
        sink = _Sink(fd)
        _sinks.append(sink)
        encoding = stream.encoding if stream is not None else "utf-8"
        buffered = io.BufferedWriter(sink)
        by_lines = name == "stderr" or sink.isatty()
        setattr(sys, name, io.TextIOWrapper(buffered, encoding, "backslashreplace", line_buffering=by_lines))


def finish() -> str | None:
    """Flush; why output was lost, if it was."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return next((sink.error.strerror for sink in _sinks if sink.error is not None), None)


def _fileno(stream: Any) -> int | None:
    try:
        return int(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return None
