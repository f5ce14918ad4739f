"""One WebSocket of a client, made to be broken: it can stop reading, read slowly, and end by RST."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Protocol, cast

from chaos.frames import CLOSE, HANDSHAKE, PING, PONG, TEXT, Reader, masked

READ_BYTES = 65536
SLOW_READ_BYTES = 1024
SLOW_PERIOD_S = 0.25  # between two slow reads
HANDSHAKE_SECONDS = 5.0
GOODBYE_SECONDS = 2.0  # for the server's close frame


class Listener(Protocol):
    """Who owns the connection."""

    def heard(self, text: bytes) -> None: ...
    def pinged(self, payload: bytes) -> None: ...
    def lost(self, connection: Connection, why: str) -> None: ...


class Connection(asyncio.BufferedProtocol):
    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._space = memoryview(bytearray(READ_BYTES))
        self._frames = Reader()
        self._head = b""
        self._transport: asyncio.Transport | None = None
        self._is_open = False
        self._is_slow = False
        self._why = "the server ended TCP"
        self.opened: asyncio.Future[None] = self._loop.create_future()
        self.ended: asyncio.Future[None] = self._loop.create_future()

    @staticmethod
    async def open(listener: Listener, port: int) -> Connection:
        """Raises OSError if the handshake does not succeed in time."""
        loop = asyncio.get_running_loop()
        connection = Connection(listener)
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await loop.create_connection(lambda: connection, "127.0.0.1", port)
                await connection.opened
        except BaseException:
            connection.reset()
            raise
        return connection

    # -- What the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._socket().setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.write(HANDSHAKE)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._space[:SLOW_READ_BYTES] if self._is_slow else self._space

    def buffer_updated(self, nbytes: int) -> None:
        data = self._space[:nbytes]
        if self._is_open:
            self._received(data)
        else:
            self._shake(bytes(data))
        if self._is_slow and self._transport is not None:
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("no handshake"))
            self.opened.exception()  # nobody may be waiting any more
        if not self.ended.done():
            self.ended.set_result(None)
        if self._is_open:
            self._is_open = False
            self._listener.lost(self, self._why)

    # -- What the owner calls

    @property
    def is_open(self) -> bool:
        return self._is_open and self._transport is not None and not self._transport.is_closing()

    def send(self, frames: bytes) -> None:
        if self.is_open and self._transport is not None:
            self._transport.write(frames)

    def freeze(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def thaw(self) -> None:
        self._is_slow = False
        if self._transport is not None:
            self._transport.resume_reading()

    def slow_down(self) -> None:
        self._is_slow = True
        self._loop.call_later(SLOW_PERIOD_S, self._slow_turn)

    def reset(self) -> None:
        """End TCP by RST: what has arrived and is not read is gone."""
        self._why = "we reset it"
        if self._transport is not None:
            with contextlib.suppress(OSError):
                self._socket().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    async def close(self) -> None:
        """The closing handshake, or RST if the server does not take part in it."""
        self.send(masked(CLOSE, (1000).to_bytes(2, "big")))
        self._why = "we closed it"
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await asyncio.shield(self.ended)
        if not self.ended.done():
            self.reset()
            await self.ended

    # -- Inside

    def _socket(self) -> socket.socket:
        assert self._transport is not None
        return cast(socket.socket, self._transport.get_extra_info("socket"))

    def _shake(self, data: bytes) -> None:
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            return
        if not head.startswith(b"HTTP/1.1 101 "):
            self._why = "the handshake was refused"
            self.reset()
            return
        self._is_open = True
        if not self.opened.done():
            self.opened.set_result(None)
        # The owner first has to learn that it is open.
        if rest:
            self._loop.call_soon(self._received, rest)

    def _received(self, data: bytes | memoryview) -> None:
        for opcode, payload in self._frames.feed(data):
            if opcode == TEXT:
                self._listener.heard(payload)
            elif opcode == PING:
                self.send(masked(PONG, payload))
                self._listener.pinged(payload)
            elif opcode == CLOSE:
                self._why = f"the server closed with {int.from_bytes(payload[:2], 'big')}"
                self.send(masked(CLOSE, payload[:2]))

    def _slow_turn(self) -> None:
        if self._is_slow and self.is_open and self._transport is not None:
            self._transport.resume_reading()
            self._loop.call_later(SLOW_PERIOD_S, self._slow_turn)
