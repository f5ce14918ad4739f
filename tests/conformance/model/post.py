"""The way of every message and broadcast to the devices, and what is kept of it for later. SPEC 6, 7 and 8.

Whatever is sent gets a place in one order, in which the server hands it out. In memory the order is that of
the calls. In Redis it is a log, a stream that every node reads from where it was: so it is the same on all
nodes, a node that was cut off goes on where it stopped, and a sender is answered when its own node has read
what it sent.
"""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from .requests import Id, delivery, read_id, show_id
from .store import RedisStore, Unavailable

START: Id = (0, 0)
DUP_S = 300.0  # [HIST-18]


class Full(Exception):
    """The recipient's history has no room. [HIST-16]"""


@dataclass(frozen=True)
class Entry:
    """A message; to None: a broadcast. 'id' and 'time' are those of the feature history."""

    body: str
    sender: str
    to: str | None = None
    id: Id | None = None
    time: int = 0

    @property
    def text(self) -> str:
        if self.to is None:
            return delivery(self.body, self.sender, broadcast=1)
        if self.id is None:
            return delivery(self.body, self.sender)
        return delivery(self.body, self.sender, id=show_id(self.id), time=self.time)


@dataclass(frozen=True)
class Sent:
    """What became of a message."""

    id: Id | None = None
    is_dup: bool = False


@dataclass(frozen=True)
class Past:
    """What is retained of a uid's messages, as a sign asks for it."""

    entries: list[Entry] = field(default_factory=list)
    newest: Id = START  # of all messages that the uid ever had
    has_gap: bool = False


HandOut = Callable[[Entry], None]


class Post(Protocol):
    quiet: asyncio.Lock
    """Nothing is handed out while somebody has it."""

    async def start(self, hand_out: HandOut) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, entry: Entry, cid: str | None) -> Sent:
        """Hand the message out, and store it where history is served; or raise Full or Unavailable."""

    async def broadcast(self, entry: Entry) -> None:
        """Hand the broadcast out, on every node."""

    async def caught_up(self) -> None:
        """Return when all that was answered before, on any node, has been handed out here."""

    async def past(self, uid: str, since: Id | None) -> Past:
        """What is retained behind 'since', or without it what is not confirmed.

        Not what is still to be handed out: it comes among the broadcasts, in order. [CAST-7]
        """

    async def confirm(self, uid: str, id: Id) -> None:
        """Some device has read everything up to 'id'."""


@dataclass
class Inbox:
    """The messages of one uid, the oldest first."""

    entries: list[Entry] = field(default_factory=list)
    newest: Id = START
    confirmed: Id = START
    dropped: Id = START  # the newest one that is no longer retained

    def after(self, id: Id) -> list[Entry]:
        return [entry for entry in self.entries if entry.id is not None and entry.id > id]

    def next_id(self, now_ms: int) -> Id:
        ms, n = self.newest
        return (now_ms, 0) if now_ms > ms else (ms, n + 1)


class MemoryPost:
    def __init__(self, history_max: int | None) -> None:
        """'history_max' None: history is not served."""
        self.quiet = asyncio.Lock()
        self._history_max = history_max
        self._inboxes: dict[str, Inbox] = defaultdict(Inbox)
        self._known: dict[tuple[str, str, str], tuple[Id, float]] = {}  # to, from, cid -> id, when
        self._hand_out: HandOut = lambda entry: None

    async def start(self, hand_out: HandOut) -> None:
        self._hand_out = hand_out

    async def stop(self) -> None:
        pass

    async def send(self, entry: Entry, cid: str | None) -> Sent:
        if self._history_max is None or entry.to is None:
            self._hand_out(entry)
            return Sent()
        retry = (entry.to, entry.sender, cid) if cid is not None else None
        known = self._known_id(retry)
        if known is not None:
            return Sent(known, is_dup=True)
        stored = self._stored(self._inboxes[entry.to], entry, self._history_max)
        assert stored.id is not None
        if retry is not None:
            self._known[retry] = (stored.id, time.monotonic())
        self._hand_out(stored)
        return Sent(stored.id)

    async def broadcast(self, entry: Entry) -> None:
        self._hand_out(entry)

    async def caught_up(self) -> None:
        pass

    async def past(self, uid: str, since: Id | None) -> Past:
        inbox = self._inboxes[uid]
        begin = inbox.confirmed if since is None else since
        return Past(inbox.after(begin), inbox.newest, has_gap=inbox.dropped > begin)

    async def confirm(self, uid: str, id: Id) -> None:
        inbox = self._inboxes[uid]
        inbox.confirmed = max(inbox.confirmed, id)

    def _known_id(self, retry: tuple[str, str, str] | None) -> Id | None:
        if retry is None or retry not in self._known:
            return None
        id, when = self._known[retry]
        return id if time.monotonic() - when <= DUP_S else None

    def _stored(self, inbox: Inbox, entry: Entry, history_max: int) -> Entry:
        if len(inbox.after(inbox.confirmed)) >= history_max:
            raise Full
        now_ms = time.time_ns() // 1_000_000
        stored = Entry(entry.body, entry.sender, entry.to, inbox.next_id(now_ms), now_ms)
        assert stored.id is not None
        inbox.newest = stored.id
        inbox.entries.append(stored)
        if len(inbox.entries) > history_max:  # the oldest one is confirmed, for less than that many are not
            oldest = inbox.entries.pop(0)
            inbox.dropped = oldest.id or START
        return stored


