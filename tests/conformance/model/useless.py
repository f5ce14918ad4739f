"""Servers that are good for nothing. No check of a MUST may pass against one of them without a reason."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress

from .frames import CLOSE, PING, PONG, TEXT, Frame, Violation, accept_handshake, encode_frame, read_frames
from .requests import SENDED, delivery, done, failed

MESSAGE_MAX = 1_048_576

Answer = Callable[[Frame, asyncio.StreamWriter], Awaitable[bool]]


class Useless:
    """A server with a persona; start() and stop() as the right server has them."""

    def __init__(self, persona: str) -> None:
        self._persona = persona
        self._writers: set[asyncio.StreamWriter] = set()
        self._answer: Answer = {
            "mute": self._mute,
            "hangs-up-at-once": self._hang_up,
            "hangs-up-on-any-frame": self._hang_up,
            "sended-to-everything": self._sended,
            "echo": self._echo,
            "tells-everybody-everything": self._tell_everybody,
            "calls-everything-illegal": self._illegal,
            "noise": self._noise,
        }[persona]
        self._listener: asyncio.Server | None = None

    async def start(self, port: int) -> int:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", port)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        if self._listener:
            self._listener.close()
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(OSError, Violation, asyncio.IncompleteReadError):
            if await accept_handshake(reader, writer) and self._persona != "hangs-up-at-once":
                await self._converse(reader, writer)
        self._writers.discard(writer)
        writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for frame in read_frames(reader, MESSAGE_MAX):
            if not await self._answer(frame, writer):
                return

    async def _mute(self, frame: Frame, writer: asyncio.StreamWriter) -> bool:
        return True

    async def _hang_up(self, frame: Frame, writer: asyncio.StreamWriter) -> bool:
        return False

    async def _sended(self, frame: Frame, writer: asyncio.StreamWriter) -> bool:
        if not frame.is_control:
            _send(writer, done(SENDED, None))
        return _as_usual(frame, writer)

    async def _echo(self, frame: Frame, writer: asyncio.StreamWriter) -> bool:
        if not frame.is_control:
            writer.write(encode_frame(frame.opcode, frame.payload))
        return _as_usual(frame, writer)

    async def _tell_everybody(self, frame: Frame, writer: asyncio.StreamWriter) -> bool:
        if not frame.is_control:
            for each in self._writers:
                _send(each, done(SENDED, None))
                _send(each, delivery('"news"', "1001"))
        return _as_usual(frame, writer)

    async def _illegal(self, frame: Frame, writer: asyncio.StreamWriter) -> bool:
        if frame.is_control:
            return _as_usual(frame, writer)
        _send(writer, failed("illegal"))
        writer.write(encode_frame(CLOSE, (1008).to_bytes(2, "big")))
        return False

    async def _noise(self, frame: Frame, writer: asyncio.StreamWriter) -> bool:
        writer.write(secrets.token_bytes(64))
        return True


PERSONAS = (
    "mute",
    "hangs-up-at-once",
    "hangs-up-on-any-frame",
    "sended-to-everything",
    "echo",
    "tells-everybody-everything",
    "calls-everything-illegal",
    "noise",
)


def _send(writer: asyncio.StreamWriter, text: str) -> None:
    writer.write(encode_frame(TEXT, text.encode()))


def _as_usual(frame: Frame, writer: asyncio.StreamWriter) -> bool:
    """Answer pings and a close; is the connection to stay?"""
    if frame.opcode == PING:
        writer.write(encode_frame(PONG, frame.payload))
    if frame.opcode == CLOSE:
        writer.write(encode_frame(CLOSE, frame.payload))
    return frame.opcode != CLOSE
