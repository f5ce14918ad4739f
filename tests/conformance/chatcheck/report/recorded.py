"""From what a test has recorded to the lines of a report."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from chatcheck.report.model import Line
from chatcheck.transcript import Entry

_HEAD, _TAIL = 150, 250  # lines of a long conversation
_REPEATED_MIN = 3  # as many equal lines are one


def lines(entries: Sequence[Entry]) -> tuple[Line, ...]:
    """A conversation for a report; the middle of a very long one is left out, and said so."""
    ports = {entry.connection: entry.act.port for entry in entries if entry.act and entry.act.port}
    entries = list(_without_repetitions(entries))
    if len(entries) <= _HEAD + _TAIL:
        return tuple(_line(entry, ports) for entry in entries)
    head, left_out, tail = entries[:_HEAD], entries[_HEAD:-_TAIL], entries[-_TAIL:]
    gap = Line(left_out[0].seconds, "-", None, "-", "note", f"… {len(left_out)} more …")
    return (*(_line(entry, ports) for entry in head), gap, *(_line(entry, ports) for entry in tail))


def _without_repetitions(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Of many equal events in a row the first, and how many more there are."""
    for (connection, event), group in itertools.groupby(
        entries, lambda entry: (entry.connection, entry.event)
    ):
        first, *others = group
        yield first
        if len(others) < _REPEATED_MIN:
            yield from others
        else:
            yield Entry(others[-1].seconds, connection, f"{event[:1]} … the same {len(others)} times more")


def _line(entry: Entry, ports: dict[str, int]) -> Line:
    direction, text = entry.event[:1], entry.event[1:].strip()
    return Line(
        t_s=round(entry.seconds, 4),
        connection=entry.connection,
        port=ports.get(entry.connection),
        direction=direction if direction in ("<", ">") else "-",
        kind=entry.act.kind if entry.act else "note",
        text=text,
        code=entry.act.code if entry.act else None,
    )
