"""Faults in the way of messages, and in what is kept of them: overrides of post.py's methods. SPEC 6 to 8."""

import asyncio
import json
import re
import secrets
import time
import unicodedata
from collections import defaultdict
from dataclasses import replace
from typing import Any

from redis.exceptions import RedisError

from .faults import fault
from .post import (
    LOG,
    START,
    Entry,
    Full,
    Inbox,
    MemoryPost,
    Past,
    RedisPost,
    Sent,
    id_of,
    inbox_key,
    read_entry,
)
from .requests import Id, show_id
from .store import RedisStore, Unavailable


class FaultyInbox(Inbox):
    def __init__(self) -> None:
        super().__init__()
        self.drops: list[Id] = []

    def after(self, id: Id) -> list[Entry]:
        if fault("since-as-text"):
            return [entry for entry in self.entries if show_id(entry.id or START) > show_id(id)]
        if fault("since-ms-only"):
            return [entry for entry in self.entries if (entry.id or START)[0] > id[0]]
        return super().after(id)

    def next_id(self, now_ms: int) -> Id:
        if fault("ids-from-1"):
            return (self.newest[0] + 1, 0)
        if fault("ids-of-clock"):
            return (now_ms, 0)
        return super().next_id(now_ms)


class FaultyInboxes(defaultdict[str, Inbox]):
    """The inboxes by their uids, some of which are taken for one."""

    def __init__(self) -> None:
        super().__init__(FaultyInbox)

    def __getitem__(self, uid: str) -> Inbox:
        return super().__getitem__(_taken_for(uid))


def _taken_for(uid: str) -> str:
    if fault("inbox-folded"):
        return uid.lower()
    if fault("inbox-normalised"):
        return unicodedata.normalize("NFC", uid)
    if fault("inbox-trimmed"):
        return uid.strip()
    if fault("inbox-64-bytes"):
        return uid[:64]
    if fault("inbox-file-name"):
        return re.sub(r"[^\w-]", "_", uid)
    if fault("inbox-number") and uid.isdecimal():
        return str(int(uid))
    return uid


