"""Faults in what the server does: overrides of the right server's methods. SPEC 2, 4 and 10."""

import asyncio
import contextlib
import json
import os
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from . import faulty_values
from .faults import fault
from .faulty_store import FaultyMemoryStore, FaultyRedisStore
from .faulty_values import Hangup, Ignored
from .frames import BINARY, CLOSE, PING, PONG, TEXT, NotUtf8, Violation, buffered, read_frames
from .requests import SENDED, SIGNED, Illegal, Request, delivery, done, failed, request_of
from .server import BROKEN, Connection, Ending, Message, Server
from .store import RedisStore, Store

MANY_REQUESTS = 400  # after which some faults begin


def later(seconds: float, call: Callable[[], object]) -> None:
    asyncio.get_running_loop().call_later(seconds, call)


class FaultyConnection(Connection):
    first_ping: bytes | None = None
    cid_before: str | None = None
    members: dict[str, str] = {}  # noqa: RUF012 - of the request that is being answered
    request: Request | None = None  # the same
    named: set[str] = set()  # noqa: RUF012 - the fds that Redis has for its recipient
    named_as: str | None = None  # who Redis says that the connection is
    was_illegal = 0
    n_errors = 0
    n_requests = 0
    n_replies = 0
    signed_with_integer = False
    first_uid: str | None = None
    held: str | None = None
    last_close: int | None = None
    replies_left: int | None = None  # that are sent before the close is answered
    more_came = False  # behind the last ping, with it
    is_deaf = False
    was_signed = False
    n_msgs = 0
    n_signs = 0
    n_moves = 0
    n_told = 0  # connections that were told that the server stops
    burst_begin = 0.0
    burst_size = 0  # bytes since then
    request_before: Request | None = None  # the msg before

    def send(self, text: str) -> None:
        if self.replies_left is not None:
            self.replies_left -= 1
            if self.replies_left < 0:
                return
        data = text.encode()
        if fault("astral-as-surrogates"):
            data = text.encode("utf-16", "surrogatepass").decode("utf-16").encode()
            data = b"".join(_cesu(c) for c in text)
        self._write(TEXT, data)

    def send_binary(self, text: str) -> None:
        self._write(BINARY, text.encode())

    def close(self, code: int | None) -> None:
        ended_by_peer = code is not None and code == self.last_close
        if fault("close-answered-1000") and ended_by_peer:
            code = 1000
        if fault("close-without-code") and ended_by_peer:
            code = None
        if fault("close-unanswered") and ended_by_peer:
            code = BROKEN
        if fault("close-unsigned-unanswered") and ended_by_peer and not self.was_signed:
            code = BROKEN
        if code in (1002, 1009):
            code = self._code_of_violation(code)
        if code == 1001:
            code = 1000 if fault("stop-1000") else code
            silent = fault("stop-without-close") or (fault("stop-tells-signed-only") and self.uid is None)
            FaultyConnection.n_told += 1
            silent |= fault("stop-tells-first-20") and FaultyConnection.n_told > 20
            code = BROKEN if silent else code
        super().close(code)

    def _code_of_violation(self, code: int) -> int:
        if code == 1002 and fault("violation-1000"):
            return 1000
        if code == 1002 and fault("violation-without-close"):
            return BROKEN
        if code == 1009 and fault("too-long-1002"):
            return 1002
        if code == 1009 and fault("too-long-1000"):
            return 1000
        if code == 1009 and fault("too-long-without-close"):
            return BROKEN
        return code

    def _write(self, opcode: int, payload: bytes) -> None:
        super()._write(opcode, payload)
        if fault("burst-ends-reader"):
            now = asyncio.get_running_loop().time()
            if now - self.burst_begin > 1.0:
                self.burst_begin, self.burst_size = now, 0
            self.burst_size += len(payload)
            if self.burst_size > 1_000_000:
                self.drop()

    async def end(self) -> None:
        if fault("close-keeps-tcp") and self.last_close is not None:
            await asyncio.sleep(3600)
        await super().end()

    async def listen(self) -> None:
        """The right listen() once more, with faults between its lines."""
        ending = Ending(BROKEN)
        try:
            async for frame in read_frames(
                self._reader, self._settings.message_max, message_timeout=self._settings.message_timeout
            ):
                self._heard = asyncio.get_running_loop().time()
                if frame.opcode == PING:
                    self._pong(frame.payload)
                elif frame.opcode == CLOSE:
                    ending = Ending(int.from_bytes(frame.payload[:2], "big") or None)
                    self.last_close = ending.code
                    self._drop_waiting()
                    if fault("close-drops-replies"):
                        self.replies_left = 0
                    if fault("close-drops-last-reply"):
                        self.replies_left = self.inbox.qsize() - 1
                elif frame.opcode != PONG:
                    await self.inbox.put(Message(frame.opcode, frame.payload))
        except Violation as violation:
            ending = Ending(violation.code)
            await self._before_violation(violation)
        except (OSError, asyncio.IncompleteReadError) as error:
            if fault("reset-leaves-traces") and isinstance(error, OSError):
                return
            if fault("end-leaves-traces") and isinstance(error, asyncio.IncompleteReadError):
                return
        await self.inbox.put(ending)

    def _pong(self, payload: bytes) -> None:
        self.first_ping = payload if self.first_ping is None else self.first_ping
        came_with_another, self.more_came = self.more_came, buffered(self._reader) > 0
        if fault("pong-missing") or (fault("pong-to-the-first-only") and came_with_another):
            return
        if fault("pong-empty"):
            payload = b""
        if fault("pong-cut"):
            payload = payload[:64]
        if fault("pong-repeats-first"):
            payload = self.first_ping
        self._write(PONG, payload)

    def _drop_waiting(self) -> None:
        waiting = [self.inbox.get_nowait() for _ in range(self.inbox.qsize())]
        if fault("close-drops-waiting"):
            waiting = []
        if fault("close-drops-last"):
            waiting = waiting[:-1]
        for message in waiting:
            self.inbox.put_nowait(message)

    async def _before_violation(self, violation: Violation) -> None:
        if fault("reply-lost-by-violation"):
            while not self.inbox.empty():
                self.inbox.get_nowait()
        if isinstance(violation, NotUtf8):
            if fault("utf8-processed-first"):
                repaired = violation.payload.decode(errors="replace").encode()
                await self.inbox.put(Message(TEXT, repaired))
            if fault("reply-before-1007"):
                self.send(failed("illegal"))

    async def watch(self) -> None:
        if fault("never-pings"):
            return
        while fault("pings-once-asked") and not self.n_requests:
            await asyncio.sleep(0.1)
        if fault("pings-without-end"):
            while True:
                await asyncio.sleep(self._settings.ping_interval)
                self._write(PING, b"")
        await super().watch()


