"""A short run by hand, right in every way, for tests to make wrong in one.

ann has one device, bob two: 1 passes since, 2 is an old client. ann sends m1 and m2, and m3 after bob's first
device was away.
"""

from __future__ import annotations

from typing import Any

from chaos import journal
from chaos.checker import check
from chaos.journal import Event, Fault, InMemory, Look, Who, World, body_of, crc_of
from chaos.verdict import Verdict

ANN, BOB, OLD = 0, 1, 2
PEOPLE = (Who(ANN, "ann", True), Who(BOB, "bob", True), Who(OLD, "bob", False))
IDS = {"0:1": "1000-0", "0:2": "1000-1", "0:3": "2000-0", "0:4": "3000-0"}


def replied(at: float, session: int, cid: str, **members: Any) -> journal.Replied:
    """One of status 1, if not said otherwise."""
    defaults: dict[str, Any] = {"status": 1, "code": None, "id": IDS.get(cid), "dup": False, "gap": False}
    return journal.Replied(at, session, cid, **{**defaults, **members})


def delivered(at: float, session: int, key: str, **members: Any) -> journal.Delivered:
    """A message of ann's as it should arrive."""
    identity = str(members.get("id", IDS.get(key, "1-1")))
    right: dict[str, Any] = {
        "id": identity,
        "sender": "ann",
        "key": key,
        "crc": crc_of(body_of(key)),
        "time": int(identity.partition("-")[0]),
    }
    return journal.Delivered(at, session, **{**right, **members})


def heard(at: float, session: int, key: str, sender: str = "ann") -> journal.Heard:
    return journal.Heard(at, session, sender, key, crc_of(body_of(key)))


def signed(at: float, session: int, uid: str, since: str | None, node: int = 0) -> list[Event]:
    cid = f"s{session}"
    return [
        journal.Opened(at, session, node),
        journal.Signing(at, session, cid, uid, since),
        replied(at + 0.1, session, cid),
    ]


class Story:
    def __init__(self) -> None:
        self.ann: list[Event] = [
            *signed(0, 1, "ann", "0-0"),
            journal.Sent(10, 1, "0:1", "bob"),
            journal.Sent(10, 1, "0:2", "bob"),
            replied(10.1, 1, "0:1"),
            replied(10.1, 1, "0:2"),
            journal.Sent(20, 1, "0:3", "bob"),
            replied(20.1, 1, "0:3"),
            journal.Closed(100, 1, "we closed it"),
        ]
        self.bob: list[Event] = [
            *signed(0, 2, "bob", "0-0"),
            delivered(10.2, 2, "0:1"),
            delivered(10.2, 2, "0:2"),
            journal.Closed(15, 2, "the server ended TCP"),
            *signed(25, 4, "bob", "1000-1"),
            delivered(25.2, 4, "0:3"),
            journal.Closed(100, 4, "we closed it"),
        ]
        self.old: list[Event] = [
            *signed(0, 3, "bob", None),
            delivered(10.2, 3, "0:1"),
            delivered(10.2, 3, "0:2"),
            journal.Ponged(11, 3, "1000-1"),
            delivered(20.2, 3, "0:3"),
            journal.Closed(30, 3, "we reset it"),
            *signed(31, 5, "bob", None),
            delivered(31.2, 5, "0:3"),
            journal.Closed(100, 5, "we closed it"),
        ]
        self.faults: list[Fault] = []
        self.looks: list[Look] = []

    def check(self) -> Verdict:
        journals = [
            InMemory(who, events) for who, events in zip(PEOPLE, (self.ann, self.bob, self.old), strict=True)
        ]
        return check(journals, World(tuple(self.faults), tuple(self.looks)))

    def broken(self) -> set[str]:
        """The rules that the checker finds broken."""
        return set(self.check().counts)


def without(events: list[Event], key: str, session: int) -> list[Event]:
    """These, but for the delivery of 'key' in that session."""
    kept = [
        event
        for event in events
        if not (isinstance(event, journal.Delivered) and (event.key, event.session) == (key, session))
    ]
    assert len(kept) == len(events) - 1
    return kept


def changed(events: list[Event], old: Event, **members: Any) -> list[Event]:
    """These, with other members of one."""
    assert old in events
    return [event._replace(**members) if event == old else event for event in events]


def insert_after(events: list[Event], mark: Event, *more: Event) -> list[Event]:
    at = events.index(mark) + 1
    return [*events[:at], *more, *events[at:]]