class FaultyMemoryPost(MemoryPost):
    def __init__(self, history_max: int | None) -> None:
        if history_max is not None:
            history_max -= fault("full-early")
            history_max += fault("full-late")
        super().__init__(history_max)
        self._inboxes: dict[str, Inbox] = FaultyInboxes()
        self._was_full: set[str] = set()
        self._confirmed: set[tuple[str, Id]] = set()  # one by one
        self._broadcasts: list[Entry] = []
        self._bodies: dict[tuple[str, str, str], str] = {}

    async def send(self, entry: Entry, cid: str | None) -> Sent:
        to = entry.to or ""
        if fault("dups-without-cid") and cid is None:
            cid = f"body {entry.body}"
        if fault("dups-folded") and cid is not None:
            cid = cid.casefold()
        if fault("dups-normalised") and cid is not None:
            cid = unicodedata.normalize("NFC", cid)
        if fault("dups-until-nul") and cid is not None:
            cid = cid.partition("\0")[0]
        if fault("dups-32-bytes") and cid is not None:
            cid = cid[:32]
        if fault("dups-with-body") and cid is not None:
            cid += entry.body
        if fault("dups-of-last") and cid is not None:
            for known in [known for known in self._known if known[1] == entry.sender and known[2] != cid]:
                del self._known[known]
        if fault("full-for-ever") and to in self._was_full:
            raise Full
        if fault("full-before-dup"):
            self._check_room(to)
        try:
            sent = await super().send(entry, cid)
        except Full:
            self._was_full.add(to)
            if fault("full-delivered"):
                self._hand_out(
                    replace(entry, id=self._inboxes[to].next_id(0), time=time.time_ns() // 1_000_000)
                )
            if fault("full-but-stored"):
                inbox = self._inboxes[to]
                inbox.entries.append(replace(entry, id=inbox.next_id(0), time=time.time_ns() // 1_000_000))
            raise
        if fault("dups-delivered") and sent.is_dup:
            self._hand_out(replace(entry, id=sent.id, time=time.time_ns() // 1_000_000))
        return sent

    def _check_room(self, uid: str) -> None:
        inbox = self._inboxes[uid]
        if self._history_max and len(inbox.after(inbox.confirmed)) >= self._history_max:
            raise Full

    def _known_id(self, retry: tuple[str, str, str] | None) -> Id | None:
        if fault("dups-unknown"):
            return None
        if retry is None:
            return None
        to, sender, cid = retry
        for known, (id, _) in self._known.items():
            same = (
                fault("dups-by-cid-only") and known[2] == cid,
                fault("dups-across-senders") and (known[0], known[2]) == (to, cid),
                fault("dups-across-recipients") and known[1:] == (sender, cid),
                fault("dups-joined") and known[1] + known[0] + known[2] == sender + to + cid,
                fault("dups-joined-by-colon") and ":".join(known) == f"{to}:{sender}:{cid}",
                fault("dups-cid-first") and f"{known[2]}/{known[1]}/{known[0]}" == f"{cid}/{sender}/{to}",
            )
            if any(same):
                return id
        id_known = super()._known_id(retry)
        if fault("dups-until-confirmed") and id_known and id_known <= self._inboxes[to].confirmed:
            return None
        retained = [entry.id for entry in self._inboxes[to].entries]
        if fault("dups-until-dropped") and id_known not in retained:
            return None
        if fault("dups-of-last-1000") and retry not in [*self._known][-1000:]:
            return None
        return id_known

    def remember(self, to: str, sender: str, cid: str) -> None:
        """The cid of a msg that was refused, which no right server remembers."""
        self._known.setdefault((to, sender, cid), ((1, 1), time.monotonic()))

    def _stored(self, inbox: Inbox, entry: Entry, history_max: int) -> Entry:
        if fault("ids-of-sender"):
            others = [each.id for each in inbox.entries if each.sender != entry.sender and each.id]
            inbox.newest = max(
                [each.id for each in inbox.entries if each.sender == entry.sender and each.id]
                or [(1, len(others))]
            )
        room = history_max
        if fault("full-drops-oldest") or fault("full-drops-newest"):
            room += 1
        if fault("full-counts-confirmed") and len(inbox.entries) >= history_max:
            raise Full
        before = inbox.dropped
        stored = super()._stored(inbox, entry, room)
        if inbox.dropped != before and isinstance(inbox, FaultyInbox):
            inbox.drops.append(inbox.dropped)
        if fault("offline-past-10k-lost") and len(entry.body) > 10_240:
            inbox.entries.remove(stored)
        retained = 100 if fault("retains-100") else room
        retained = history_max - 1 if fault("retains-one-less") else retained
        if fault("retains-1-mib"):
            retained = min(retained, 2**20 // len(entry.body))
        self._drop(inbox, retained)
        if fault("full-drops-oldest") and len(inbox.entries) > history_max:
            inbox.dropped = inbox.entries.pop(0).id or START
        if fault("full-drops-newest") and len(inbox.after(inbox.confirmed)) > history_max:
            del inbox.entries[-2]
        if fault("time-in-whole-seconds"):
            stored = replace(stored, time=stored.time // 1000 * 1000)
            inbox.entries[-1:] = [stored]
        if fault("time-in-seconds"):
            inbox.entries[-1:] = [replace(each, time=each.time // 1000) for each in inbox.entries[-1:]]
            stored = replace(stored, time=stored.time // 1000)
        return stored

    def _drop(self, inbox: Inbox, retained: int) -> None:
        while len(inbox.entries) > retained and (inbox.entries[0].id or START) <= inbox.confirmed:
            inbox.dropped = inbox.entries.pop(0).id or START

    async def broadcast(self, entry: Entry) -> None:
        if fault("broadcast-in-history"):
            for inbox in self._inboxes.values():
                inbox.newest = inbox.next_id(0)
                inbox.entries.append(replace(entry, id=inbox.newest))
        await super().broadcast(entry)

    async def past(self, uid: str, since: Id | None) -> Past:
        inbox = self._inboxes[uid]
        past = await super().past(uid, None if fault("since-ignored") else since)
        entries = past.entries
        if fault("since-inclusive") and since is not None:
            entries = [entry for entry in inbox.entries if (entry.id or START) >= since]
        if fault("since-skips-one") and since not in (None, START):
            entries = entries[1:]
        if fault("since-confirmed-left-out") and since is not None:
            entries = [entry for entry in entries if (entry.id or START) > inbox.confirmed]
        if fault("full-page-cut") and len(entries) % 100 == 0:
            entries = entries[:-1]
        if fault("pongs-one-message") and since is None:
            entries = [entry for entry in inbox.entries if (uid, entry.id or START) not in self._confirmed]
        return replace(past, entries=entries, has_gap=self._has_gap(inbox, since, past.has_gap))

    def _has_gap(self, inbox: Inbox, since: Id | None, is_right: bool) -> bool:
        if fault("gap-never"):
            return False
        if fault("gap-always"):
            return True
        if fault("gap-0-0-only"):
            return is_right and since == START
        if fault("gap-not-0-0"):
            return is_right and since != START
        if fault("gap-of-confirmed") and since is None:
            return inbox.dropped > START
        if fault("gap-at-last-dropped") and since is not None:
            return inbox.dropped >= since > START or is_right
        if fault("gap-missing-one") and since is not None and isinstance(inbox, FaultyInbox):
            return sum(id > since for id in inbox.drops) > 1
        return is_right

    async def confirm(self, uid: str, id: Id) -> None:
        inbox = self._inboxes[uid]
        self._confirmed.add((uid, id))
        if fault("pongs-back"):
            inbox.confirmed = id
            return
        if fault("pongs-all") and inbox.entries:
            id = inbox.entries[-1].id or START
        await super().confirm(uid, id)


class FaultyRedisPost(RedisPost):
    def __init__(self, url: str, store: RedisStore, history_max: int | None) -> None:
        if fault("cut-off-late"):
            self.DEADLINE_MS = 6000
        super().__init__(url, store, history_max)
        self._known_here: dict[tuple[str | None, str, str], Sent] = {}
        self._confirmed_here: dict[str, Id] = {}
        self._was_lost = False
        self._mine: set[str] = set()  # what this node has sent
        self._full: set[str | None] = set()  # uids whose history was full when this node last looked
        self._newest_here: dict[str | None, Id | None] = {}
        self._n_ids = 0
        self._name = secrets.token_hex(8)
        self._late: list[asyncio.Task[None]] = []

    async def start(self, hand_out: Any) -> None:
        async for key in self._log.scan_iter(match=inbox_key("*")):
            if fault("restart-loses-all"):
                await self._log.delete(key)
            if fault("restart-loses-unread"):
                facts = key.replace(b"chat_model_inbox:", b"chat_model_facts:")
                confirmed = await self._log.hget(facts, "confirmed") or b"0-0"
                for id, _ in await self._log.xrange(key, min=b"(" + confirmed):
                    await self._log.xdel(key, id)
        if fault("started-node-clears"):
            await self._clear_sets()
        if fault("flush-deafens-nodes"):
            await self._is_unknown()
        await super().start(hand_out)

    async def stop(self) -> None:
        if fault("stopped-node-clears"):
            await self._clear_sets()
        await super().stop()

    async def _clear_sets(self) -> None:
        async for key in self._log.scan_iter(match="chat_map_uid_fd:*"):
            await self._log.delete(key)

    async def _append(self, entry: Entry, cid: str | None, history_max: int) -> Sent:
        if fault("dups-here-only") and cid is not None:
            known = self._known_here.get((entry.to, entry.sender, cid))
            if known:
                return replace(known, is_dup=True)
            sent = await super()._append(entry, None, history_max)
            self._known_here[(entry.to, entry.sender, cid)] = sent
            return sent
        if (fault("stored-late") or fault("dead-node-loses")) and entry.to is not None and history_max:
            return await self._append_late(entry, cid, history_max)
        if fault("room-here-only") and entry.to in self._full:
            raise Full
        self._mine.add(json.dumps([entry.body, entry.sender, entry.to]))
        if fault("broadcast-here-only") and entry.to is None:
            self._hand_out(entry)
            return Sent()
        try:
            sent = await super()._append(entry, cid, history_max)
            if not sent.is_dup:
                self._newest_here[entry.to] = sent.id
            return sent
        except Full:
            self._full.add(entry.to)
            raise
        except Unavailable:
            if fault("cut-off-sended"):
                return Sent((1, 1))
            if fault("cut-off-broadcasts-here") and entry.to is None:
                self._hand_out(entry)
            if fault("cut-off-broadcasts-later") and entry.to is None:
                self._late.append(asyncio.create_task(self._append_when_back(entry)))
            raise

    async def _append_late(self, entry: Entry, cid: str | None, history_max: int) -> Sent:
        """Answered before it is stored; the id is that of a message which is stored nowhere."""
        now = time.time_ns() // 1_000_000
        self._n_ids += 1
        self._late.append(asyncio.create_task(self._append_in(0.3, entry, cid, history_max)))
        return Sent((now, self._n_ids))

    async def _append_in(self, seconds: float, entry: Entry, cid: str | None, history_max: int) -> None:
        await asyncio.sleep(seconds)
        await super()._append(entry, cid, history_max)

    async def _append_when_back(self, entry: Entry) -> None:
        while True:
            try:
                await super()._append(entry, None, 0)
                return
            except Unavailable:
                await asyncio.sleep(0.1)

    async def caught_up(self) -> None:
        if not fault("cut-off-tells-who-signs"):
            await super().caught_up()

    async def past(self, uid: str, since: Id | None) -> Past:
        if fault("confirmed-here-only") and since is None:
            since = self._confirmed_here.get(uid, START)
        past = await super().past(uid, since)
        if fault("gap-here-only") and past.newest != self._newest_here.get(uid):
            return replace(past, has_gap=False)
        return past

    async def confirm(self, uid: str, id: Id) -> None:
        self._full.discard(uid)
        if fault("confirmed-here-only"):
            self._confirmed_here[uid] = id
            return
        await super().confirm(uid, id)

    def is_mine(self, entry: Entry) -> bool:
        """Has this node sent it?"""
        return json.dumps([entry.body, entry.sender, entry.to]) in self._mine

    async def _read_more(self) -> None:
        try:
            if self._was_lost and self._position is not None:
                await self._after_a_cut(self._position)
            if any(map(fault, ("other-nodes-share", "other-nodes-share-broadcasts", "flush-deafens-nodes"))):
                await self._read_some()
            else:
                await super()._read_more()
            self._was_lost = False
        except (RedisError, OSError, TimeoutError):
            self._was_lost = True
            raise

    async def _read_some(self) -> None:
        """Hand out what this node has sent, and not all that others have."""
        assert self._position is not None
        found = await self._log.xread({LOG: show_id(self._position)}, block=500, count=1000)
        for _stream, entries in found or []:
            is_lost = fault("flush-deafens-nodes") and await self._is_unknown()
            for place, fields in entries:
                entry = read_entry(fields, fields[b"id"])
                is_msg = entry.to is not None
                is_shared = fault("other-nodes-share") if is_msg else fault("other-nodes-share-broadcasts")
                if self.is_mine(entry) or not (is_lost or (is_shared and not await self._takes(place))):
                    self._hand_out(entry)
                await self._move(id_of(place))

    async def _is_unknown(self) -> bool:
        """Has Redis forgotten this node, which it knows from then on?"""
        return bool(await self._log.set(f"chat_model_known:{self._name}", 1, nx=True))

    async def _takes(self, place: bytes) -> bool:
        return bool(await self._log.set(b"chat_model_taken:" + place, 1, nx=True))

    async def _after_a_cut(self, position: Id) -> None:
        if fault("cut-off-tells-who-signs"):
            await self._log.ping()  # it is back
            await asyncio.sleep(1)
        missed = await self._log.xrange(LOG, min=f"({show_id(position)}")
        if fault("cut-off-twice"):
            for _, fields in (await self._log.xrange(LOG, max=show_id(position)))[-3:]:
                self._hand_out(read_entry(fields, fields[b"id"]))
        if fault("cut-off-reversed"):
            for _, fields in reversed(missed):
                self._hand_out(read_entry(fields, fields[b"id"]))
        if fault("cut-off-misses-broadcasts"):
            entries = [read_entry(fields, fields[b"id"]) for _, fields in missed]
            for entry in entries:
                if entry.to is not None:
                    self._hand_out(entry)
        skips = ("cut-off-reversed", "cut-off-misses", "cut-off-misses-broadcasts")
        if missed and any(map(fault, skips)):
            await self._move(id_of(missed[-1][0]))