def _cesu(character: str) -> bytes:
    if character <= "\uffff":
        return character.encode()
    units = character.encode("utf-16-be")
    return b"".join(
        chr(int.from_bytes(units[i : i + 2], "big")).encode("utf-8", "surrogatepass") for i in (0, 2)
    )


class FaultyServer(Server):
    """Each method does what the right one does, unless a fault is on."""

    _newest: FaultyConnection | None = None
    _last_signed: str | None = None
    _first_signed: str | None = None
    _closed_uid: str | None = None
    _n_tokens = 0
    _n_msgs = 0
    _is_stopping = False
    _n_stopped = 0

    def __init__(self, *arguments: Any) -> None:
        self._open: list[FaultyConnection] = []
        self._broken: set[Connection] = set()  # of which it has not been noticed yet
        self._stash: dict[Connection, list[Message | Ending]] = defaultdict(list)
        self._doubled: Counter[tuple[str, str]] = Counter()
        self._closed_until: defaultdict[str, float] = defaultdict(float)  # of a uid, for faults of ORDER-5
        self._muted: set[tuple[str, str]] = set()
        self._also: dict[str, dict[str, Connection]] = defaultdict(dict)
        self._last_text: dict[str, str] = {}
        self._one = asyncio.Lock()
        super().__init__(*arguments)

    async def stop(self) -> None:
        self._is_stopping = True
        await super().stop()

    def _new_store(self) -> Store:
        if self._settings.redis:
            return FaultyRedisStore(self._settings.redis, self._roster, self._settings.refresh)
        return FaultyMemoryStore()

    def _refusal(self) -> bytes:
        right = super()._refusal()
        if fault("refused-by-end-of-tcp"):
            return b""
        if fault("refused-with-400"):
            return right.replace(b"503 Service Unavailable", b"400 Bad Request")
        return right

    def _new_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connection:
        connection = FaultyConnection(reader, writer, self._store.new_fd(), self._settings)
        self._newest = connection
        self._open.append(connection)
        if fault("greeting"):
            connection.send('{"msg":"welcome"}')
        if fault("greeting-late"):
            later(0.3, lambda: None if connection.n_requests else connection.send('{"msg":"please sign"}'))
        if fault("born-signed") and self._closed_uid is not None:
            self._bind(connection, self._closed_uid)
        if fault("born-as-newest") and self._last_signed is not None:
            self._bind(connection, self._last_signed)
        return connection

    async def _leave(self, connection: Connection) -> None:
        assert isinstance(connection, FaultyConnection)
        if connection in self._open:
            self._open.remove(connection)
        self._closed_uid = connection.uid or self._closed_uid
        if fault("end-loses-in-flight") and connection.uid is not None:
            self._closed_until[connection.uid] = time.monotonic() + 0.005
        for devices in self._also.values():
            devices.pop(connection.fd, None)
        by_close = connection.last_close is not None
        if self._is_stopping:
            self._n_stopped += 1
            past_20 = fault("stop-leaves-keys-past-20") and self._n_stopped > 20
            if past_20 or fault("stop-leaves-keys"):
                return
        if fault("close-leaves-traces") and by_close:
            return
        if fault("traces-gone-late"):
            await asyncio.sleep(3)
        if fault("broken-device-costs-others") and not by_close:
            self._broken.add(connection)
            await asyncio.sleep(1)
        await super()._leave(connection)

    async def _work(self, connection: Connection) -> int | None:
        assert isinstance(connection, FaultyConnection)
        if fault("born-signed-from-store") and isinstance(self._store, FaultyRedisStore):
            uid = await self._store.uid_of(connection.fd)
            if uid is not None:
                self._bind(connection, uid)
        try:
            return await super()._work(connection)
        except Hangup as hangup:
            return hangup.code

    # The order of requests

    async def _next(self, connection: Connection) -> Message | Ending:
        if self._stash[connection]:
            return self._stash[connection].pop(0)
        message = await connection.inbox.get()
        if isinstance(message, Ending) or connection.inbox.empty():
            return message
        if fault("pipelined-swapped"):
            return self._take_second(connection, message, lambda _: True)
        if fault("signs-overtake"):
            return self._take_second(connection, message, lambda second: b'"sign"' in second.payload)
        waiting = [connection.inbox.get_nowait() for _ in range(connection.inbox.qsize())]
        if fault("pipelined-past-32-lost") and len(waiting) > 31:
            waiting = waiting[:31] + [m for m in waiting if isinstance(m, Ending)]
        if fault("pending-before-illegal-lost"):
            illegal = [m for m in waiting if isinstance(m, Message) and self._is_illegal(m)]
            if illegal:
                message, waiting = illegal[0], []
        for each in waiting:
            connection.inbox.put_nowait(each)
        return message

    def _take_second(
        self, connection: Connection, first: Message, wanted: Callable[[Message], bool]
    ) -> Message | Ending:
        second = connection.inbox.get_nowait()
        if isinstance(second, Message) and wanted(second):
            self._stash[connection].append(first)
            return second
        self._stash[connection].append(second)
        return first

    def _is_illegal(self, message: Message) -> bool:
        try:
            super()._read(message)
        except Illegal:
            return True
        return False

    async def _handle(self, connection: Connection, message: Message) -> None:
        assert isinstance(connection, FaultyConnection)
        connection.n_requests += 1
        if connection.is_deaf:
            return
        if connection.n_requests > MANY_REQUESTS:
            if fault("too-many-lost"):
                return
            if fault("too-many-refused"):
                self._reply(connection, '{"status":0,"msg":"too many","code":"rate"}')
                return
            if fault("too-many-closed-1011"):
                raise Hangup(1011)
        try:
            await super()._handle(connection, message)
        except Ignored:
            pass
        except Illegal:
            await self._illegal(connection, message)

    async def _illegal(self, connection: FaultyConnection, message: Message) -> None:
        """Returns if the connection is to stay open."""
        connection.was_illegal += 1
        if fault("unknown-type-invalid") and message.payload.startswith(b"{"):
            return self._reply(connection, failed("invalid_to"))
        if fault("broadcast-invalid") and b'"broadcast"' in message.payload:
            return self._reply(connection, failed("invalid_to"))
        if fault("broadcast-served") and b'"broadcast"' in message.payload:
            return self._reply(connection, done(SENDED, None))
        stays = (
            fault("illegal-stays-open"),
            fault("illegal-third-only") and connection.was_illegal < 3,
            fault("illegal-signed-stays") and connection.uid is not None,
        )
        if any(stays):
            return self._reply(connection, failed("illegal"))
        text = failed("illegal")
        if fault("illegal-with-cid"):
            with contextlib.suppress(ValueError, AttributeError, RecursionError):
                text = failed("illegal", json.loads(message.payload).get("cid"))
        await self._after_illegal(connection, text)
        raise AssertionError("unreachable")

    async def _after_illegal(self, connection: FaultyConnection, text: str) -> None:
        self._reply(connection, text)
        await asyncio.sleep(0.05 if fault("illegal-rest-answered") or fault("illegal-next-done") else 0)
        waiting = [connection.inbox.get_nowait() for _ in range(connection.inbox.qsize())]
        if fault("illegal-rest-done") or fault("illegal-next-done") or fault("illegal-rest-answered"):
            for message in waiting[:1] if fault("illegal-next-done") else waiting:
                with contextlib.suppress(Illegal):
                    if isinstance(message, Message):
                        reply = await self._answer(connection, self._read(message))
                        if fault("illegal-rest-answered"):
                            self._reply(connection, reply)
        if fault("illegal-1000"):
            raise Hangup(1000)
        if fault("illegal-without-close"):
            raise Hangup(BROKEN)
        if fault("illegal-without-code"):
            connection._write(CLOSE, b"")
            raise Hangup(BROKEN)
        raise Hangup(1008)

    def _read(self, message: Message) -> Request:
        if message.opcode == BINARY:
            if fault("binary-as-text"):
                message = Message(TEXT, message.payload)
            elif fault("binary-ignored"):
                raise Ignored
            elif fault("binary-1003") or (fault("binary-past-4k-1003") and len(message.payload) > 4096):
                raise Hangup(1003)
            else:
                raise Illegal("binary")
        try:
            members = faulty_values.read_members(message.payload.decode())
        except UnicodeDecodeError:
            raise Illegal("binary") from None
        cid_first = fault("cid-before-illegal") and "cid" in members
        members = faulty_values.change_members(members)
        if cid_first and request_of({"type": '"sign"', "cid": members["cid"]}).cid_is_invalid:
            return Request("sign", cid_is_invalid=True)
        self._just_read = members
        return self._read_values(request_of(members), members)

    _just_read: dict[str, str] = {}  # noqa: RUF012 - until _answer takes it, which is in the same step

    def _read_values(self, right: Request, members: dict[str, str]) -> Request:
        cid, cid_is_invalid = faulty_values.cid(members.get("cid"), right.cid)
        if fault("invalid-cid-illegal") and cid_is_invalid:
            raise Illegal
        to_is_number = fault("integer-to-refused") and not members.get("to", '"').startswith('"')
        return replace(
            right,
            uid=faulty_values.uid(members.get("uid"), right.uid),
            to=None if to_is_number else faulty_values.uid(members.get("to"), right.to),
            body=faulty_values.body(right.body),
            cid=cid,
            cid_is_invalid=cid_is_invalid,
        )

    # Replies

    async def _answer(self, connection: Connection, request: Request) -> str:
        assert isinstance(connection, FaultyConnection)
        connection.members, connection.request = self._just_read, request
        members = connection.members
        if fault("unsigned-after-20") and connection.n_requests > 20 and request.type == "msg":
            return failed("not_signed", request.cid)
        if request.cid_is_invalid:
            return await self._answer_invalid_cid(connection, request, members)
        text = await super()._answer(connection, request)
        reply = json.loads(text)
        if fault("outage-closes") and reply.get("code") == "unavailable":
            raise Hangup(1011)
        if fault("outage-exits") and reply.get("code") == "unavailable":
            os._exit(1)
        if fault("outage-hangs") and reply.get("code") == "unavailable":
            raise Ignored
        if fault("outage-one-by-one") and reply.get("code") == "unavailable":
            await asyncio.sleep(0.8)
        if reply.get("code") == "unavailable":
            return self._answer_unavailable(connection, request, text)
        if reply["status"] == 0 and request.type == "sign":
            self._failed_sign(connection)
        return text

    async def _answer_invalid_cid(
        self, connection: FaultyConnection, request: Request, members: dict[str, str]
    ) -> str:
        as_if_valid = replace(request, cid_is_invalid=False, cid=None)
        if fault("cid-behind-not-signed") and request.type == "msg" and connection.uid is None:
            return failed("not_signed")
        if fault("cid-behind-parameters"):
            if request.type == "sign" and request.uid is None:
                return failed("invalid_uid")
            if request.type == "msg" and connection.uid is not None and request.to is None:
                return failed("invalid_to")
        if fault("failed-sign-signs") and request.type == "sign":
            await super()._answer(connection, as_if_valid)
        if fault("invalid-cid-done"):
            await super()._answer(connection, as_if_valid)
        if fault("invalid-cid-echoed"):
            return failed("invalid_cid")[:-1] + ',"cid":' + members["cid"] + "}"
        if request.type == "sign":
            self._failed_sign(connection)
        return failed("invalid_cid")

    def _answer_unavailable(self, connection: FaultyConnection, request: Request, text: str) -> str:
        is_msg, uid = request.type == "msg", request.uid

        def deliver() -> None:
            self._hand_out(connection, request)

        if (fault("unavailable-but-sended") or fault("outage-sended")) and is_msg:
            return done(SENDED, request.cid)
        if fault("unavailable-but-delivered") and is_msg:
            deliver()
        if fault("unavailable-delivered-later") and is_msg:
            self._when_back(deliver)
        if uid is not None and not is_msg:
            if fault("unavailable-but-signed"):
                self._bind(connection, uid)
            if fault("unavailable-signed-later"):
                self._when_back(lambda: self._bind(connection, uid))
            if fault("outage-signs"):
                self._bind(connection, uid)
                return done(SIGNED, request.cid, token=secrets.token_hex(16))
        return failed("unavailable") if fault("cid-not-with-unavailable") else text

    def _when_back(self, call: Callable[[], object]) -> None:
        if isinstance(self._store, RedisStore) and not self._store._is_up:
            later(0.2, lambda: self._when_back(call))
        else:
            call()

    def _failed_sign(self, connection: FaultyConnection) -> None:
        if connection.uid is None:
            return
        if fault("failed-sign-unsigns"):
            self._unbind(connection)
        elif fault("failed-sign-stops-receiving"):
            self._muted.add((connection.fd, connection.uid))

    def _reply(self, connection: Connection, text: str) -> None:
        assert isinstance(connection, FaultyConnection)
        reply = _change_reply(json.loads(text), connection)
        connection.n_replies += 1
        if fault("reply-lost") and connection.n_replies % 20 == 0:
            return
        if fault("reply-not-to-errors") and str(reply.get("code")).startswith("invalid_"):
            return
        text = json.dumps(reply, ensure_ascii=False, separators=(",", ":"))
        self._send_reply(connection, reply, text)
        self._after_reply(connection, reply)

    def _send_reply(self, connection: FaultyConnection, reply: dict[str, Any], text: str) -> None:
        to = connection
        if fault("reply-to-newest") and connection.n_replies % 5 == 0 and self._newest is not None:
            to = self._newest
        if fault("reply-to-all-devices") and connection.uid is not None:
            for device in self._devices.get(connection.uid, {}).values():
                if device is not connection:
                    device.send(text)
        if fault("replies-binary"):
            return to.send_binary(text)
        if fault("reply-with-newline-object"):
            text += "\n{}"
        if fault("errors-overtake") and reply.get("status") == 1 and not connection.inbox.empty():
            return later(0.05, lambda: to.send(text))
        to.send(text)
        if fault("reply-twice") or (fault("error-twice") and reply.get("status") == 0):
            to.send(text)
        return None

    def _after_reply(self, connection: FaultyConnection, reply: dict[str, Any]) -> None:
        code = str(reply.get("code"))
        if code in ("None", "illegal"):
            return
        connection.n_errors += 1
        if fault("closes-after-not-signed") and code == "not_signed":
            raise Hangup(1008)
        if fault("closes-after-invalid") and code.startswith("invalid_"):
            raise Hangup(1008)
        if fault("closes-after-third-error") and connection.n_errors >= 3:
            raise Hangup(1008)
        if fault("closes-after-50-errors") and connection.n_errors >= 50:
            raise Hangup(1008)
        if fault("deaf-after-error"):
            connection.is_deaf = True

    # sign

    async def _sign(self, connection: Connection, request: Request) -> str:
        assert isinstance(connection, FaultyConnection)
        uid, before = request.uid, connection.uid
        if uid is None:
            if fault("missing-uid-illegal"):
                raise Illegal
            return failed("invalid_to" if fault("invalid-uid-as-to") else "invalid_uid", request.cid)
        if fault("history-undeclared-since") and request.since_is_invalid:
            return failed("invalid_since", request.cid)
        if fault("two-devices-only") and len(self._devices.get(uid, {})) >= 2 and before != uid:
            return failed("unavailable", request.cid)
        if fault("move-refused") and before not in (None, uid):
            return done(SIGNED, request.cid, token=self._new_token(connection))
        if before not in (None, uid):
            await self._while_moving(connection, uid)
        if (
            not (fault("sign-takes-effect-late") or fault("move-takes-effect-late"))
            or before == uid
            or (fault("move-takes-effect-late") and before is None)
        ):
            text = await super()._sign(connection, request)
        else:
            later(0.3, lambda: self._bind(connection, uid))
            text = done(SIGNED, request.cid, token=self._new_token(connection))
        self._after_sign(connection, before, uid)
        if fault("device-before-reply"):
            await asyncio.sleep(0.03)
        return text

    async def _while_moving(self, connection: Connection, uid: str) -> None:
        """What takes effect at one moment in a right server. [ORDER-5]"""
        if fault("move-leaves-first"):
            self._unbind(connection)
            await asyncio.sleep(0.005)
        if fault("move-joins-first"):
            self._devices.setdefault(uid, {})[connection.fd] = connection
            await asyncio.sleep(0.005)
        if fault("move-loses-in-flight") and connection.uid is not None:
            self._closed_until[connection.uid] = time.monotonic() + 0.005

    def _after_sign(self, connection: FaultyConnection, before: str | None, uid: str) -> None:
        connection.was_signed = True
        connection.n_signs += 1
        if fault("resign-256-removes") and connection.n_signs >= 256:
            self._muted.add((connection.fd, uid))
        connection.signed_with_integer = not connection.members.get("uid", '"').startswith('"')
        self._last_signed = uid
        self._first_signed = self._first_signed or uid
        connection.first_uid = connection.first_uid or uid
        device = (connection.fd, uid)
        if before == uid:
            self._doubled[device] += fault("resign-doubles")
            if fault("resign-removes"):
                self._muted.add(device)
        elif before is not None:
            self._after_move(connection, before, uid)
        others = [d for d in self._devices.get(uid, {}).values() if d is not connection]
        self._after_further_device(connection, uid, others)
        if fault("sign-before-first-message"):
            self._muted.add(device)
        if fault("history") and uid in self._last_text:
            later(0.01, lambda: connection.send(self._last_text[uid]))
        if fault("presence"):
            for each in self._open:
                if each is not connection and each.uid is not None:
                    each.send(json.dumps({"online": uid, "from": "server", "body": None}))
        if fault("notice-to-unsigned"):
            for each in self._open:
                if each.uid is None:
                    each.send(json.dumps({"users": len(self._devices)}))

    def _after_move(self, connection: FaultyConnection, before: str, uid: str) -> None:
        if fault("move-keeps-old") or fault("move-keeps-old-only"):
            self._also[before][connection.fd] = connection
        connection.n_moves += 1
        if fault("tenth-move-keeps-old") and connection.n_moves % 10 == 0:
            self._also[before][connection.fd] = connection
        if fault("move-keeps-old-only"):
            self._muted.add((connection.fd, uid))
        if fault("resign-toggles-after-move"):
            self._muted.add((connection.fd, before))

    def _after_further_device(self, connection: Connection, uid: str, others: list[Connection]) -> None:
        if others and fault("second-device-not-added"):
            self._muted.add((connection.fd, uid))
        for other in others:
            if fault("one-device-only"):
                self._unbind(other)
            if fault("older-device-closed"):
                other.close(1000)
                other.drop()
        if fault("64-devices-only") and len(others) >= 64:
            self._muted.add((connection.fd, uid))
        if fault("ten-devices-only") and len(others) >= 10:
            self._muted.add((others[0].fd, uid))

    def _new_token(self, connection: Connection) -> str:
        self._n_tokens += 1
        right = super()._new_token(connection)
        return faulty_values.token(right, connection.fd, connection.uid or "", self._n_tokens)

    # msg

    async def _msg(self, connection: Connection, request: Request) -> str:
        assert isinstance(connection, FaultyConnection)
        if isinstance(self._store, FaultyRedisStore) and await self._ask_store(self._store, connection):
            return failed("not_signed", request.cid)
        refused = self._refuse_msg(connection, request)
        if refused is not None:
            return refused
        if fault("sign-before-first-message"):
            self._muted.discard((connection.fd, connection.uid or ""))
        if fault("slow-reader-blocks-all"):
            async with self._one:
                await self._drain(request)
                return await self._msg_done(connection, request)
        if fault("slow-reader-blocks-sender"):
            await self._drain(request)
        return await self._msg_done(connection, request)

    async def _ask_store(self, store: FaultyRedisStore, connection: FaultyConnection) -> bool:
        """Ask Redis what only memory should be asked; is the connection to be taken for unsigned?"""
        to = connection.request.to if connection.request else None
        if fault("unsigned-without-key") or fault("identity-from-store"):
            connection.named_as = await store.uid_of(connection.fd)
        if any(map(fault, ("unsigned-without-set", "deleted-not-delivered", "stale-stops-delivery"))):
            connection.named = await store.members(to or "")
        if fault("devices-from-store"):
            connection.named = await store.members(to or "")
        if fault("back-unsigned") and store.is_back():
            for each in self._open:
                self._unbind(each)
        return fault("unsigned-without-key") and connection.uid is not None and connection.named_as is None

    async def _drain(self, request: Request) -> None:
        for device in list(self._devices.get(request.to or "", {}).values()):
            with contextlib.suppress(OSError):
                await device._writer.drain()

    def _refuse_msg(self, connection: FaultyConnection, request: Request) -> str | None:
        """A reply for reasons that the right server does not have."""
        cid, body = request.cid, request.body or ""
        if connection.uid is None:
            if fault("unsigned-sends") and request.to is not None and request.body is not None:
                self._hand_out(connection, request)
                return done(SENDED, cid)
            if fault("unsigned-delivered"):
                self._hand_out(connection, request)
            if fault("unsigned-illegal"):
                raise Illegal
            if fault("to-before-not-signed") and request.to is None:
                return failed("invalid_to", cid)
            return None
        if fault("body-before-to") and request.body is None:
            return failed("missing_body", cid)
        if fault("msg-refused-past-1k") and len(body) > 1024:
            return failed("invalid_to", cid)
        if fault("msg-refused-after-10") and connection.n_requests > 11:
            return failed("unavailable", cid)
        if fault("msg-to-self-refused") and request.to == connection.uid:
            return failed("invalid_to", cid)
        if fault("offline-status-0") and request.to is not None and request.to not in self._devices:
            return failed("unavailable", cid)
        return self._refuse_incomplete(connection, request)

    def _refuse_incomplete(self, connection: FaultyConnection, request: Request) -> str | None:
        cid = request.cid
        if request.to is None:
            if fault("missing-to-sended"):
                return done(SENDED, cid)
            if fault("missing-to-self"):
                self._hand_out(connection, replace(request, to=connection.uid))
            if fault("invalid-to-everyone"):
                for uid in list(self._devices):
                    self._hand_out(connection, replace(request, to=uid))
            if fault("missing-to-as-uid"):
                return failed("invalid_uid", cid)
        elif request.body is None:
            if fault("missing-body-sended"):
                return done(SENDED, cid)
            if fault("missing-body-delivered"):
                self._hand_out(connection, replace(request, body="null"))
        return None

    def _hand_out(self, connection: FaultyConnection, request: Request) -> None:
        if request.to is not None:
            for device in self._recipients(connection, request.to):
                self._deliver(device, delivery(request.body or "null", connection.uid or ""))

    async def _msg_done(self, connection: FaultyConnection, request: Request) -> str:
        text = await super()._msg(connection, request)
        if json.loads(text)["status"] == 0 or request.to is None:
            return text
        self._last_text[request.to] = delivery(request.body or "null", connection.uid or "")
        if fault("offline-no-reply") and request.to not in self._devices:
            raise Ignored
        if fault("offline-msg") and request.to not in self._devices:
            return done("offline", request.cid)
        if fault("offline-count"):
            return text[:-1] + f',"devices":{len(self._devices.get(request.to, {}))}}}'
        if fault("receipts"):
            connection.send(json.dumps({"receipt": 1, "from": request.to, "body": None}))
        if fault("status-0-but-done") and request.to == connection.uid:
            return text.replace('"status":1', '"status":0')
        return text

    _sender: FaultyConnection | None = None  # of the message that is being delivered

    def _recipients(self, sender: Connection, to: str) -> list[Connection]:
        assert isinstance(sender, FaultyConnection)
        self._n_msgs += 1
        sender.n_msgs += 1
        self._sender = sender
        devices = super()._recipients(sender, to)
        devices = [d for d in devices if (d.fd, to) not in self._muted]
        devices += [d for d in self._also.get(to, {}).values() if d not in devices]
        devices += [d for d in devices for _ in range(self._doubled[(d.fd, to)])]
        devices = self._fewer(devices, sender, to)
        if time.monotonic() < self._closed_until[to]:
            return []
        return devices + [d for d in self._more(sender, to) if d not in devices]

    def _fewer(self, devices: list[Connection], sender: FaultyConnection, to: str) -> list[Connection]:
        if fault("unsigned-without-set") or fault("deleted-not-delivered"):
            return [d for d in devices if d.fd in sender.named]
        if fault("stale-stops-delivery") and sender.named - set(self._roster()):
            return []
        if fault("newest-device-only"):
            return devices[-1:]
        if fault("oldest-device-only"):
            return devices[:1]
        if fault("third-device-forgotten"):
            return devices[:2] + devices[3:]
        if fault("two-devices-get-it"):
            return devices[:2]
        if fault("delivered-twice"):
            return devices * 2
        if fault("second-device-twice"):
            return devices + devices[1:2]
        if fault("lost-each-tenth") and self._n_msgs % 10 == 0:
            return []
        if (fault("lost-256th") and sender.n_msgs == 256) or (
            fault("lost-past-1000") and sender.n_msgs > 1000
        ):
            return []
        if self._is_repeated(sender):
            return []
        if fault("broken-device-costs-others"):
            broken = [d in self._broken for d in devices]
            return devices[: broken.index(True)] if True in broken else devices
        if fault("self-not-sender") and to == sender.uid:
            return [d for d in devices if d is not sender]
        if fault("self-only-sender") and to == sender.uid:
            return [sender]
        if fault("self-only-sender-past-4k") and to == sender.uid and len(sender.members["body"]) > 4096:
            return [sender]
        if fault("slow-reader-costs-others"):
            slow = [d._writer.transport.get_write_buffer_size() > 65536 for d in devices]
            return devices[: slow.index(True)] if True in slow else devices
        if fault("close-stops-deliveries") and sender.last_close is not None:
            return []
        return devices

    def _is_repeated(self, sender: FaultyConnection) -> bool:
        now, before = sender.request, sender.request_before
        sender.request_before = now
        if now is None or before is None or (now.to, now.cid) != (before.to, before.cid):
            return False
        return (fault("lost-if-repeated") and now.body == before.body) or (
            fault("lost-if-cid-repeated") and now.cid is not None
        )

    def _more(self, sender: FaultyConnection, to: str) -> list[Connection]:
        wanted: list[Callable[[str], bool]] = []
        copies = fault("to-senders-devices-with-cid") and "cid" in sender.members
        if fault("to-senders-devices-too") or copies:
            wanted.append(lambda uid: uid == sender.uid)
        if fault("to-prefix-too"):
            wanted.append(lambda uid: uid.startswith(to))
        if fault("to-shorter-prefix-too"):
            wanted.append(lambda uid: to.startswith(uid))
        if fault("to-everyone"):
            wanted.append(lambda uid: True)
        more = [d for uid, ds in self._devices.items() if any(w(uid) for w in wanted) for d in ds.values()]
        if fault("to-senders-devices-too") or copies:
            more = [d for d in more if d is not sender]
        if fault("devices-from-store"):
            more += [d for d in self._open if d.fd in sender.named]
        if fault("to-sender-too"):
            more.append(sender)
        if fault("to-unsigned-too"):
            more += [d for d in self._open if d.uid is None]
        if fault("to-newest-too") and self._n_msgs % 3 == 0 and self._newest in self._open:
            more += [d for d in self._open if d is self._newest]
        return more

    def _deliver(self, device: Connection, text: str) -> None:
        assert isinstance(device, FaultyConnection)
        sender = self._sender
        if sender is not None and sender.request is not None:
            text = self._change_delivery(text, sender, sender.request)
        size = len(text)
        if fault("lost-past-1k") and size > 1024 + 40:
            return None
        if fault("lost-past-60k") and size > 60_000:
            return None
        if fault("deliveries-binary"):
            return device.send_binary(text)
        return self._deliver_in_order(device, text)

    def _deliver_in_order(self, device: FaultyConnection, text: str) -> None:
        siblings = list(self._devices.get(device.uid or "", {}).values())
        is_second = len(siblings) > 1 and siblings[1] is device
        if fault("late-300-ms"):
            return later(0.3, lambda: device.send(text))
        if fault("reply-before-delivery"):
            return later(0, lambda: device.send(text))
        if fault("long-messages-late") and len(text) > 1024:
            return later(0.05, lambda: device.send(text))
        if fault("long-past-16k-late") and len(text) > 16384:
            return later(0.05, lambda: device.send(text))
        if fault("move-keeps-undelivered") and device is not self._sender:
            return later(0.02, lambda: device.send(text))
        if fault("second-device-late") and is_second and self._n_msgs % 2:
            return later(0.05, lambda: device.send(text))
        if fault("deliveries-swapped"):
            if device.held is None:
                device.held = text
                later(0.02, lambda: self._release(device))
                return None
            device.send(text)
            return self._release(device)
        return device.send(text)

    def _release(self, device: FaultyConnection) -> None:
        if device.held is not None:
            held, device.held = device.held, None
            device.send(held)

    def _change_delivery(self, text: str, sender: FaultyConnection, request: Request) -> str:
        uid = self._faulty_sender(sender, request)
        text = delivery(request.body or "null", uid)
        as_number = (fault("from-as-signed") and sender.signed_with_integer) or fault("from-number-like")
        if as_number and uid.lstrip("-").isdigit():
            text = f'{{"body":{request.body},"from":{uid}}}'
        if fault("history-undeclared-id"):
            text = delivery(request.body or "null", uid, id="1-1", time=1)
        if fault("members-passed-on"):
            others = {n: v for n, v in sender.members.items() if n not in ("type", "to", "body", "from")}
            extra = [f"{json.dumps(name)}:{value}" for name, value in others.items()]
            text = ",".join([text[:-1], *extra]) + "}"
        if fault("deliveries-in-array"):
            text = f"[{text}]"
        if fault("delivery-has-status"):
            text = text[:-1] + ',"status":1}'
        if fault("body-renamed"):
            text = '{"data"' + text[len('{"body"') :]
        return text

    def _faulty_sender(self, sender: FaultyConnection, request: Request) -> str:
        uid = sender.uid or ""
        if fault("identity-from-store"):
            uid = sender.named_as or uid
        if fault("from-given") and "from" in sender.members:
            with contextlib.suppress(ValueError):
                uid = str(json.loads(sender.members["from"]))
        if fault("from-of-first-device") and self._n_msgs % 5 == 0:
            uid = self._first_signed or uid
        if fault("from-of-last-sign"):
            uid = self._last_signed or uid
        if fault("move-sends-as-old"):
            uid = sender.first_uid or uid
        if fault("body-and-to-swapped"):
            uid = request.to or uid
        return uid


