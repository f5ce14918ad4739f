"""Faults in what a server with features does: overrides of features.py's methods. SPEC 6 to 8."""

import asyncio
import json
import time
from collections import Counter, defaultdict
from collections.abc import Coroutine
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

from .faults import fault
from .faulty_post import FaultyMemoryPost, FaultyRedisPost
from .features import FeatureServer, Progress
from .frames import PING
from .post import START, Entry, Past, Post
from .requests import SENDED, SIGNED, Id, Illegal, Request, done, failed, read_id, show_id
from .server import Connection, Message
from .store import NodeStore, RedisStore, Store, node_key

Reply = dict[str, Any]


_running: set[asyncio.Task[None]] = set()


def soon(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.ensure_future(work)
    _running.add(task)
    task.add_done_callback(_running.discard)


def later(seconds: float, call: Any, *arguments: Any) -> None:
    asyncio.get_running_loop().call_later(seconds, call, *arguments)


INTEGER_DIGITS_MAX = 4300  # Python refuses to read a longer one as an integer


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) < INTEGER_DIGITS_MAX else float(digits)


def _rounded(body: str) -> str:
    return json.dumps(json.loads(body, parse_int=_round, parse_float=_round))


def _round(digits: str) -> float:
    return float(f"{float(digits):.14g}")


def _cut_at_nul(body: str) -> str:
    value = json.loads(body)
    return json.dumps(value.partition("\0")[0]) if isinstance(value, str) else body


def _digits_to_number(body: str) -> str:
    value = json.loads(body)
    return value if isinstance(value, str) and value.isascii() and value.isdecimal() else body


CHANGES_OF_BODIES = {
    "offline-numbers-rounded": _rounded,
    "offline-cut-at-nul": _cut_at_nul,
    "offline-digits-to-number": _digits_to_number,
}


def _from_hexadecimal(number: str) -> str:
    try:
        return str(int(number, 16)) if number.startswith("0x") else number
    except ValueError:
        return number


class FaultyNodeStore(NodeStore):
    def __init__(self, *arguments: Any) -> None:
        if fault("dead-count-as-live"):
            self.NODE_TTL_S = 20
        if fault("cut-off-late"):
            self.OPERATION_S = 5.0
        super().__init__(*arguments)

    async def _be_alive(self) -> None:
        if fault("sign-after-flush-removes") and asyncio.current_task() is not self._keeper:
            return
        await super()._be_alive()
        if fault("seems-dead-now-and-then"):
            await self._redis.pexpire(node_key(self._node), 600)

    async def _clean(self, node: str) -> None:
        if fault("dead-half-gone"):
            async for key in self._redis.scan_iter(match=f"chat_map_fd_uid:{node}.*"):
                uid = await self.redis.get(key)
                await self.redis.srem(b"chat_map_uid_fd:" + uid, key.removeprefix(b"chat_map_fd_uid:"))
        elif not fault("dead-stay"):
            await super()._clean(node)

    async def _is_elsewhere(self, fd: str) -> bool:
        return not fault("sign-removes-foreign-fds") and await super()._is_elsewhere(fd)


