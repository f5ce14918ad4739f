"""The original service with its faults, as it was observed with Swoole 4.8 and one worker.

For telling what an old server does with the suite. It has no wish to conform: see
the notes in SPEC.md. Its keys are in Redis with --redis, else in memory.
"""

import asyncio
import hashlib
import json
import math
import os
import re
import sys
import time
from contextlib import suppress
from itertools import count
from typing import Any

from redis.asyncio import Redis

from .faults import switch_on
from .frames import CLOSE, PING, PONG, TEXT, Violation, accept_handshake, encode_frame, read_frames
from .strict_json import NotJson, read_object

MESSAGE_MAX = 2 * 1024 * 1024
PING_MAX = 120
TTL_S = 86400
sys.setrecursionlimit(10000)  # for encode(), of 511 levels
SIGNED = {"status": 1, "msg": "注册成功"}
SENDED = {"status": 1, "msg": "sended"}
NOT_SIGNED = {"status": 0, "msg": "发送失败,未登入"}
ILLEGAL = {"status": 0, "msg": "非法请求", "disconnect": 1}

# What it lets pass in frames is what these faults let pass.
LENIENCE = (
    "unmasked-accepted",
    "reserved-bits-accepted",
    "opcode-3-ignored",
    "opcode-11-ignored",
    "fragmented-ping-accepted",
    "long-ping-accepted",
    "interleaved-accepted",
    "version-ignored",
    "utf8-illegal",
)


class MemoryKeys:
    """As much of Redis as the original uses."""

    def __init__(self) -> None:
        self._sets: dict[str, set[str]] = {}
        self._strings: dict[str, str] = {}

    async def add(self, uid: str, fd: int) -> None:
        self._sets.setdefault(uid, set()).add(str(fd))

    async def remove(self, uid: str, fd: int) -> None:
        self._sets.get(uid, set()).discard(str(fd))

    async def members(self, uid: str) -> list[int]:
        return sorted(map(int, self._sets.get(uid, ())))

    async def put(self, fd: int, uid: str) -> None:
        self._strings[str(fd)] = uid

    async def get(self, fd: int) -> str | None:
        return self._strings.get(str(fd))

    async def drop(self, fd: int) -> None:
        self._strings.pop(str(fd), None)


class RedisKeys:
    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(url, decode_responses=True)

    async def add(self, uid: str, fd: int) -> None:
        await self._redis.sadd(f"chat_map_uid_fd:{uid}", str(fd))

    async def remove(self, uid: str, fd: int) -> None:
        await self._redis.srem(f"chat_map_uid_fd:{uid}", str(fd))

    async def members(self, uid: str) -> list[int]:
        found: set[str] = await self._redis.smembers(f"chat_map_uid_fd:{uid}")  # type: ignore[assignment]
        if not all(re.fullmatch("[0-9]+", member) for member in found):
            os._exit(255)  # an uncaught TypeError
        return sorted(map(int, found))

    async def put(self, fd: int, uid: str) -> None:
        await self._redis.set(f"chat_map_fd_uid:{fd}", uid, ex=TTL_S)

    async def get(self, fd: int) -> str | None:
        value: str | None = await self._redis.get(f"chat_map_fd_uid:{fd}")  # type: ignore[assignment]
        return value

    async def drop(self, fd: int) -> None:
        await self._redis.delete(f"chat_map_fd_uid:{fd}")


