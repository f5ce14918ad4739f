"""Connections, devices, and what happens when one speaks. SPEC 4.

Each connection has two tasks: one reads frames and answers pings, the other takes the messages in order and
answers them, so a slow store delays requests ([ORDER-1]) but never a pong.
"""

import asyncio
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass

from .frames import BINARY, CLOSE, PING, PONG, TEXT, Violation, accept_handshake, encode_frame, read_frames
from .requests import SENDED, SIGNED, TYPES, Illegal, Request, delivery, done, failed, read_request
from .store import MemoryStore, RedisStore, Store, Unavailable

GOING_AWAY, ILLEGAL = 1001, 1008
BROKEN = 1006  # TCP ended without a close frame; never sent


@dataclass(frozen=True)
class Settings:
    """What the command line sets. Times in seconds."""

    redis: str | None = None
    message_max: int = 1_048_576  # [WS-8]
    connections_max: int | None = None  # [WS-18]
    backlog_max: int = 8_388_608  # [WS-12] what may wait for a peer that does not read
    inbox_max: int = 64  # messages read ahead of the one that is being answered
    ping_interval: float = 25.0
    ping_timeout: float = 10.0
    handshake_timeout: float = 10.0
    message_timeout: float | None = None  # [WS-20]
    linger: float = 1.0  # how long a closed connection may take to end TCP
    refresh: float = 20.0
    features: frozenset[str] = frozenset()
    broadcasters: frozenset[str] = frozenset()  # [CAST-9] who may broadcast; none: everybody
    history_max: int = 1000  # [HIST-15], [HIST-16] messages of a uid
    confirm_after: float = 0.2  # [HIST-12] how long after a delivery its ping follows


@dataclass(frozen=True)
class Message:
    opcode: int
    payload: bytes


@dataclass(frozen=True)
class Ending:
    """The last thing in an inbox: the code to close with, None for a close frame without one."""

    code: int | None