LOG = "chat_model_log"

# Nothing is done behind the deadline, for whoever waited has been answered 'unavailable' by then. [REPLY-8]
# How many confirmed messages are retained is counted, for 'full' has to be quick.
# KEYS: log, inbox, facts, dup. ARGV: deadline, entry, history_max (0: nothing is stored), dup_ms, has a cid.
_SEND = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[1]) then return {'late'} end
local entry, max, id = ARGV[2], tonumber(ARGV[3]), ''
if max > 0 then
    local known = ARGV[5] == '1' and redis.call('GET', KEYS[4])
    if known then return {'dup', known} end
    local n_confirmed = tonumber(redis.call('HGET', KEYS[3], 'n_confirmed') or '0')
    if redis.call('XLEN', KEYS[2]) - n_confirmed >= max then return {'full'} end
    id = redis.call('XADD', KEYS[2], '*', 'entry', entry, 'time', now)
    redis.call('HSET', KEYS[3], 'newest', id)
    if redis.call('XLEN', KEYS[2]) > max then
        local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1][1]
        redis.call('XDEL', KEYS[2], oldest)
        redis.call('HSET', KEYS[3], 'dropped', oldest)
        redis.call('HINCRBY', KEYS[3], 'n_confirmed', -1)
    end
    if ARGV[5] == '1' then redis.call('SET', KEYS[4], id, 'PX', ARGV[4]) end