class FaultyFeatureServer(FeatureServer):
    """Each method does what the right one does, unless a fault is on."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._open: list[Connection] = []
        self._newest: Connection | None = None  # that has signed
        self._failed: set[str] = set()  # fds of connections whose sign has failed
        self._signs: Counter[str] = Counter()  # fd -> how many
        self._uids: dict[str, set[str]] = defaultdict(set)  # fd -> as whom it has signed
        self._kept: list[Entry] = []  # broadcasts
        self._broadcast_cids: set[tuple[str, str]] = set()  # with their senders
        self._seen: dict[str, int] = {}  # uid -> how many broadcasts there were when it signed last
        self._came: set[str] = set()  # uids whose past has come to a device
        self._held: dict[str, str] = {}  # fd -> a delivery that the next one overtakes
        self._sinces: dict[str, Id] = {}  # fd
        self._told_gap: set[str] = set()  # fds
        self._pinged: dict[str, set[Id]] = defaultdict(set)  # fd -> what its pings were about
        self._repeated: dict[str, Entry] = {}  # fd -> what comes again
        self._request: Request | None = None  # that is being answered
        self._n = 0
        self._last_sender = ""
        self._hears_others = False

    def _new_store(self) -> Store:
        if self._settings.redis and self._serves("nodes"):
            return FaultyNodeStore(self._settings.redis, self._roster, self._settings.refresh)
        return super()._new_store()

    def _new_post(self) -> Post:
        history_max = self._settings.history_max if self._serves("history") else None
        if self._settings.redis:
            assert isinstance(self._store, RedisStore)
            return FaultyRedisPost(self._settings.redis, self._store, history_max)
        return FaultyMemoryPost(history_max)

    def _new_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connection:
        connection = super()._new_connection(reader, writer)
        connection.hands_on_pongs = True
        if fault("client-ping-confirms"):
            connection._write = self._watching_pongs(connection)  # type: ignore[method-assign]
        self._open.append(connection)
        return connection

    def _watching_pongs(self, connection: Connection) -> Any:
        """The connection's _write, which sees the pongs to the client's own pings."""
        write = connection._write

        def watched(opcode: int, payload: bytes) -> None:
            id = read_id(payload.decode(errors="replace"))
            if opcode != PING and id is not None and connection.uid is not None:
                soon(self._post.confirm(connection.uid, id))
            write(opcode, payload)

        return watched

    async def _leave(self, connection: Connection) -> None:
        self._open.remove(connection)
        progress = self._progress.get(connection.fd)
        if fault("close-is-confirmed") and progress and connection.uid:
            await self._post.confirm(connection.uid, progress.newest)
        await super()._leave(connection)

    # Requests and replies

    async def _answer(self, connection: Connection, request: Request) -> str:
        self._request = request
        text = await self._before(connection, request)
        if text is None:
            text = await super()._answer(connection, request)
        reply = json.loads(text)
        if reply["status"] == 0 and request.type == "sign":
            self._failed.add(connection.fd)
        if fault("cut-off-closes") and reply.get("code") == "unavailable":
            connection.drop()
        self._change_reply(reply, connection, request)
        return json.dumps(reply, ensure_ascii=False)

    async def _before(self, connection: Connection, request: Request) -> str | None:
        """A reply for reasons that the right server does not have."""
        uid, cid, body = connection.uid, request.cid, request.body
        if request.type == "broadcast":
            return await self._before_broadcast(connection, request)
        if request.type == "msg" and uid is None and request.to and body and fault("refused-stored"):
            await self._post.send(Entry(body, "", request.to), None)
        if request.type == "msg" and uid and request.to and body is None and fault("full-before-body"):
            assert isinstance(self._post, FaultyMemoryPost)
            if len(self._post._inboxes[request.to].entries) >= self._settings.history_max:
                return failed("full", cid)
        is_refused = request.type == "msg" and uid and request.to and body is None
        if fault("dups-of-refused") and is_refused and isinstance(self._post, FaultyMemoryPost):
            self._post.remember(request.to or "", uid or "", cid or "")
        if request.type == "sign" and request.since_is_invalid and fault("bad-since-forgets-pings"):
            self._asked.pop(connection.fd, None)
        if request.type == "sign" and request.since_is_invalid and fault("bad-since-before-uid"):
            return failed("invalid_since", cid)
        return None

    async def _before_broadcast(self, connection: Connection, request: Request) -> str | None:
        uid, cid, body = connection.uid, request.cid, request.body
        if uid is None:
            if fault("broadcast-unsigned-illegal"):
                raise Illegal
            if fault("broadcast-body-before-signed") and body is None:
                return failed("missing_body", cid)
            if fault("broadcast-unsigned-delivered") and body is not None:
                await self._post.broadcast(Entry(body, ""))
            return None
        if fault("broadcast-refused-past-1k") and len(body or "") > 1024:
            return failed("missing_body", cid)
        if fault("broadcast-null-refused") and body == "null":
            return failed("missing_body", cid)
        if fault("broadcast-to-refused") and self._has_to and request.to is None:
            return failed("invalid_to", cid)
        if fault("broadcast-dups") and cid is not None:
            if (uid, cid) in self._broadcast_cids:
                return done(SENDED, cid)
            self._broadcast_cids.add((uid, cid))
        if body is None:
            if fault("denied-before-body") and not self._may_broadcast(uid):
                return failed("denied", cid)
            if fault("broadcast-missing-null"):
                await self._post.broadcast(Entry("null", uid))
            return done(SENDED, cid) if fault("broadcast-missing-sended") else None
        if fault("denied-delivered") and not self._may_broadcast(uid):
            await self._post.broadcast(Entry(body, uid))
        if fault("denied-by-first-uid") and any(map(self._may_broadcast, self._uids[connection.fd])):
            await self._post.broadcast(Entry(body, uid))
            return done(SENDED, cid)
        return None

    def _may_broadcast(self, uid: str) -> bool:
        if fault("denied-nobody"):
            return True
        if fault("denied-by-prefix"):
            return any(uid.startswith(right) for right in self._settings.broadcasters)
        return super()._may_broadcast(uid)

    def _change_reply(self, reply: Reply, connection: Connection, request: Request) -> None:
        if request.type == "broadcast" and fault("broadcast-without-cid"):
            reply.pop("cid", None)
        if request.type == "sign" and reply["status"] == 1:
            if fault("gap-true") and "gap" in reply:
                reply["gap"] = True
            if fault("gap-0"):
                reply.setdefault("gap", 0)
        if request.type == "msg" and reply["status"] == 1:
            self._change_sended(reply, connection, request)

    def _change_sended(self, reply: Reply, connection: Connection, request: Request) -> None:
        is_dup = "dup" in reply
        no_id = (
            fault("reply-without-id"),
            fault("reply-id-not-to-self") and request.to == connection.uid,
            fault("reply-id-if-online") and request.to not in self._devices,
            fault("dups-without-id") and is_dup,
        )
        if any(no_id):
            reply.pop("id", None)
        if fault("reply-id-of-next") and not is_dup:
            ms, n = read_id(reply["id"]) or START
            reply["id"] = show_id((ms, n + 1))
        if fault("dups-without-dup"):
            reply.pop("dup", None)
        if fault("dup-always"):
            reply.setdefault("dup", 0)

    def _read(self, message: Message) -> Request:
        request = super()._read(message)
        members: Reply = json.loads(message.payload, parse_int=_integer)
        self._has_to = "to" in members
        since, cid = members.get("since"), members.get("cid")
        if isinstance(since, str):
            lax = {
                "since-leading-zeros": "-".join(part.lstrip("0") or part[-1:] for part in since.split("-")),
                "since-trimmed": since.strip(),
                "since-hexadecimal": "-".join(_from_hexadecimal(part) for part in since.split("-")),
                "since-without-n": since if "-" in since else f"{since}-0",
            }
            for name, text in lax.items():
                if fault(name) and request.since_is_invalid and read_id(text):
                    request = replace(request, since=read_id(text), since_is_invalid=False)
            if fault("since-too-big") and request.since_is_invalid:
                parts = since.split("-")
                if len(parts) == 2 and all(part.isascii() and part.isdecimal() for part in parts):
                    request = replace(request, since=(2**53, 0), since_is_invalid=False)
        ignored = fault("bad-since-ignored") or (fault("since-null-ignored") and since is None)
        if ignored:
            request = replace(request, since_is_invalid=False)
        if fault("dups-as-spelled") and isinstance(cid, str) and request.type == "msg":
            self._spelled = json.dumps(cid) if b"\\u" in message.payload else None
        return request

    _spelled: str | None = None
    _has_to = False

    # sign

    async def _sign(self, connection: Connection, request: Request) -> str:
        if fault("bad-since-signs") and request.uid and request.since_is_invalid:
            await super()._sign(connection, replace(request, since_is_invalid=False))
            return failed("invalid_since", request.cid)
        if fault("since-once") and request.since is not None and connection.fd in self._sinces:
            request = replace(request, since=(2**53 - 1, 0))
        before = connection.uid
        if fault("past-and-live-lost") and request.uid and not request.since_is_invalid:
            text = await self._sign_slowly(connection, request, request.uid)
        else:
            text = await super()._sign(connection, request)
        if fault("gap-again") and before == request.uid and request.since is None:
            if connection.fd in self._told_gap:
                text = text[:-1] + ',"gap":1}'
        elif '"gap":1' in text:
            self._told_gap.add(connection.fd)
        if json.loads(text)["status"] == 1 and request.uid is not None:
            await self._after_sign(connection, request, before)
        return text

    async def _sign_slowly(self, connection: Connection, request: Request, uid: str) -> str:
        """What is stored between the look at the past and the end of the sign is lost to the device."""
        past = await self._post.past(uid, request.since)
        await asyncio.sleep(0.02)
        await self._store.sign(
            connection.fd, connection.uid, uid, lambda: self._begin(connection, request, past)
        )
        return done(SIGNED, request.cid, token=self._new_token(connection))

    async def _after_sign(self, connection: Connection, request: Request, before: str | None) -> None:
        uid, fd = request.uid or "", connection.fd
        self._newest = connection
        self._signs[fd] += 1
        self._uids[fd].add(uid)
        progress = self._progress[fd]
        if request.since is not None:
            self._sinces[fd] = request.since
            if fault("resign-confirms") and before == uid:
                await self._post.confirm(uid, request.since)
        if fault("future-since-mutes") or fault("future-since-mutes-empty"):
            inbox = self._post._inboxes[uid] if isinstance(self._post, FaultyMemoryPost) else None
            is_empty = inbox is None or not inbox.entries
            if request.since is not None and (is_empty or fault("future-since-mutes")):
                progress.floor = max(progress.floor, request.since)
        if fault("sign-takes-over") and isinstance(self._post, FaultyRedisPost):
            await self._post._append(Entry(json.dumps(connection.fd), "", f"sign {uid}"), None, 0)

    def _begin(self, connection: Connection, request: Request, past: Past) -> None:
        before, is_same = self._progress.get(connection.fd), connection.uid == request.uid
        entries = self._change_past(request, past.entries)
        if fault("move-without-past") and connection.uid not in (None, request.uid):
            entries = []
        if before and is_same and fault("resign-forgets-pings"):
            self._asked.pop(connection.fd, None)
        if before and is_same and before.asking and fault("pings-not-after-resign"):
            before.asking.cancel()
            before.asking = None
        if before and is_same and request.since is None:
            if fault("resign-brings-again"):
                before.floor, before.got = START, set()
            if fault("resign-brings-waited-again"):
                before.floor, before.got = START, {id for id in before.got if id > before.floor}
            if fault("resign-forgets-since"):
                before.floor = START
            if fault("other-node-again"):
                before.got -= {entry.id for entry in past.entries if entry.id and self._is_foreign(entry)}
        super()._begin(connection, request, replace(past, entries=entries))
        if fault("other-node-old-news"):
            self._progress[connection.fd].floor = START
        if fault("past-before-reply"):
            self._send_past(connection)
        if fault("past-and-live-twice") and entries:
            self._repeated[connection.fd] = entries[-1]

    def _change_past(self, request: Request, entries: list[Entry]) -> list[Entry]:
        if request.since is None:
            if fault("offline-100"):
                entries = entries[:100]
            if fault("offline-first-only"):
                entries = entries[:1]
            if fault("offline-once") and request.uid in self._came:
                entries = []
            if entries:
                self._came.add(request.uid or "")
        if fault("offline-objects-to-arrays"):
            entries = [replace(each, body=each.body.replace("{}", "[]")) for each in entries]
        for name, change in CHANGES_OF_BODIES.items():
            if fault(name):
                entries = [replace(each, body=change(each.body)) for each in entries]
        if fault("past-by-sender"):
            entries = sorted(entries, key=lambda entry: entry.sender)
        if fault("past-newest-first"):
            entries = entries[::-1]
        return entries

    def _send_past(self, connection: Connection) -> None:
        progress = self._progress.get(connection.fd)
        if progress is None:
            return
        self._send_kept(connection, progress)
        if fault("past-late") and progress.past:
            past, progress.past = progress.past, []
            later(0.05, self._send_late, connection, progress, past)
            return
        n_past = len(progress.past)
        asking = progress.asking
        super()._send_past(connection)
        if fault("pings-live-only") and n_past and asking is None and progress.asking:
            progress.asking.cancel()
            progress.asking = None
        if fault("delivered-is-confirmed") and connection.uid and n_past:
            soon(self._post.confirm(connection.uid, progress.newest))

    def _send_late(self, connection: Connection, progress: Progress, past: list[Entry]) -> None:
        for entry in past:
            self._hand_to(connection, progress, entry)

    def _send_kept(self, connection: Connection, progress: Progress) -> None:
        """Broadcasts of before the sign, which no right server keeps."""
        uid, request = connection.uid or "", self._request
        if request is None or request.type != "sign":
            return
        if fault("broadcast-kept") and self._kept:
            self._hand_to(connection, progress, self._kept[-1])
        if fault("kept-for-who-signs-elsewhere"):
            now_ms = time.time_ns() // 1_000_000
            for entry in self._kept:
                if self._is_foreign(entry) and now_ms - entry.time < 1000:
                    self._hand_to(connection, progress, entry)
        if fault("broadcast-kept-for-users"):
            for entry in self._kept[self._seen.get(uid, len(self._kept)) :]:
                self._hand_to(connection, progress, entry)
            self._seen[uid] = len(self._kept)

    # Deliveries

    async def _msg(self, connection: Connection, request: Request) -> str:
        if fault("dups-of-connection") and request.cid:
            request = replace(request, cid=f"{request.cid} {connection.fd}"[:64])
            text = await super()._msg(connection, request)
            reply: Reply = json.loads(text)
            if "cid" in reply and request.cid:
                reply["cid"] = request.cid.rpartition(" ")[0]
            return json.dumps(reply, ensure_ascii=False)
        if fault("dups-as-spelled") and self._spelled and request.cid:
            text = await super()._msg(connection, replace(request, cid=self._spelled))
            return json.dumps(json.loads(text) | {"cid": request.cid}, ensure_ascii=False)
        return await super()._msg(connection, request)

    def _hand_out(self, entry: Entry) -> None:
        if entry.to is None:
            self._kept.append(entry)
        if fault("ids-of-node") and entry.id is not None and self._is_foreign(entry):
            ms, n = entry.id
            entry = replace(entry, id=(ms, n + 1000))
        if fault("sign-takes-over") and entry.to and entry.to.startswith("sign "):
            for device in list(self._devices.get(entry.to.removeprefix("sign "), {}).values()):
                if self._is_foreign(entry):
                    self._devices[entry.to.removeprefix("sign ")].pop(device.fd)
            return
        if fault("other-node-from-late") and self._is_foreign(entry):
            self._last_sender = entry.sender
            later(0.02, self._hand_out_from_last, entry)
            return
        if fault("broadcast-there-not-first") and self._is_foreign(entry):
            self._hears_others |= entry.to is not None
            if not self._hears_others:
                return
        is_long = entry.to is None and len(entry.body) > 32_768
        if fault("broadcast-there-short") and is_long and self._is_foreign(entry):
            return
        if fault("other-node-time") and self._is_foreign(entry):
            entry = replace(entry, time=time.time_ns() // 1_000_000)
        swaps = fault("other-node-swapped") or (fault("broadcasts-there-swapped") and entry.to is None)
        if swaps and self._is_foreign(entry):
            self._n += 1
            if self._n % 2:
                later(0.02, super()._hand_out, entry)
                return
        if fault("other-node-old-news") and self._is_foreign(entry):
            later(0.03, super()._hand_out, entry)
            return
        if fault("cut-off-twice") or fault("dups-delivered"):
            for device in self._devices_for(entry):
                self._hand_to(device, self._progress[device.fd], entry)
            return
        if fault("order-of-node") and self._is_foreign(entry):
            later(0.02, super()._hand_out, entry)
            return
        super()._hand_out(entry)

    def _hand_out_from_last(self, entry: Entry) -> None:
        super()._hand_out(replace(entry, sender=self._last_sender))

    def _is_foreign(self, entry: Entry) -> bool:
        """Is it from another node?"""
        return isinstance(self._post, FaultyRedisPost) and not self._post.is_mine(entry)

    def _devices_for(self, entry: Entry) -> list[Connection]:
        devices = super()._devices_for(entry)
        if entry.to is None:
            return self._devices_of_broadcast(entry, devices)
        if self._is_foreign(entry):
            return self._devices_of_foreign(entry, devices)
        return devices

    def _devices_of_broadcast(self, entry: Entry, devices: list[Connection]) -> list[Connection]:
        request = self._request
        own = [d for d in devices if d.uid == entry.sender][:1]
        if fault("broadcast-first-devices"):
            devices = [next(iter(each.values())) for each in self._devices.values()]
            devices += [d for d in own if d not in devices]
        if fault("broadcast-not-to-sender") and request is not None:
            devices = [d for d in devices if d not in own]
        if fault("broadcast-twice-to-sender"):
            devices = devices + own
        if fault("broadcast-misses-newest"):
            devices = [d for d in devices if d is not self._newest or d in own]
        if fault("broadcast-to-20"):
            devices = own + [d for d in devices if d not in own][:19]
        if fault("broadcast-to-64"):
            devices = own + [d for d in devices if d not in own][:63]
        if fault("broadcast-twice-after-move"):
            devices = devices + [d for d in devices if self._signs[d.fd] > 1]
        if fault("broadcast-to-strangers"):
            devices = devices + [d for d in self._open if d.uid is None]
        if fault("broadcast-to-failed-signs"):
            devices = devices + [d for d in self._open if d.uid is None and d.fd in self._failed]
        if fault("broadcast-there-not-to-moved") and self._is_foreign(entry):
            devices = [d for d in devices if len(self._uids[d.fd]) == 1]
        if fault("broadcast-there-twice") and self._is_foreign(entry):
            devices = devices * 2
        return devices

    def _devices_of_foreign(self, entry: Entry, devices: list[Connection]) -> list[Connection]:
        to = entry.to or ""
        if fault("other-node-nothing"):
            return []
        if fault("other-node-first-device"):
            return devices[:1]
        if fault("other-node-pattern"):
            more = [d for uid, ds in self._devices.items() if fnmatchcase(uid, to) for d in ds.values()]
            return devices + [d for d in more if d not in devices]
        if fault("other-node-folded"):
            more = [d for uid, ds in self._devices.items() if uid.lower() == to.lower() for d in ds.values()]
            return devices + [d for d in more if d not in devices]
        if fault("other-node-prefix"):
            more = [d for uid, ds in self._devices.items() if uid.startswith(to) for d in ds.values()]
            return devices + [d for d in more if d not in devices]
        if fault("other-node-unescaped"):
            more = list(self._devices.get(unquote(to), {}).values())
            return devices + [d for d in more if d not in devices]
        if fault("other-node-number") and to.isdecimal():
            return list(self._devices.get(str(int(to)), {}).values())
        if fault("other-node-senders-devices"):
            return devices + list(self._devices.get(entry.sender, {}).values())
        return devices

    def _hand_to(self, device: Connection, progress: Progress, entry: Entry) -> None:
        if fault("other-node-numbers-rounded") and self._is_foreign(entry):
            entry = replace(entry, body=_rounded(entry.body))
        if fault("other-node-arrays-to-objects") and self._is_foreign(entry):
            entry = replace(entry, body=entry.body.replace("[]", "{}"))
        if fault("broadcast-there-rounded") and self._is_foreign(entry) and not entry.to:
            entry = replace(entry, body=_rounded(entry.body))
        is_in_ascii = fault("broadcast-there-from-ascii") and not entry.to
        if (is_in_ascii or fault("other-node-from-ascii")) and self._is_foreign(entry):
            entry = replace(entry, sender=entry.sender.encode("ascii", "replace").decode())
        if fault("other-node-twice") and entry.id is not None and self._is_foreign(entry):
            device.send(entry.text)
        repeated = self._repeated.get(device.fd)
        if repeated and entry.id and repeated.id and entry.id > repeated.id:
            device.send(self._repeated.pop(device.fd).text)
        if entry.id is None and fault("broadcast-is-confirmed") and device.uid:
            soon(self._post.confirm(device.uid, progress.newest))
        if entry.id is None and fault("pings-not-after-broadcast") and progress.asking:
            progress.asking.cancel()
            progress.asking = None
        if entry.id is None and fault("broadcast-there-late") and self._is_foreign(entry):
            later(0.005, super()._hand_to, device, progress, entry)
        else:
            super()._hand_to(device, progress, entry)
        if fault("delivered-is-confirmed") and entry.id and device.uid:
            soon(self._post.confirm(device.uid, entry.id))
        self._ask_otherwise(device, progress, entry)
        if fault("pings-here-only") and progress.asking and self._is_foreign(entry):
            progress.asking.cancel()
            progress.asking = None

    def _deliver(self, device: Connection, text: str) -> None:
        message: Reply = json.loads(text, parse_int=_integer)
        as_it_was = json.dumps(message)
        is_broadcast = "broadcast" in message
        if is_broadcast:
            self._change_broadcast(message)
        else:
            self._change_delivery(message)
        if json.dumps(message) != as_it_was:  # else it goes on as it came, digit for digit
            text = json.dumps(message, ensure_ascii=False)
        is_own = message["from"] == device.uid
        size = len(text)
        late = (
            fault("broadcasts-late") and is_broadcast and not is_own,
            fault("msgs-late-beside-broadcasts") and not is_broadcast and not is_own,
            fault("broadcasts-late-past-1k") and is_broadcast and size > 1024 and not is_own,
            fault("broadcast-reply-first") and is_broadcast and is_own,
            fault("broadcast-reply-overtakes") and is_broadcast and is_own and not device.inbox.empty(),
            fault("other-node-long-late") and size > 1024 and not is_own,
        )
        if any(late):
            later(0.02, device.send, text)
        elif self._swaps_broadcasts(is_own) if is_broadcast else self._swaps_msgs(device):
            self._swap(device, text)
        else:
            device.send(text)

    def _swaps_broadcasts(self, is_own: bool) -> bool:
        return fault("broadcasts-swapped") and not is_own

    def _swaps_msgs(self, device: Connection) -> bool:
        return fault("second-device-swapped") and self._is_second(device)

    def _change_broadcast(self, message: Reply) -> None:
        if fault("broadcast-unmarked"):
            del message["broadcast"]
        if fault("broadcast-numbers-rounded"):
            message["body"] = json.loads(_rounded(json.dumps(message["body"])))
        if fault("broadcast-in-ascii"):
            text = json.dumps(message["body"], ensure_ascii=False)
            message["body"] = json.loads(text.encode("ascii", "replace"))
        if fault("broadcast-from-number") and message["from"].isdecimal():
            message["from"] = int(message["from"])
        if fault("broadcast-marked-true"):
            message["broadcast"] = True
        if fault("broadcast-has-id"):
            message |= {"id": "1-1", "time": 1_700_000_000_000}

    def _change_delivery(self, message: Reply) -> None:
        is_past = self._request is not None and self._request.type == "sign"
        if fault("broadcast-marks-msgs"):
            message["broadcast"] = 0
        if fault("delivery-without-id"):
            message.pop("id", None)
        if fault("offline-without-time") and is_past:
            message.pop("time", None)
        if fault("time-of-delivery"):
            message["time"] = time.time_ns() // 1_000_000
        if fault("time-as-string"):
            message["time"] = str(message["time"])

    def _is_second(self, device: Connection) -> bool:
        return device in list(self._devices.get(device.uid or "", {}).values())[1:2]

    def _swap(self, device: Connection, text: str) -> None:
        held = self._held.pop(device.fd, None)
        if held is not None:
            device.send(text)
            device.send(held)
            return
        self._held[device.fd] = text
        later(0.02, self._release, device)

    def _release(self, device: Connection) -> None:
        held = self._held.pop(device.fd, None)
        if held is not None:
            device.send(held)

    # Confirmation

    def _ask_otherwise(self, device: Connection, progress: Progress, entry: Entry) -> None:
        """Another ping, or another time for it, than the right one."""
        if entry.id is None:
            return
        delay = None
        if fault("pings-late"):
            delay = 3.0
        if fault("pings-after-silence"):
            delay = self._settings.confirm_after
        if delay is not None and progress.asking:
            progress.asking.cancel()
            progress.asking = asyncio.get_running_loop().call_later(delay, self._ask, device)
        if fault("pings-first-id"):
            progress.newest = min(id for id in progress.got if id not in self._pinged[device.fd])

    def _ask(self, device: Connection) -> None:
        progress = self._progress[device.fd]
        is_first = device in list(self._devices.get(device.uid or "", {}).values())[:1]
        not_now = (
            fault("pings-first-device") and not is_first,
            fault("pings-wait-for-pong") and bool(self._asked.get(device.fd)),
        )
        if any(not_now):
            progress.asking = None
            return
        if fault("pings-without-id"):
            progress.asking = None
            device.ping(b"")
            return
        super()._ask(device)
        self._pinged[device.fd] |= progress.got
        if fault("pinged-is-confirmed") and device.uid:
            soon(self._post.confirm(device.uid, progress.newest))

    async def _ponged(self, connection: Connection, payload: bytes) -> None:
        progress, uid = self._progress.get(connection.fd), connection.uid or ""
        is_first = connection in list(self._devices.get(uid, {}).values())[:1]
        if fault("pongs-ignored") or (fault("pongs-first-device") and not is_first):
            return
        if fault("pongs-late"):
            later(
                0.3,
                lambda: asyncio.ensure_future(super(FaultyFeatureServer, self)._ponged(connection, payload)),
            )
            return
        asked = self._asked.get(connection.fd, {})
        newest = 1 if fault("pongs-newest-only") else 3 if fault("pongs-of-three") else len(asked)
        if payload in asked and payload not in list(asked)[-newest:]:
            return
        if payload in asked and fault("pongs-forget-later"):
            self._asked[connection.fd] = {payload: asked[payload]}
        id = read_id(payload.decode(errors="replace"))
        if progress and fault("any-pong-confirms"):
            await self._post.confirm(uid, progress.newest)
        if progress and id and fault("later-pong-confirms") and id > progress.newest:
            await self._post.confirm(uid, progress.newest)
        if id and fault("foreign-pong-confirms") and uid:
            await self._post.confirm(uid, id)
        if id and fault("late-pong-for-next-uid") and payload in self._asked.get(connection.fd, {}):
            await self._post.confirm(uid, id)
        await super()._ponged(connection, payload)
