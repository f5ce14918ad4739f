"""A client: it connects, signs, sends, retries and reads, and comes back whatever happens to it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from chaos import journal
from chaos.connection import Connection
from chaos.frames import TEXT, masked
from chaos.journal import Who, Writer, body_of, crc_of, key_of

WINDOW = 16  # requests without a reply, and messages; more would only measure how long a queue gets
BURST_MAX = 8  # messages sent at once
AGAIN_SECONDS = 0.4  # before what was answered "unavailable" is sent again, each time so much longer
AGAIN_SECONDS_MAX = 2.0
RETRY_SECONDS = 240.0  # then the client gives a message up: a cid is remembered for 300
HASTY_SECONDS = 5.0  # without a reply, then an impatient client goes to another node
PATIENT_SECONDS = 40.0  # a patient one; it sees a frozen node wake up
BROADCASTS = 0.0004  # of all messages
DOUBTS = 0.01  # of all messages are sent again although they were answered
SIGNS_AGAIN = 0.0005  # for each message of an old client a sign more
TO_ONESELF = 0.05

sessions = itertools.count(1)


@dataclass
class Common:
    """What all clients of a run share."""

    ports: list[int]  # of the nodes
    uids: list[str]
    began: float  # time.monotonic() of the run's time 0
    counts: Counter[str] = field(default_factory=Counter)

    def now(self) -> float:
        return round(time.monotonic() - self.began, 6)


@dataclass
class Outgoing:
    """A message that has not been answered with status 1 yet."""

    to: str
    frame: bytes
    first: float
    is_doubt: bool = False
    n_refused: int = 0


class Device:
    def __init__(self, who: Who, common: Common, writer: Writer, seed: str) -> None:
        self.who = who
        self._common = common
        self._writer = writer
        self._chance = random.Random(seed)
        self._patience = self._chance.choice((HASTY_SECONDS, PATIENT_SECONDS))
        self._n = itertools.count(1)
        self._signs = itertools.count(1)
        self._unanswered: dict[str, Outgoing] = {}
        self._again: deque[tuple[float, str]] = deque()
        self._waiting: deque[tuple[str, float]] = deque()  # cids of this session, when sent
        self._connection: Connection | None = None
        self._session = 0
        self._signed: asyncio.Future[bool] | None = None
        self._is_signed = False
        self._is_paused = False
        self._last = "0-0"
        self._credit = 0.0
        self._burst = 1.0
        self._fences: set[str] = set()
        self.drained = asyncio.Event()
        self.is_leaving = False
        self.may_send = True
        self._is_away = False

    # -- Its life

    async def live(self) -> None:
        """Be connected, again and again, until leave()."""
        while not self.is_leaving:
            if not self._is_away:
                with contextlib.suppress(OSError):
                    await self._one_session()
            if not self.is_leaving:
                await asyncio.sleep(self._chance.uniform(0.05, 0.6))

    async def _one_session(self) -> None:
        node = self._chance.randrange(len(self._common.ports))
        connection = await Connection.open(self, self._common.ports[node])
        self._session = next(sessions)
        self._waiting.clear()
        self._connection = connection
        self._note(journal.Opened(self._common.now(), self._session, node))
        if await self._sign():
            self._resume()
            await asyncio.shield(connection.ended)
        else:
            await connection.close()

    async def _sign(self) -> bool:
        """False: not on this node, not now."""
        for _ in range(10):
            self._signed = asyncio.get_running_loop().create_future()
            if self._connection is not None:
                self._connection.send(self._sign_frame(self._common.now()))
            try:
                async with asyncio.timeout(self._patience):
                    if await self._signed:
                        return True
            except (TimeoutError, ConnectionError):
                return False
            await asyncio.sleep(AGAIN_SECONDS)
        return False

    def _sign_frame(self, now: float) -> bytes:
        cid = f"{self.who.client}:s{next(self._signs)}"
        since = self._last if self.who.has_since else None
        request = {"type": "sign", "uid": self.who.uid, "cid": cid}
        if since is not None:
            request["since"] = since
        self._note(journal.Signing(now, self._session, cid, self.who.uid, since))
        self._waiting.append((cid, now))
        return _frame(request)

    def _resume(self) -> None:
        """Signed: everything that has no answer yet is sent again, in its order."""
        self._is_signed = True
        self._again.clear()
        for key in self._unanswered:
            self._again.append((0.0, key))

    async def leave(self) -> None:
        """Close for good."""
        self.is_leaving = True
        if self._connection is not None and self._connection.is_open:
            if self.who.client % 2:
                await self._connection.close()
            else:
                self._connection.reset()

    async def come_back(self) -> None:
        """Close, so that live() connects anew, and whatever is unread comes again."""
        if self._connection is not None and self._connection.is_open:
            await self._connection.close()

    # -- What breaks it

    def reset(self) -> None:
        if self._connection is not None:
            self._connection.reset()

    def pause(self, is_slow: bool) -> None:
        """Read nothing, or hardly anything, until recover()."""
        if self._connection is None or not self._connection.is_open or self._is_paused:
            return
        self._is_paused = True
        self._note(journal.Paused(self._common.now(), self._session))
        if is_slow:
            self._connection.slow_down()
        else:
            self._connection.freeze()

    def recover(self) -> None:
        if self._is_paused and self._connection is not None:
            self._is_paused = False
            self._note(journal.Resumed(self._common.now(), self._session))
            for index, (cid, _) in enumerate(self._waiting):
                self._waiting[index] = (cid, self._common.now())
            self._connection.thaw()

    def go_away(self) -> None:
        """Stay disconnected until return_home()."""
        self._is_away = True
        self.reset()

    def return_home(self) -> None:
        self._is_away = False

    # -- What it sends

    def tick(self, credit: float) -> None:
        """Called often: send what is due. 'credit' is how many new messages the client may send more."""
        if not self._is_signed or self._is_paused or self._connection is None:
            return
        now = self._common.now()
        if self._waiting and now - self._waiting[0][1] > self._patience:
            self._common.counts["lost patience"] += 1
            self._connection.reset()
            return
        frames: list[bytes] = []
        self._send_again(now, frames)
        self._credit = min(self._credit + credit, BURST_MAX)
        if self.may_send and self._credit >= self._burst:
            self._send_new(now, frames)
        if frames:
            self._connection.send(b"".join(frames))

    def _send_again(self, now: float, frames: list[bytes]) -> None:
        if len(self._again) > 1:
            self._again = deque(sorted(self._again))
        while self._again and self._again[0][0] <= now and len(self._waiting) < WINDOW:
            key = self._again.popleft()[1]
            message = self._unanswered.get(key)
            if message is None:
                continue
            if now - message.first > RETRY_SECONDS:
                self._common.counts["given up"] += 1
                del self._unanswered[key]
                continue
            self._note(journal.Sent(now, self._session, key, message.to))
            self._waiting.append((key, now))
            frames.append(message.frame)

    def _send_new(self, now: float, frames: list[bytes]) -> None:
        while self._credit >= 1 and len(self._waiting) < WINDOW and len(self._unanswered) < WINDOW:
            self._credit -= 1
            dice = self._chance.random()
            if dice < BROADCASTS:
                frames.append(self._broadcast(now))
            elif dice < BROADCASTS + SIGNS_AGAIN and not self.who.has_since:
                frames.append(self._sign_frame(now))
            else:
                to = self.who.uid if dice > 1 - TO_ONESELF else self._chance.choice(self._common.uids)
                frames.append(self._message(now, f"{self.who.client}:{next(self._n)}", to))
        self._burst = self._chance.uniform(1, BURST_MAX)

    def _message(self, now: float, key: str, to: str) -> bytes:
        frame = _frame({"type": "msg", "to": to, "body": body_of(key), "cid": key})
        self._unanswered[key] = Outgoing(to, frame, now)
        self._common.counts["messages"] += 1
        self._note(journal.Sent(now, self._session, key, to))
        self._waiting.append((key, now))
        return frame

    def _broadcast(self, now: float) -> bytes:
        key = f"{self.who.client}:b{next(self._n)}"
        self._common.counts["broadcasts"] += 1
        self._note(journal.Casting(now, self._session, key))
        self._waiting.append((key, now))
        return _frame({"type": "broadcast", "body": body_of(key), "cid": key})

    def expect_fences(self, keys: set[str]) -> None:
        """drained is set when these messages have arrived."""
        self._fences = set(keys)

    def send_fence(self) -> None:
        """A last message to oneself: when it has arrived, so has everything before it."""
        if self._connection is not None:
            key = fence_of(self.who.client)
            self._connection.send(self._message(self._common.now(), key, self.who.uid))

    @property
    def is_signed(self) -> bool:
        return self._is_signed

    @property
    def n_unanswered(self) -> int:
        return len(self._unanswered)

    # -- What it hears

    def heard(self, text: bytes) -> None:
        now = self._common.now()
        try:
            message = json.loads(text)
            if "status" in message:
                self._replied(now, message)
            elif "broadcast" in message:
                self._heard_broadcast(now, message)
            else:
                self._delivered(now, message)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._note(journal.Odd(now, self._session, f"{text!r}: {error!r}"))

    def pinged(self, payload: bytes) -> None:
        if b"-" in payload and payload.replace(b"-", b"", 1).isdigit():
            self._note(journal.Ponged(self._common.now(), self._session, payload.decode()))

    def lost(self, connection: Connection, why: str) -> None:
        self._note(journal.Closed(self._common.now(), self._session, why))
        self._common.counts[why] += 1
        self._is_signed = self._is_paused = False
        if self._signed is not None and not self._signed.done():
            self._signed.set_exception(ConnectionError(why))
            self._signed.exception()

    def _replied(self, now: float, reply: dict[str, object]) -> None:
        cid, code, identity = (_text_or_none(reply.get(name)) for name in ("cid", "code", "id"))
        is_done = reply["status"] == 1
        is_dup, is_gap = reply.get("dup") == 1, reply.get("gap") == 1
        self._note(journal.Replied(now, self._session, cid, is_done, code, identity, is_dup, is_gap))
        if not self._waiting:
            return
        key, _ = self._waiting.popleft()
        counts = self._common.counts
        counts[f"answered {code or ('dup' if is_dup else 'ok')}"] += 1
        counts["gap"] += is_gap
        if self._signed is not None and not self._signed.done():
            self._signed.set_result(is_done)
        elif key in self._unanswered:
            self._settle(now, key, is_done)

    def _settle(self, now: float, key: str, is_done: bool) -> None:
        message = self._unanswered[key]
        if is_done and not message.is_doubt:
            self._common.counts["sended"] += 1
        if not is_done:
            message.n_refused += 1
            self._again.append((now + min(AGAIN_SECONDS * message.n_refused, AGAIN_SECONDS_MAX), key))
        elif not message.is_doubt and self._chance.random() < DOUBTS:
            message.is_doubt = True
            self._again.append((now, key))
        else:
            del self._unanswered[key]

    def _delivered(self, now: float, delivery: dict[str, object]) -> None:
        sender, body = delivery["from"], delivery["body"]
        if not isinstance(sender, str) or not isinstance(body, str):
            raise ValueError("'from' and 'body' are strings")
        identity, at = _text_or_none(delivery.get("id")), delivery.get("time")
        moment = at if isinstance(at, int) else None
        key = key_of(body)
        self._note(journal.Delivered(now, self._session, identity, sender, key, crc_of(body), moment))
        self._common.counts["deliveries"] += 1
        self._last = identity or self._last
        if self._fences:
            self._fences.discard(key)
            if not self._fences:
                self.drained.set()

    def _heard_broadcast(self, now: float, delivery: dict[str, object]) -> None:
        sender, body = delivery["from"], delivery["body"]
        if not isinstance(sender, str) or not isinstance(body, str) or delivery["broadcast"] != 1:
            raise ValueError("'from' and 'body' are strings, 'broadcast' is 1")
        if "id" in delivery or "time" in delivery:
            raise ValueError("a broadcast has neither id nor time")
        self._common.counts["broadcasts heard"] += 1
        self._note(journal.Heard(now, self._session, sender, key_of(body), crc_of(body)))

    def _note(self, event: journal.Event) -> None:
        self._writer.add(event)


def fence_of(client: int) -> str:
    return f"{client}:fence"


def everybody(clients: int) -> list[Who]:
    """Four uids for every ten clients, with one to four devices; each fourth has old clients only."""
    people: list[Who] = []
    sizes: Callable[[int], int] = lambda group: group % 4 + 1  # noqa: E731
    for group in itertools.count():
        for device in range(sizes(group)):
            if len(people) == clients:
                return people
            has_since = group % 8 != 5 and (group + device) % 3 != 2
            people.append(Who(len(people), uid_of(group), has_since))
    raise AssertionError


def uid_of(group: int) -> str:
    """Some that a careless key would break on."""
    return f"用户 {{{group}}}%25:{group}" if group % 8 == 3 else f"u{group}"


def _frame(request: dict[str, str]) -> bytes:
    return masked(TEXT, json.dumps(request, ensure_ascii=False, separators=(",", ":")).encode())


def _text_or_none(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"{value!r} is no string")