def _change_reply(reply: dict[str, Any], connection: FaultyConnection) -> dict[str, Any]:
    """The reply that a wrong server gives instead of the right one."""
    _change_cid(reply, connection)
    _change_status_and_msg(reply)
    _change_code(reply)
    if fault("sign-without-token"):
        reply.pop("token", None)
    if fault("disconnect-missing"):
        reply.pop("disconnect", None)
    if fault("disconnect-boolean") and "disconnect" in reply:
        reply["disconnect"] = True
    if fault("reply-has-from") or (fault("sended-has-from") and reply["msg"] == SENDED):
        reply["from"] = connection.uid
    if fault("members-in-reply"):
        for name, value in connection.members.items():
            if name not in ("type", "uid", "to", "body", "cid", *reply):
                reply[name] = json.loads(value)
    if fault("token-renamed") and "token" in reply:
        reply["session"] = reply.pop("token")
    if fault("msg-renamed"):
        reply["message"] = reply.pop("msg")
    return reply


def _change_cid(reply: dict[str, Any], connection: FaultyConnection) -> None:
    cid, before = reply.get("cid"), connection.cid_before
    connection.cid_before = cid or before
    if fault("cid-never"):
        reply.pop("cid", None)
    if fault("cid-not-with-errors") and reply["status"] == 0:
        reply.pop("cid", None)
    if fault("cid-not-with-sign") and "token" in reply:
        reply.pop("cid", None)
    if cid is not None:
        if fault("cid-of-request-before") and before is not None:
            reply["cid"] = before
        if (fault("cid-number-if-digits") or fault("cid-number-echoed")) and cid.isdigit():
            reply["cid"] = int(cid)
        return
    if fault("cid-null"):
        reply["cid"] = None
    if fault("cid-empty"):
        reply["cid"] = ""
    if fault("cid-sticks") and before is not None:
        reply["cid"] = before
    if fault("cid-made-up"):
        reply["cid"] = secrets.token_hex(4)


