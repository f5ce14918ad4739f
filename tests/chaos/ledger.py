"""What the journals say of requests and replies: who sent what to whom, and as what it was stored.

The first of the checker's two looks. It also checks what a single journal can show of requests: replies,
their order, their ids, and that nobody says "sended" who cannot know.
"""

from __future__ import annotations

import re
from bisect import insort
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from chaos.excuses import Faults, Window, inside, overlaps
from chaos.journal import (
    Casting,
    Closed,
    Delivered,
    Journal,
    Opened,
    Paused,
    Ponged,
    Replied,
    Resumed,
    Sent,
    Signing,
)
from chaos.verdict import Verdict

ANSWER_SECONDS = 3.0  # STORE-9
RECOVER_SECONDS = 5.0  # STORE-10
SLACK_SECONDS = 7.0  # for a machine that is busy with the faults themselves

_ID = re.compile(r"(0|[1-9]\d*)-(0|[1-9]\d*)")


def number_of(identity: str) -> int | None:
    """An id as a number that compares like it."""
    found = _ID.fullmatch(identity)
    return (int(found[1]) << 53) + int(found[2]) if found else None


@dataclass(slots=True)
class Message:
    to: str
    sender: str
    first: float  # sent
    last: float
    n_sent: int = 1
    number: int = -1  # of its id, the last known one
    is_answered: bool = False  # with status 1


@dataclass(slots=True)
class Stored:
    """What a reply with status 1 says: this id is in the uid's history."""

    number: int
    key: str
    window: Window  # in which it was stored


@dataclass(slots=True)
class Cast:
    """A broadcast."""

    sender: str
    session: int
    node: int
    at: float
    answered: float | None = None  # with status 1


@dataclass(slots=True)
class Request:
    kind: str  # "sign", "msg", "broadcast"
    cid: str
    at: float
    to: str = ""


@dataclass(slots=True)
class Session:
    """A connection, as its requests go."""

    number: int
    node: int
    waiting: deque[Request] = field(default_factory=deque)
    signed_as: str | None = None
    own: set[str] = field(default_factory=set)  # keys of the client's own messages that it got
    newest: dict[str, int] = field(
        default_factory=dict
    )  # uid -> id of the last message that this session stored
    pauses: list[Window] = field(default_factory=list)


@dataclass
class Ledger:
    messages: dict[str, Message] = field(default_factory=dict)
    stored: dict[str, dict[int, Stored]] = field(default_factory=dict)  # by uid, by id
    casts: dict[str, Cast] = field(default_factory=dict)
    confirmed: dict[str, list[tuple[float, int]]] = field(default_factory=dict)  # uid -> pongs: when, up to

    def confirmed_before(self, uid: str, at: float) -> int:
        """Up to which id devices may have confirmed by then."""
        return max((number for when, number in self.confirmed.get(uid, ()) if when <= at), default=0)


def write_ledger(journals: Iterable[Journal], faults: Faults, verdict: Verdict) -> Ledger:
    ledger = Ledger()
    for journal in journals:
        _Clerk(journal, ledger, faults, verdict).read()
    return ledger


