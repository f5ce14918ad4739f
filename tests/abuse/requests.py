"""Those who ask, far too much or in the worst way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

from chaos.frames import TEXT, masked

from abuse.client import Client, frame
from abuse.field import MIB, Field, abuse

BLOCK = 200  # requests that leave at once
MESSAGE_MAX = 65536
IN_FLIGHT = 256 * 1024  # bytes of one connection's requests, before it is read no more
CONNECTION = 16 * 1024


async def drain(client: Client) -> None:
    while await client.receive():
        pass


@abuse("one connection sends messages as fast as it can", lambda field: 4 * MIB)
async def flood(field: Field) -> str:
    client = field.keep(await Client.open(field.port))
    await client.sign("flooder")
    block = frame(type="msg", to="nobody", body="x") * BLOCK

    async with field.meanwhile(drain(client)):
        n = await field.for_a_while(lambda: client.send(block))
    return f"{n * BLOCK} requests"


@abuse("pings as fast as they can be sent, by one connection", lambda field: 4 * MIB)
async def pings(field: Field) -> str:
    client = field.keep(await Client.open(field.port))
    block = masked(0x9, b"x" * 125) * BLOCK

    async with field.meanwhile(drain(client)):
        n = await field.for_a_while(lambda: client.send(block))
    return f"{n * BLOCK} pings"


def message(body: bytes) -> bytes:
    return masked(TEXT, b'{"type":"msg","to":"nobody","body":' + body + b"}")


def filled(piece: bytes) -> bytes:
    """As many pieces as a message has room for, with commas between."""
    return b",".join([piece] * ((MESSAGE_MAX - 100) // (len(piece) + 1)))


ILLEGAL = [
    masked(TEXT, b"[" * 65000),
    masked(TEXT, b'{"a":' * 13000),
    masked(TEXT, b'{"type":"msg","to":"nobody","body":"' + b"x" * 65000),
    masked(TEXT, b'{"type":"sign","uid":"' + b"\\ud800" * 10000 + b'"}'),
]
LEGAL = [
    message(b"[" * 500 + b"]" * 500),
    message(b"[" + filled(b"[" * 400 + b"]" * 400) + b"]"),
    message(b'"' + b"\\u0041" * 10900 + b'"'),
    message(b"{" + filled(b'"a":1') + b"}"),
    message(b"[" + filled(b"1e400") + b"]"),
    masked(TEXT, b"{" + filled(b'"type":"sign"') + b',"type":"msg","to":"nobody","body":1}'),
]


@abuse(
    "JSON of the worst kind, 64 KB at a time, by 16 connections", lambda field: 16 * 4 * MESSAGE_MAX + 4 * MIB
)
async def json(field: Field) -> str:
    async def refused(text: bytes) -> None:
        client = await Client.open(field.port)
        with contextlib.suppress(OSError):
            await client.send(text)
        await drain(client)
        client.close()

    async def accepted(client: Client, text: bytes) -> None:
        await client.send(text)
        await client.receive()

    works: list[Callable[[], Awaitable[None]]] = []
    for text in ILLEGAL * 2:
        works.append(lambda text=text: refused(text))  # type: ignore[misc]
    for text in (LEGAL * 2)[:8]:
        client = field.keep(await Client.open(field.port))
        await client.sign("clever")
        works.append(lambda client=client, text=text: accepted(client, text))  # type: ignore[misc]
    n = await field.for_a_while(*works)
    return f"{n} messages"


@abuse(
    "messages that never end",
    lambda field: field.count(200, 1000) * (MESSAGE_MAX + CONNECTION),
)
async def halves(field: Field) -> str:
    n = field.count(200, 1000)
    half = frame(type="msg", to="nobody", body="x" * 65000)[:-1]

    async def one() -> Client:
        client = await Client.open(field.port)
        await client.send(half)
        return client

    await field.open_all(n, one)
    await asyncio.sleep(field.seconds / 2)
    return f"{n} connections with 64 KB each"