class Connection:
    """One WebSocket after its handshake."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fd: str, settings: Settings
    ) -> None:
        self.fd = fd
        self.uid: str | None = None
        self.inbox: asyncio.Queue[Message | Ending] = asyncio.Queue(settings.inbox_max)
        self._reader = reader
        self._writer = writer
        self._settings = settings
        self._heard = time.monotonic()
        self._closed = False
        self.hands_on_pongs = False  # as messages, so that they take effect in their turn [HIST-13]

    def send(self, text: str) -> None:
        self._write(TEXT, text.encode())

    def ping(self, payload: bytes) -> None:
        self._write(PING, payload)

    def close(self, code: int | None) -> None:
        """Send the close frame. Nothing is sent behind it, and no second one."""
        if code != BROKEN:
            self._write(CLOSE, b"" if code is None else code.to_bytes(2, "big"))
        self._closed = True

    def drop(self) -> None:
        self._writer.transport.abort()

    async def end(self) -> None:
        """End TCP, reading on for a while: a reset would take the close frame from a peer."""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._settings.linger):
                if self._writer.can_write_eof():
                    self._writer.write_eof()
                while await self._reader.read(65536):
                    pass
        self.drop()

    async def listen(self) -> None:
        """Put every message into the inbox, and an Ending behind the last one."""
        ending = Ending(BROKEN)
        try:
            async for frame in read_frames(
                self._reader, self._settings.message_max, message_timeout=self._settings.message_timeout
            ):
                self._heard = time.monotonic()
                if frame.opcode == PING:
                    self._write(PONG, frame.payload)
                elif frame.opcode == CLOSE:
                    ending = Ending(int.from_bytes(frame.payload[:2], "big") or None)
                elif frame.opcode != PONG or self.hands_on_pongs:
                    await self.inbox.put(Message(frame.opcode, frame.payload))
        except Violation as violation:
            ending = Ending(violation.code)
        except (OSError, asyncio.IncompleteReadError):
            pass
        await self.inbox.put(ending)

    async def watch(self) -> None:
        """Drop a peer that does not answer pings. [WS-10]"""
        interval, timeout = self._settings.ping_interval, self._settings.ping_timeout
        while True:
            await asyncio.sleep(max(0.0, self._heard + interval - time.monotonic()))
            asked = time.monotonic()
            if asked - self._heard < interval:
                continue
            self._write(PING, b"")
            await asyncio.sleep(timeout)
            if self._heard < asked:
                self.drop()
                return

    def _write(self, opcode: int, payload: bytes) -> None:
        """Never waits: what a slow peer does not take is kept up to a limit, then it is dropped. [WS-12]"""
        if self._closed or self._writer.transport.is_closing():
            return
        self._writer.write(encode_frame(opcode, payload))
        if self._writer.transport.get_write_buffer_size() > self._settings.backlog_max:
            self.drop()


class Server:
    STOP_S = 3.0  # how long an orderly stop may take

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._devices: dict[str, dict[str, Connection]] = {}  # uid -> fd -> connection: the truth
        self._tasks: set[asyncio.Task[None]] = set()  # one for each TCP connection
        self._works: set[asyncio.Task[int | None]] = set()  # one for each WebSocket
        self._store = self._new_store()
        self._listener: asyncio.Server | None = None

    async def start(self, port: int) -> int:
        """Serve on 127.0.0.1; returns the port, which is a free one if 'port' is 0."""
        await self._store.start()
        self._listener = await asyncio.start_server(self._accept, "127.0.0.1", port, backlog=1024)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        """Say 1001 to everyone and end. [WS-9]"""
        if self._listener:
            self._listener.close()
        for work in self._works:
            work.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self.STOP_S)
        await self._store.stop()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        finally:
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        most = self._settings.connections_max
        if most is not None and len(self._tasks) > most:
            writer.write(self._refusal())  # [WS-18]
            writer.close()
            return
        try:
            async with asyncio.timeout(self._settings.handshake_timeout):
                accepted = await accept_handshake(reader, writer)
        except (OSError, TimeoutError):
            accepted = False
        if not accepted:
            writer.close()
            return
        connection = self._new_connection(reader, writer)
        helpers = [asyncio.create_task(connection.listen()), asyncio.create_task(connection.watch())]
        work = asyncio.create_task(self._work(connection))
        self._works.add(work)
        await asyncio.wait([work])
        self._works.discard(work)
        for helper in helpers:
            helper.cancel()
        await asyncio.wait(helpers)
        connection.close(GOING_AWAY if work.cancelled() else work.result())
        await self._leave(connection)
        await connection.end()

    def _refusal(self) -> bytes:
        return b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

    def _new_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connection:
        return Connection(reader, writer, self._store.new_fd(), self._settings)

    async def _leave(self, connection: Connection) -> None:
        """[ID-3] Nothing names the connection any more."""
        uid = connection.uid
        if uid is not None:
            self._unbind(connection)
            await self._store.forget(connection.fd, uid)

    async def _work(self, connection: Connection) -> int | None:
        """Answer requests one by one ([ORDER-1]) until the connection ends; the code to close with."""
        while True:
            message = await self._next(connection)
            if isinstance(message, Ending):
                return message.code
            try:
                await self._handle(connection, message)
            except Illegal:
                self._reply(connection, failed("illegal"))
                return ILLEGAL  # [ILLEGAL-4] what is still in the inbox is never looked at

    async def _next(self, connection: Connection) -> Message | Ending:
        return await connection.inbox.get()

    async def _handle(self, connection: Connection, message: Message) -> None:
        request = self._read(message)
        self._reply(connection, await self._answer(connection, request))

    def _reply(self, connection: Connection, text: str) -> None:
        connection.send(text)

    def _read(self, message: Message) -> Request:
        if message.opcode == BINARY:  # [ILLEGAL-2]
            raise Illegal("binary")
        return read_request(message.payload.decode(), self._types())

    def _types(self) -> frozenset[str]:
        return TYPES

    async def _answer(self, connection: Connection, request: Request) -> str:
        """The reply, when all that the request does has been done. The checks have the order of [REPLY-6]."""
        if request.cid_is_invalid:
            return failed("invalid_cid")
        try:
            return await self._obey(connection, request)
        except Unavailable:
            return failed("unavailable", request.cid)

    async def _obey(self, connection: Connection, request: Request) -> str:
        if request.type == "sign":
            return await self._sign(connection, request)
        return await self._msg(connection, request)

    async def _sign(self, connection: Connection, request: Request) -> str:
        uid = request.uid
        if uid is None:
            return failed("invalid_uid", request.cid)
        await self._store.sign(connection.fd, connection.uid, uid, lambda: self._bind(connection, uid))
        return done(SIGNED, request.cid, token=self._new_token(connection))

    def _new_token(self, connection: Connection) -> str:
        return secrets.token_hex(16)

    async def _msg(self, connection: Connection, request: Request) -> str:
        if connection.uid is None:
            return failed("not_signed", request.cid)
        if request.to is None:
            return failed("invalid_to", request.cid)
        if request.body is None:
            return failed("missing_body", request.cid)
        await self._store.ready(request.to)
        text = delivery(request.body, sender=connection.uid)
        for device in self._recipients(connection, request.to):
            self._deliver(device, text)
        return done(SENDED, request.cid)

    def _recipients(self, sender: Connection, to: str) -> list[Connection]:
        return list(self._devices.get(to, {}).values())

    def _deliver(self, device: Connection, text: str) -> None:
        device.send(text)

    def _bind(self, connection: Connection, uid: str) -> None:
        """The connection is a device of 'uid' from now on, and of no other. [SIGN-6]"""
        self._unbind(connection)
        connection.uid = uid
        self._devices.setdefault(uid, {})[connection.fd] = connection

    def _unbind(self, connection: Connection) -> None:
        if connection.uid is None:
            return
        devices = self._devices[connection.uid]
        del devices[connection.fd]
        if not devices:
            del self._devices[connection.uid]
        connection.uid = None

    def _new_store(self) -> Store:
        if self._settings.redis:
            return RedisStore(self._settings.redis, self._roster, self._settings.refresh)
        return MemoryStore()

    def _roster(self) -> dict[str, str]:
        return {fd: uid for uid, devices in self._devices.items() for fd in devices}