_ENGLISH = {
    SIGNED: "signed",
    "发送失败,未登入": "not signed",
    "非法请求": "illegal request",
    "参数错误": "invalid parameter",
    "服务不可用": "unavailable",
}


def _change_status_and_msg(reply: dict[str, Any]) -> None:
    invalid = str(reply.get("code")).startswith(("invalid_", "missing_"))
    if fault("msg-english"):
        reply["msg"] = _ENGLISH.get(reply["msg"], reply["msg"])
    if fault("msg-traditional") and reply["msg"] == SIGNED:
        reply["msg"] = "註冊成功"
    if fault("msg-sent") and reply["msg"] == SENDED:
        reply["msg"] = "sent"
    if fault("msg-without-comma"):
        reply["msg"] = reply["msg"].replace(",", " ")
    if fault("msg-of-invalid") and reply.get("code") == "invalid_uid":
        reply["msg"] = "非法请求"
    if fault("status-1-for-invalid") and invalid:
        reply["status"] = 1
    if fault("sign-status-0") and "token" in reply:
        reply["status"] = 0
    if fault("status-boolean"):
        reply["status"] = bool(reply["status"])
    elif fault("status-string"):
        reply["status"] = str(reply["status"])
    elif fault("status-200"):
        reply["status"] = 200 if reply["status"] else 400


def _change_code(reply: dict[str, Any]) -> None:
    code = reply.get("code")
    if code is None:
        return
    if fault("codes-missing") or (fault("code-of-illegal-missing") and code == "illegal"):
        del reply["code"]
    if fault("code-invalid") and code.startswith(("invalid_", "missing_")):
        reply["code"] = "invalid"
    if fault("code-number"):
        reply["code"] = len(code)
