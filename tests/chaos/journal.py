"""What each side saw, as records that are only ever added: the checker knows nothing else.

Times are seconds since the run began, of one clock. A session is one connection of one client, numbered in
the whole run. A key names a message or broadcast in the whole run, and is its cid, too.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Protocol


class Opened(NamedTuple):
    """The handshake with a node is done."""

    at: float
    session: int
    node: int


class Signing(NamedTuple):
    at: float
    session: int
    cid: str
    uid: str
    since: str | None


class Sent(NamedTuple):
    """A msg, perhaps not for the first time."""

    at: float
    session: int
    key: str
    to: str


class Casting(NamedTuple):
    """A broadcast."""

    at: float
    session: int
    key: str


class Replied(NamedTuple):
    """The next reply: the members that it had."""

    at: float
    session: int
    cid: str | None
    status: int
    code: str | None
    id: str | None
    dup: bool
    gap: bool


class Delivered(NamedTuple):
    at: float
    session: int
    id: str | None
    sender: str
    key: str
    crc: int  # of the whole body
    time: int | None


class Heard(NamedTuple):
    """A broadcast arrived."""

    at: float
    session: int
    sender: str
    key: str
    crc: int


class Ponged(NamedTuple):
    """A ping that named an id was answered."""

    at: float
    session: int
    id: str


class Odd(NamedTuple):
    """The server sent something that no client should get."""

    at: float
    session: int
    what: str


class Paused(NamedTuple):
    """The client stopped reading, or began to read slowly, until Resumed."""

    at: float
    session: int


class Resumed(NamedTuple):
    at: float
    session: int


class Closed(NamedTuple):
    at: float
    session: int
    why: str


Event = (
    Opened | Signing | Sent | Casting | Replied | Delivered | Heard | Ponged | Odd | Paused | Resumed | Closed
)

_KINDS: dict[str, type[Event]] = {
    "opened": Opened,
    "signing": Signing,
    "sent": Sent,
    "casting": Casting,
    "replied": Replied,
    "delivered": Delivered,
    "heard": Heard,
    "ponged": Ponged,
    "odd": Odd,
    "paused": Paused,
    "resumed": Resumed,
    "closed": Closed,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


class Fault(NamedTuple):
    """Something was broken: fully from 'effective' to 'healing', and somehow from 'began' to 'healed'."""

    kind: str
    target: str  # "node 1", "link 1", "redis", a key, or clients
    began: float
    effective: float
    healing: float
    healed: float
    detail: str = ""


class Look(NamedTuple):
    """What should not have been there when the run looked: dead processes, keys left over."""

    at: float
    rule: str
    what: str


class Who(NamedTuple):
    """A client: a device of 'uid' that remembers its last id, or an old one that does not."""

    client: int
    uid: str
    has_since: bool


class World(NamedTuple):
    """What the run knows besides the clients' journals."""

    faults: tuple[Fault, ...]
    looks: tuple[Look, ...]
    seed: int = 0


class Journal(Protocol):
    """A client's records, in order. Can be read again and again."""

    @property
    def who(self) -> Who: ...

    def __iter__(self) -> Iterator[Event]: ...


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


class Writer:
    """A client's journal on disk, a JSON array a line; the first says whose it is."""

    def __init__(self, folder: Path, who: Who) -> None:
        self._file = path_of(folder, who.client).open("w", encoding="utf-8", buffering=1 << 16)
        self._file.write(_encode(who) + "\n")

    def add(self, event: Event) -> None:
        self._file.write(_encode((_NAMES[type(event)], *event)) + "\n")

    def close(self) -> None:
        self._file.close()


class OnDisk:
    """Reads what a Writer wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open(encoding="utf-8") as file:
            self._who = Who(*json.loads(next(file)))

    @property
    def who(self) -> Who:
        return self._who

    def __iter__(self) -> Iterator[Event]:
        with self.path.open(encoding="utf-8") as file:
            next(file)
            for line in file:
                kind, *fields = json.loads(line)
                yield _KINDS[kind](*fields)


class InMemory:
    """A journal made by hand."""

    def __init__(self, who: Who, events: Iterable[Event]) -> None:
        self._who = who
        self._events = list(events)

    @property
    def who(self) -> Who:
        return self._who

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events)


def path_of(folder: Path, client: int) -> Path:
    return folder / f"client-{client:03}.jsonl"


def read_folder(folder: Path) -> list[OnDisk]:
    """The clients' journals of a run, in the clients' order."""
    return [OnDisk(path) for path in sorted(folder.glob("client-*.jsonl"))]


def write_world(folder: Path, world: World) -> None:
    (folder / "world.json").write_text(json.dumps(world._asdict(), indent=1, ensure_ascii=False))


def read_world(folder: Path) -> World:
    data = json.loads((folder / "world.json").read_text())
    faults = tuple(Fault(*row) for row in data["faults"])
    return World(faults, tuple(Look(*row) for row in data["looks"]), data["seed"])


_FILLER = "abcdefghijklmnopqrstuvwxyz0123456789 " * 8


def body_of(key: str) -> str:
    """The body of a message follows from its key, so that nobody has to remember it. Plain ASCII."""
    return f"{key}|{_FILLER[: zlib.crc32(key.encode()) % 200]}"


def key_of(body: str) -> str:
    return body.partition("|")[0]


def crc_of(body: str) -> int:
    return zlib.crc32(body.encode())
