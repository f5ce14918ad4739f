"""From a recorded conversation to a Python script that has it again, with the standard library alone.

The script takes a URL, does what the suite did (the same handshakes, frames and resets, in the same order
across connections), waits wherever the suite had received something, and prints what comes this time.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from chatcheck.report.model import clean
from chatcheck.transcript import DEFAULT_MASK, Act, Entry

_PRELUDE = Path(__file__).with_name("replay_prelude.py")
_SIZE_MAX = 256 * 1024  # characters of a script
_LITERAL_MAX = 400  # bytes that are written as they are; more are packed
_PAUSE_MIN_S = 0.3  # a shorter silence means nothing
_LINE = 96


def script(entries: Sequence[Entry], title: str = "") -> str | None:
    """The script; None if nothing was sent, or if it would be too long to be of use."""
    steps = list(_steps(entries))
    if not any("connect(" in step for step in steps):
        return None
    prelude = _PRELUDE.read_text(encoding="utf-8")
    head, _, rest = prelude.partition("    # <the conversation>\n")
    body = "".join(f"    {line}\n" for step in steps for line in step.splitlines())
    comment = "".join(f"# {line}\n" for line in _one_line(title).splitlines()) + "#\n" if title else ""
    made = head.replace("# <title>\n", comment) + body + rest
    return made if len(made) <= _SIZE_MAX else None


def _steps(entries: Sequence[Entry]) -> Iterator[str]:
    """A statement for each event."""
    auto = {entry.connection for entry in entries if entry.act and entry.act.kind == "connect"}
    closes = {entry.connection for entry in entries if entry.event.startswith("> close")}
    before = entries[0].seconds if entries else 0.0
    for entry in entries:
        silence = entry.seconds - before
        before = entry.seconds
        if silence >= _PAUSE_MIN_S and not entry.event.startswith("<"):
            yield f"pause({silence:.1f})"
        act = entry.act
        if act is not None and act.kind == "silence":  # the pause is all of it
            continue
        if act is None:
            yield f"note({_quote(f'{entry.connection}{entry.event}')})"
        elif entry.event.startswith("<"):
            yield f"{_variable(entry)}.receive({_quote(entry.event[2:])})"
        elif act.kind in ("connect", "tcp"):
            manners = "" if entry.connection in auto else ", answers_pings=False"
            manners += "" if entry.connection not in closes else ", answers_close=False"
            yield f"{_variable(entry)} = connect({entry.connection!r}{manners})"
            if act.kind == "connect":
                yield f"{_variable(entry)}.shake_hands({_handshake(act)})"
        elif not (act.kind == "pong" and entry.connection in auto):
            yield f"{_variable(entry)}.{_sending(act)}"


def _handshake(act: Act) -> str:
    offered = f", subprotocols={list(act.subprotocols)!r}" if act.subprotocols else ""
    return f"{act.data.decode('utf-8', 'replace')!r}{offered}"


def _sending(act: Act) -> str:
    if act.kind in ("end", "reset"):
        return f"{act.kind}()"
    if act.kind in ("raw", "bytewise", "flood"):
        return f"{act.kind}({_data(act.data)})"
    options = [] if act.fin else ["fin=False"]
    options += [f"rsv={act.rsv}"] if act.rsv else []
    options += [f"mask={act.mask!r}"] if act.mask != DEFAULT_MASK else []
    options += [f"length_bits={act.length_bits}"] if act.length_bits is not None else []
    text = _as_text(act.data)
    if act.opcode == 1 and text is not None:
        return f"text({', '.join([text, *options])})"
    return f"frame({', '.join([f'{act.opcode:#x}', _data(act.data), *options])})"


def _as_text(data: bytes) -> str | None:
    """A text as people like to read and change it; None if it is not UTF-8, or long."""
    if len(data) > _LITERAL_MAX:
        return None
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return _quote(text)


def _data(data: bytes) -> str:
    """An expression that gives these bytes."""
    if len(data) <= _LITERAL_MAX:
        return repr(data)
    packed = base64.b64encode(zlib.compress(data, 9)).decode()
    pieces = [packed[i : i + _LINE] for i in range(0, len(packed), _LINE)]
    wrapped = "\n".join(f'    "{piece}"' for piece in pieces)
    return f"unpack(  # {len(data)} bytes\n{wrapped}\n)"


def _quote(text: str) -> str:
    """A literal of one line; what is not printable is escaped, and nothing else."""
    if '"' in text and "'" not in text and "\\" not in text and text.isprintable():
        return f"'{text}'"
    return repr(clean(text)) if re.search("[\ud800-\udfff]", text) else repr(text)


def _one_line(title: str) -> str:
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in clean(title))


def _variable(entry: Entry) -> str:
    return entry.connection.lower()