end
local place = redis.call('XADD', KEYS[1], 'MAXLEN', '~', 100000, '*', 'entry', entry, 'id', id, 'time', now)
return {'sent', id, place}
"""

# KEYS: inbox, facts. ARGV: id.
_CONFIRM = """
local before = redis.call('HGET', KEYS[2], 'confirmed') or '0-0'
local newly = redis.call('XRANGE', KEYS[1], '(' .. before, ARGV[1])
if #newly > 0 then
    redis.call('HSET', KEYS[2], 'confirmed', newly[#newly][1])
    redis.call('HINCRBY', KEYS[2], 'n_confirmed', #newly)
end
"""


class RedisPost:
    """The inboxes and the log in Redis, which any number of nodes share."""

    DEADLINE_MS = 1000  # shorter than the store's own limit, so that no answer is late

    def __init__(self, url: str, store: RedisStore, history_max: int | None) -> None:
        self.quiet = asyncio.Lock()
        self._store = store
        self._redis = store.redis
        self._history_max = history_max
        self._position: Id | None = None  # up to which the log has been read
        self._moved = asyncio.Condition()
        self._hand_out: HandOut = lambda entry: None
        self._reader: asyncio.Task[None] | None = None
        limit = RedisStore.OPERATION_S
        self._log: Any = Redis.from_url(
            url, socket_timeout=limit, socket_connect_timeout=limit, retry=Retry(NoBackoff(), 0)
        )

    async def start(self, hand_out: HandOut) -> None:
        self._hand_out = hand_out
        self._reader = asyncio.create_task(self._read())

    async def stop(self) -> None:
        if self._reader:
            self._reader.cancel()
        await self._log.aclose()

    async def send(self, entry: Entry, cid: str | None) -> Sent:
        return await self._append(entry, cid, self._history_max or 0)

    async def broadcast(self, entry: Entry) -> None:
        await self._append(entry, None, 0)

    async def _append(self, entry: Entry, cid: str | None, history_max: int) -> Sent:
        to = entry.to or ""
        keys = [LOG, inbox_key(to), facts_key(to), _dup_key(to, entry.sender, cid)]
        deadline = time.time_ns() // 1_000_000 + self.DEADLINE_MS
        limits = [history_max, int(DUP_S * 1000), int(cid is not None)]
        answer: list[bytes] = await self._ask(
            lambda: self._redis.eval(_SEND, len(keys), *keys, deadline, _written(entry), *limits)
        )
        if answer[0] == b"late":
            raise Unavailable
        if answer[0] == b"full":
            raise Full
        id = read_id(answer[1].decode())
        if answer[0] == b"dup":
            return Sent(id, is_dup=True)
        await self._until(id_of(answer[2]))
        return Sent(id)

    async def caught_up(self) -> None:
        await self._until(await self._ask(self._end_of_log))

    async def past(self, uid: str, since: Id | None) -> Past:
        async def read() -> Past:
            facts = await self._facts(uid)
            begin = since if since is not None else facts.get(b"confirmed", START)
            found = await self._redis.xrange(inbox_key(uid), min=f"({show_id(begin)}")
            entries = [read_entry(fields, id) for id, fields in found]
            newest = facts.get(b"newest", START)
            first_to_come = await self._first_to_come(uid)
            if first_to_come is not None:
                entries = [entry for entry in entries if entry.id and entry.id < first_to_come]
                newest = _before(first_to_come)
            return Past(entries, newest, has_gap=facts.get(b"dropped", START) > begin)

        past: Past = await self._ask(read)
        return past

    async def confirm(self, uid: str, id: Id) -> None:
        keys = [inbox_key(uid), facts_key(uid)]
        await self._ask(lambda: self._redis.eval(_CONFIRM, 2, *keys, show_id(id)))

    async def _facts(self, uid: str) -> dict[bytes, Id]:
        facts = await self._redis.hgetall(facts_key(uid))
        return {name: id_of(value) for name, value in facts.items() if name != b"n_confirmed"}

    async def _first_to_come(self, uid: str) -> Id | None:
        """The first of the uid's messages that is in the log and has not been handed out here."""
        to_come = await self._redis.xrange(LOG, min=f"({show_id(self._position or START)}")
        entries = [read_entry(fields, fields[b"id"]) for _, fields in to_come]
        return min((entry.id for entry in entries if entry.to == uid and entry.id), default=None)

    async def _end_of_log(self) -> Id:
        newest = await self._redis.xrevrange(LOG, count=1)
        return id_of(newest[0][0]) if newest else START

    async def _ask(self, question: Callable[[], Any]) -> Any:
        answers: list[Any] = []

        async def ask() -> None:
            answers.append(await question())

        await self._store.run(ask)
        return answers[0]

    async def _until(self, id: Id) -> None:
        """Return when the log has been read up to there."""
        try:
            async with asyncio.timeout(RedisStore.OPERATION_S), self._moved:
                await self._moved.wait_for(lambda: self._position is not None and self._position >= id)
        except TimeoutError:
            raise Unavailable from None

    async def _read(self) -> None:
        """Hand out what is in the log, from its end when the server starts, for ever."""
        while True:
            try:
                if self._position is None:
                    newest = await self._log.xrevrange(LOG, count=1)
                    await self._move(id_of(newest[0][0]) if newest else START)
                await self._read_more()
            except (RedisError, OSError, TimeoutError):
                with suppress(RedisError, OSError):
                    await self._log.connection_pool.disconnect()
                await asyncio.sleep(0.2)

    async def _read_more(self) -> None:
        assert self._position is not None
        found = await self._log.xread({LOG: show_id(self._position)}, block=500, count=1000)
        for _stream, entries in found or []:
            async with self.quiet:
                for _, fields in entries:
                    self._hand_out(read_entry(fields, fields[b"id"]))
            await self._move(id_of(entries[-1][0]))

    async def _move(self, position: Id) -> None:
        async with self._moved:
            self._position = position
            self._moved.notify_all()


def _before(id: Id) -> Id:
    ms, n = id
    return (ms, n - 1) if n else (ms - 1, 2**53 - 1)


def inbox_key(uid: str) -> str:
    return f"chat_model_inbox:{uid}"


def facts_key(uid: str) -> str:
    return f"chat_model_facts:{uid}"


def _dup_key(to: str, sender: str, cid: str | None) -> str:
    return f"chat_model_dup:{json.dumps([to, sender, cid])}"


def _written(entry: Entry) -> str:
    return json.dumps([entry.body, entry.sender, entry.to])


def read_entry(fields: dict[bytes, bytes], id: bytes) -> Entry:
    body, sender, to = json.loads(fields[b"entry"])
    return Entry(body, sender, to, read_id(id.decode()), int(fields[b"time"]))


def id_of(text: bytes) -> Id:
    id = read_id(text.decode())
    assert id is not None
    return id