class Original:
    """A server; start() and stop() as the right server has them."""

    def __init__(self, redis: str | None) -> None:
        for name in LENIENCE:
            switch_on(name)
        self._keys = RedisKeys(redis) if redis else MemoryKeys()
        self._numbers = count(1)
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._one = asyncio.Lock()  # the worker does one thing at a time
        self._listener: asyncio.Server | None = None

    async def start(self, port: int) -> int:
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", port)
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def stop(self) -> None:
        if self._listener:
            self._listener.close()
        for writer in list(self._writers.values()):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fd = next(self._numbers)
        with suppress(OSError, asyncio.IncompleteReadError, Violation):
            if await accept_handshake(reader, writer):
                self._writers[fd] = writer
                await self._converse(fd, reader, writer)
        self._writers.pop(fd, None)
        await self._clean_up(fd)
        writer.close()

    async def _converse(self, fd: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async for frame in read_frames(reader, MESSAGE_MAX, checks_close=False):
            if frame.opcode == PING:
                if len(frame.payload) > PING_MAX:
                    return
                writer.write(encode_frame(PONG, frame.payload))
            elif frame.opcode == CLOSE:
                writer.write(encode_frame(CLOSE, frame.payload))
            elif not frame.is_control:
                async with self._one:
                    await self._answer(fd, frame.payload)

    def _send(self, fd: int, members: Any) -> None:
        self._writers[fd].write(encode_frame(TEXT, encode(members).encode()))

    async def _answer(self, fd: int, payload: bytes) -> None:
        request = decode(payload)
        kind = request.get("type") if isinstance(request, dict) else None
        if kind == "sign" or kind is True:
            await self._sign(fd, php_string(request.get("uid")))
        elif kind == "msg":
            await self._msg(fd, php_string(request.get("to")), request.get("body"))
        else:
            self._send(fd, ILLEGAL)

    async def _sign(self, fd: int, uid: str) -> None:
        await self._keys.add(uid, fd)
        await self._keys.put(fd, uid)
        for member in await self._keys.members(uid):
            if member not in self._writers:
                await self._keys.remove(uid, member)
                await self._keys.drop(member)
        token = hashlib.md5(str(int(time.time())).encode()).hexdigest()
        self._send(fd, {**SIGNED, "token": token})

    async def _msg(self, fd: int, to: str, body: Any) -> None:
        uid = await self._keys.get(fd)
        if uid in (None, "", "0"):
            self._send(fd, NOT_SIGNED)
            return
        for member in await self._keys.members(to):
            if member in self._writers:
                self._send(member, {"body": body, "from": uid})
        self._send(fd, SENDED)

    async def _clean_up(self, fd: int) -> None:
        uid = await self._keys.get(fd)
        if uid not in (None, "", "0"):
            await self._keys.remove(uid or "", fd)
            await self._keys.drop(fd)


def decode(payload: bytes) -> Any:
    """As json_decode() with arrays: None for what it refuses. A JSON string ends the process, as it did."""
    try:
        text = payload.decode()
        read_object('{"":' + text + "}")  # one value, by the grammar
        value = json.loads(text)
    except (UnicodeDecodeError, NotJson, ValueError):
        return None
    if isinstance(value, str):
        os._exit(255)
    return value


def php_string(value: Any) -> str:
    if isinstance(value, (list, dict)):
        return "Array"
    if value is None or value is False:
        return ""
    if value is True:
        return "1"
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        value = float(value)
    if isinstance(value, float):
        return f"{value:.14G}"
    return str(value)


class NotEncodable(Exception):
    """INF: json_encode() returns false."""


def encode(value: Any) -> str:
    """As json_encode() does; the empty text for what it refuses."""
    try:
        return _encode(value)
    except NotEncodable:
        return ""


def _encode(value: Any) -> str:
    if isinstance(value, str):
        return json.dumps(value).replace("/", "\\/")
    if isinstance(value, dict):
        if list(value) == [str(i) for i in range(len(value))]:  # an empty one, too
            return _encode(list(value.values()))
        return "{" + ",".join(f"{_encode(name)}:{_encode(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_encode, value)) + "]"
    if isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return str(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return _encode_float(value)
    return json.dumps(value)


def _encode_float(value: float) -> str:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if math.isinf(number):
        raise NotEncodable
    if number == int(number) and abs(number) < 1e15:
        return "-0" if math.copysign(1, number) < 0 and number == 0 else str(int(number))
    mantissa, mark, exponent = repr(number).partition("e")
    if not mark:
        return mantissa
    mantissa = mantissa if "." in mantissa else mantissa + ".0"
    return f"{mantissa}e{int(exponent):+d}"