class _Clerk:
    """Reads one client's journal."""

    def __init__(self, journal: Journal, ledger: Ledger, faults: Faults, verdict: Verdict) -> None:
        self._journal = journal
        self._who = journal.who
        self._ledger = ledger
        self._faults = faults
        self._verdict = verdict
        self._session = Session(0, 0)
        self._best_pong = 0

    def read(self) -> None:
        for event in self._journal:
            match event:
                case Delivered():
                    if event.key.startswith(f"{self._who.client}:"):
                        self._session.own.add(event.key)
                case Sent():
                    self._sent(event)
                case Replied():
                    self._replied(event)
                case Ponged():
                    self._ponged(event)
                case Opened():
                    self._session = Session(event.session, event.node)
                case Signing():
                    self._session.waiting.append(Request("sign", event.cid, event.at, event.uid))
                case Casting():
                    self._casting(event)
                case Paused():
                    self._session.pauses.append(Window(event.at, float("inf")))
                case Resumed():
                    self._session.pauses[-1] = Window(self._session.pauses[-1].begin, event.at)
                case Closed():
                    self._closed(event)

    def _casting(self, event: Casting) -> None:
        session = self._session
        cast = Cast(self._who.uid, session.number, session.node, event.at)
        self._ledger.casts[event.key] = cast
        session.waiting.append(Request("broadcast", event.key, event.at))

    def _sent(self, event: Sent) -> None:
        message = self._ledger.messages.get(event.key)
        if message is None:
            message = Message(event.to, self._who.uid, event.at, event.at)
            self._ledger.messages[event.key] = message
        else:
            message.last = event.at
            message.n_sent += 1
        self._session.waiting.append(Request("msg", event.key, event.at, event.to))

    def _replied(self, event: Replied) -> None:
        self._verdict.checked["replies"] += 1
        if not self._session.waiting:
            self._verdict.broken("reply", f"session {event.session}: a reply that nothing asked for: {event}")
            return
        request = self._session.waiting.popleft()
        if event.cid != request.cid:
            self._verdict.broken("reply", f"the reply to {request} has another cid: {event}", request.cid)
        self._check_times(request, event)
        if not event.status:
            return
        if request.kind == "sign":
            self._session.signed_as = request.to
        elif self._session.signed_as is None:
            self._verdict.broken("reply", f"not signed, and {request} is answered {event}", request.cid)
        elif request.kind == "broadcast":
            self._ledger.casts[request.cid].answered = event.at
        else:
            self._stored(request, event)

    def _check_times(self, request: Request, event: Replied) -> None:
        node = self._session.node
        asked = f"a {request.kind} of {request.at}"
        where = f"node {node} answered {event.status} {event.code or ''} to {asked} at {event.at}"
        if event.status and inside(self._faults.cut_off(node), request.at, event.at):
            self._verdict.broken("cut-off", where, request.cid)
        if event.at - request.at > ANSWER_SECONDS + SLACK_SECONDS and self._was_fit(request.at, event.at):
            self._verdict.broken("late", where, request.cid)
        if event.code == "unavailable":
            begin = request.at - RECOVER_SECONDS - SLACK_SECONDS
            if not overlaps(self._faults.disturbed(node), begin, event.at):
                self._verdict.broken("recovered", where, request.cid)

    def _was_fit(self, begin: float, end: float) -> bool:
        """Could the node and the client do their work all the time?"""
        return not overlaps(self._faults.slowed(self._session.node), begin, end) and not overlaps(
            self._session.pauses, begin, end
        )

    def _stored(self, request: Request, event: Replied) -> None:
        number = number_of(event.id or "")
        if number is None:
            self._verdict.broken("reply", f"'sended' with the id {event.id!r}", request.cid)
            return
        message = self._ledger.messages[request.cid]
        if message.n_sent == 1 and event.dup:
            self._verdict.broken("reply", f"dup for what was sent for the first time: {event}", request.cid)
        if message.is_answered and message.number != number:
            self._stored_again(request, event, message)
        message.is_answered, message.number = True, number
        began = message.first if event.dup else request.at
        stored = self._ledger.stored.setdefault(request.to, {})
        found = stored.setdefault(number, Stored(number, request.cid, Window(began, event.at)))
        if found.key != request.cid:
            self._verdict.broken("order", f"{event.id} is also the id of {found.key}", request.cid)
        if not event.dup:
            self._stored_now(request, event, number)

    def _stored_again(self, request: Request, event: Replied, message: Message) -> None:
        if self._faults.forgot_between(request.to, message.first, event.at):
            self._verdict.excused["stored again after Redis forgot its cid"] += 1
        else:
            self._verdict.broken("stored-twice", f"stored again as {event.id}", request.cid)

    def _stored_now(self, request: Request, event: Replied, number: int) -> None:
        """It was this very request that stored it, so it comes behind what the session sent before."""
        newest = self._session.newest
        if number <= newest.get(request.to, -1):
            self._verdict.broken("order", f"{event.id} is below an id that was sent before it", request.cid)
        newest[request.to] = max(number, newest.get(request.to, -1))
        if request.to == self._session.signed_as and request.cid not in self._session.own:
            # ORDER-3. A node that has lost Redis may know that it is stored, but not what comes before it.
            begin = request.at - RECOVER_SECONDS - SLACK_SECONDS
            is_known = overlaps(self._faults.disturbed(self._session.node), begin, event.at)
            if is_known or self._faults.forgot_between(request.to, request.at, event.at):
                self._verdict.excused[
                    "one's own message behind its reply when Redis was away or forgot it"
                ] += 1
            else:
                self._verdict.broken("reply", "the reply came before the sender's own delivery", request.cid)

    def _ponged(self, event: Ponged) -> None:
        number = number_of(event.id)
        if number is not None and number > self._best_pong and self._session.signed_as is not None:
            self._best_pong = number
            insort(self._ledger.confirmed.setdefault(self._session.signed_as, []), (event.at, number))

    def _closed(self, event: Closed) -> None:
        for request in self._session.waiting:
            is_late = event.at - request.at > ANSWER_SECONDS + SLACK_SECONDS
            if is_late and self._was_fit(request.at, event.at):
                what = (
                    f"node {self._session.node} never answered {request}, closed at {event.at}: {event.why}"
                )
                self._verdict.broken("late", what, request.cid)
