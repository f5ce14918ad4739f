"""What happened on the wire in one test: every connection, frame, close code and source port, with times.

The transcript is printed when a test fails, so it survives whatever bytes a server sends.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from chatcheck.hidden import hide
from chatcheck.own_words import OwnWords

DEFAULT_MASK = b"\x37\xfa\x21\x3d"  # RFC 6455's example; as good as any against a server
_SHOWN_MAX = 300  # characters of one frame
_HEAD, _TAIL = 150, 250  # lines of a long conversation


def show_text(text: str) -> str:
    """A text for one line of a terminal: what is not printable is escaped, what is long is cut."""
    size = len(text)
    if size > _SHOWN_MAX:
        text = text[: _SHOWN_MAX // 2] + "…" + text[-_SHOWN_MAX // 2 :]
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return text + (f" ({size} characters)" if size > _SHOWN_MAX else "")


def show_bytes(data: bytes) -> str:
    """Bytes as the text they are in UTF-8, with every other byte as \\x…; cut if long."""
    size = len(data)
    if size > _SHOWN_MAX:
        shown = show_bytes(data[: _SHOWN_MAX // 2]) + "…" + show_bytes(data[-_SHOWN_MAX // 2 :])
        return f"{shown} ({size} bytes)"
    return show_text(data.decode("utf-8", "backslashreplace"))


def show_close(code: int | None, reason: bytes | str = b"") -> str:
    """A close frame; no code means an empty payload."""
    text = reason if isinstance(reason, str) else reason.decode("utf-8", "backslashreplace")
    shown = f' "{show_text(text)}"' if text else ""
    return f"close {code if code is not None else '(no code)'}{shown}"


@dataclass(frozen=True)
class Act:
    """What an event was, for those who do more than print it, such as a replay.

    `kind`: a frame's (text, binary, continuation, close, ping, pong, or opcode 0x3), connect (with a
    handshake; `data` is the path, `subprotocols` are offered), tcp (without one), raw (bytes), bytewise
    (bytes, one by one), flood (bytes, as many as fit), http (the head of a response), end or reset (of TCP),
    silence (a wait in vain).
    """

    kind: str
    data: bytes = b""
    opcode: int | None = None
    fin: bool = True
    rsv: int = 0
    mask: bytes | None = DEFAULT_MASK
    length_bits: int | None = None
    subprotocols: tuple[str, ...] = ()
    port: int | None = None
    code: int | None = None


@dataclass
class Entry:
    seconds: float
    connection: str
    event: str
    act: Act | None = None  # None: something to be read only


@dataclass
class Transcript:
    """The conversation of one test. Reader threads add to it too, so it is locked."""

    entries: list[Entry] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    own_words: OwnWords = field(default_factory=OwnWords)
    _names: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def new_connection(self) -> str:
        """The next connection's name: A, B, … Z, A1, B1, …"""
        with self._lock:
            turn, letter = divmod(self._names, 26)
            self._names += 1
        return chr(ord("A") + letter) + (str(turn) if turn else "")

    def add(self, connection: str, event: str, act: Act | None = None) -> None:
        """Record an event, such as `> {"type":…}` (sent) or `< close 1008` (received)."""
        with self._lock:
            self.entries.append(Entry(time.monotonic() - self.started, connection, hide(event), act))

    def note(self, event: str) -> None:
        """Record something that is no connection's: the server was killed, Redis is stopped, …"""
        self.add("-", event)

    def snapshot(self) -> list[Entry]:
        """What has been recorded so far."""
        with self._lock:
            return list(self.entries)

    def render(self) -> str:
        """The whole conversation, a line each; the middle of a very long one is left out, and said so."""
        entries = self.snapshot()
        lines = [f"{e.seconds:8.3f}s  {e.connection:>3}{e.event}" for e in entries]
        if len(lines) > _HEAD + _TAIL:
            left_out = len(lines) - _HEAD - _TAIL
            lines[_HEAD:-_TAIL] = [f"           … {left_out} more …"]
        return "\n".join(lines) or "(nothing was said)"
