"""What each device got, against what was stored for it: the second of the checker's two looks."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

from chaos.excuses import Faults, Window
from chaos.journal import (
    Closed,
    Delivered,
    Heard,
    Journal,
    Odd,
    Opened,
    Paused,
    Replied,
    Resumed,
    Signing,
    body_of,
    crc_of,
)
from chaos.ledger import Cast, Ledger, Stored, number_of
from chaos.verdict import Verdict

BROADCAST_SECONDS = 15.0  # after the last trouble a broadcast has arrived
KEPT_SECONDS = 2.0  # for which who signs on another node may get it: CAST-6


@dataclass(slots=True)
class Session:
    number: int
    node: int
    opened: float
    signs: list[Signing] = field(default_factory=list)
    signed: float | None = None  # when first
    confirmed: int = 0  # before the sign was answered
    got: list[tuple[int, float]] = field(default_factory=list)  # ids of msgs, when
    heard: dict[str, float] = field(default_factory=dict)
    pauses: list[Window] = field(default_factory=list)


class Shelves:
    """Each uid's stored messages in their order, and each id's key as any device saw it."""

    def __init__(self, ledger: Ledger) -> None:
        self._sorted = {
            uid: sorted(stored.values(), key=attrgetter("number")) for uid, stored in ledger.stored.items()
        }
        self._numbers = {uid: [one.number for one in stored] for uid, stored in self._sorted.items()}
        self.keys: dict[str, dict[int, tuple[str, int | None]]] = {}

    def between(self, uid: str, after: int, before: float) -> list[Stored]:
        """Those with after < id < before."""
        numbers = self._numbers.get(uid, [])
        return self._sorted.get(uid, [])[bisect_right(numbers, after) : bisect_left(numbers, before)]


def check_deliveries(journals: Iterable[Journal], ledger: Ledger, faults: Faults, verdict: Verdict) -> None:
    shelves = Shelves(ledger)
    casts = sorted(ledger.casts.items(), key=lambda item: item[1].at)
    for journal in journals:
        _Auditor(journal, ledger, shelves, casts, faults, verdict).read()


class _Auditor:
    """Reads one device's journal."""

    def __init__(
        self,
        journal: Journal,
        ledger: Ledger,
        shelves: Shelves,
        casts: list[tuple[str, Cast]],
        faults: Faults,
        verdict: Verdict,
    ) -> None:
        self._journal = journal
        self._who = journal.who
        self._ledger = ledger
        self._shelves = shelves
        self._casts = casts
        self._cast_times = [cast.at for _, cast in casts]
        self._faults = faults
        self._verdict = verdict
        self._session = Session(0, 0, 0.0)
        self._number_before = -1  # the last id of a device that passes since
        self._all: list[tuple[int, float]] = []
        self._last_sign = -math.inf
        self._last_gap = False
        self._asked: dict[str, Signing] = {}

    def read(self) -> None:
        for event in self._journal:
            match event:
                case Delivered():
                    self._delivered(event)
                case Heard():
                    self._heard(event)
                case Opened():
                    self._session = Session(event.session, event.node, event.at)
                case Signing():
                    self._asked[event.cid] = event
                case Replied():
                    if event.cid in self._asked:
                        self._signed(event)
                case Paused():
                    self._session.pauses.append(Window(event.at, math.inf))
                case Resumed():
                    self._session.pauses[-1] = Window(self._session.pauses[-1].begin, event.at)
                case Odd():
                    self._verdict.broken("reply", f"session {event.session} got {event.what}")
                case Closed():
                    self._closed(event)
        if self._who.has_since:
            self._check_missing(self._all, -1, math.inf, "ever")

    # -- Each delivery

    def _delivered(self, event: Delivered) -> None:
        self._verdict.checked["deliveries"] += 1
        message = self._ledger.messages.get(event.key)
        where = f"client {self._who.client} in session {event.session} at {event.at}"
        if message is None or message.to != self._who.uid or self._session.signed is None:
            self._verdict.broken("stranger", f"{where} got {event}", event.key)
            return
        if event.sender != message.sender:
            self._verdict.broken("from", f"{where}: from {event.sender}, not {message.sender}", event.key)
        if event.crc != crc_of(body_of(event.key)):
            self._verdict.broken("body", where, event.key)
        number = number_of(event.id or "")
        if number is None:
            self._verdict.broken("order", f"{where}: the id {event.id!r}", event.key)
            return
        self._check_id(event, number, where)
        self._check_rise(event, number, where)
        self._session.got.append((number, event.at))

    def _check_id(self, event: Delivered, number: int, where: str) -> None:
        """An id names one message, at one time, on every device; and a message has one id."""
        keys = self._shelves.keys.setdefault(self._who.uid, {})
        key, moment = keys.setdefault(number, (event.key, event.time))
        if key != event.key:
            self._verdict.broken("order", f"{where}: {event.id} was {key} elsewhere", event.key)
        if event.time is None or moment != event.time:
            self._verdict.broken("order", f"{where}: time {event.time}, elsewhere {moment}", event.key)
        message = self._ledger.messages[event.key]
        if message.number < 0:
            message.number = number
        elif message.number != number and number not in self._ledger.stored.get(message.to, {}):
            if self._faults.forgot_between(message.to, message.first, message.last):
                self._verdict.excused["stored again after Redis forgot its cid"] += 1
            else:
                self._verdict.broken("stored-twice", f"{where}: delivered as {event.id}, too", event.key)

    def _check_rise(self, event: Delivered, number: int, where: str) -> None:
        before = self._session.got[-1][0] if self._session.got else -1
        if self._who.has_since:
            before = max(before, self._number_before)
            self._number_before = max(before, number)
        if number > before:
            return
        got = self._all if self._who.has_since else self._session.got
        is_twice = number == before or any(number == seen for seen, _ in got + self._session.got)
        self._verdict.broken(
            "twice" if is_twice else "order", f"{where}: {event.id} after a later one", event.key
        )

    # -- Each session

    def _signed(self, event: Replied) -> None:
        sign = self._asked.pop(event.cid or "")
        if not event.status:
            return
        session = self._session
        session.signs.append(sign)
        if session.signed is None:
            session.signed = event.at
            session.confirmed = self._ledger.confirmed_before(self._who.uid, event.at)
        if event.gap:
            is_known = self._last_gap or self._faults.forgot_between(self._who.uid, self._last_sign, event.at)
            if is_known:
                self._verdict.excused["gap after Redis forgot messages"] += 1
            else:
                what = f"client {self._who.client}: gap with since {sign.since} at {event.at}"
                self._verdict.broken("gap", what)
        # From when it was asked: what is forgotten while its reply is on the way, the reply has not seen.
        self._last_sign, self._last_gap = sign.at, event.gap

    def _closed(self, event: Closed) -> None:
        session = self._session
        self._verdict.checked["sessions"] += 1
        if self._who.has_since:
            self._all += session.got
        elif session.got:
            # Without since it begins with the first message that nobody has confirmed.
            newest = max(session.got)[0]
            self._check_missing(session.got, session.confirmed, newest, "in a session")
        if session.signed is not None:
            self._check_broadcasts(event.at)

    def _check_missing(self, got: list[tuple[int, float]], after: int, before: float, when: str) -> None:
        """Is there anything with after < id < before that is not in 'got'?"""
        numbers = {number for number, _ in got}
        ordered: list[tuple[int, float]] = []
        for one in self._shelves.between(self._who.uid, after, before):
            self._verdict.checked["messages times devices"] += 1
            if one.number not in numbers:
                ordered = ordered or sorted(got)
                at = bisect_right(ordered, (one.number, math.inf))
                self._missing(one, ordered[at][1] if at < len(ordered) else math.inf, when)

    def _missing(self, one: Stored, got_later: float, when: str) -> None:
        self._verdict.missing[one.key] = one.window.begin
        if self._faults.may_lose(self._who.uid, one.window, got_later):
            self._verdict.excused["not delivered yet when Redis forgot it"] += 1
            return
        what = f"client {self._who.client}, session {self._session.number}, did not get it {when}"
        self._verdict.broken("lost", what, one.key, self._who.client)

    # -- Broadcasts

    def _heard(self, event: Heard) -> None:
        self._verdict.checked["broadcasts heard"] += 1
        session = self._session
        where = f"client {self._who.client} in session {event.session} at {event.at}"
        cast = self._ledger.casts.get(event.key)
        if cast is None or session.signed is None:
            self._verdict.broken("broadcast", f"{where} got {event}", event.key)
            return
        if event.sender != cast.sender:
            self._verdict.broken("from", f"{where}: from {event.sender}, not {cast.sender}", event.key)
        if event.crc != crc_of(body_of(event.key)):
            self._verdict.broken("body", where, event.key)
        if event.key in session.heard:
            self._verdict.broken("broadcast", f"{where}: twice", event.key)
        for key in session.heard:
            earlier = self._ledger.casts[key]
            if earlier.session == cast.session and earlier.at > cast.at:
                self._verdict.broken("broadcast", f"{where}: after {key}, which was sent later", event.key)
        session.heard[event.key] = event.at
        self._check_kept(cast, event, where)

    def _check_kept(self, cast: Cast, event: Heard, where: str) -> None:
        """It is for those who had signed when it was answered; on another node a moment later."""
        session = self._session
        grace = 0.0 if session.node == cast.node else KEPT_SECONDS
        signed = session.signs[0].at
        if cast.answered is not None and signed > cast.answered + grace:
            what = f"{where}: asked to sign at {signed}, after it was answered at {cast.answered}"
            self._verdict.broken("kept", what, event.key)

    def _check_broadcasts(self, closed: float) -> None:
        """A session that was signed before, and stayed, has heard it."""
        session = self._session
        assert session.signed is not None
        for key, cast in self._casts[bisect_right(self._cast_times, session.signed) :]:
            if cast.at > closed:
                break
            if cast.answered is None or key in session.heard:
                continue
            deadline = self._broadcast_deadline(cast.answered)
            if closed < deadline or any(pause.end >= cast.at for pause in session.pauses):
                continue
            if self._faults.lost_broadcasts(session.node, cast.at, deadline):
                self._verdict.excused["broadcast when Redis forgot it"] += 1
                continue
            what = f"client {self._who.client}, session {session.number}, closed at {closed}, did not get it"
            self._verdict.broken("broadcast", what, key, self._who.client)

    def _broadcast_deadline(self, answered: float) -> float:
        deadline = answered + BROADCAST_SECONDS
        for window in self._faults.disturbed(self._session.node):
            if window.begin < deadline:
                deadline = max(deadline, window.end + BROADCAST_SECONDS)
        return deadline
