"""Those who invent users."""

from __future__ import annotations

import asyncio

from abuse.client import Client, frame
from abuse.field import MIB, Field, abuse

CONNECTIONS = 16
BLOCK = 100
HISTORY = 16 * MIB


async def invent(field: Field, n: int, request: dict[str, object], member: str) -> None:
    """n requests, each with a uid of its own in 'member'; every one is answered."""
    clients = [field.keep(await Client.open(field.port)) for _ in range(CONNECTIONS)]

    async def one(number: int, client: Client) -> None:
        await client.sign(f"inventor-{number}")
        for first in range(number * BLOCK, n, CONNECTIONS * BLOCK):
            uids = range(first, min(n, first + BLOCK))
            await client.send(b"".join(frame(**request, **{member: f"invented-{uid}"}) for uid in uids))
            await client.until_said(b'"status":', len(uids))

    async with asyncio.TaskGroup() as group:
        for number, client in enumerate(clients):
            group.create_task(one(number, client))


def count(field: Field) -> int:
    return field.count(50_000, 1_000_000)


@abuse("signs as ever new uids", lambda field: 4 * MIB)
async def signs(field: Field) -> str:
    await invent(field, count(field), {"type": "sign"}, "uid")
    return f"{count(field)} uids"


@abuse("signs as ever new uids, with Redis", lambda field: 8 * MIB, redis=True)
async def signs_in_redis(field: Field) -> str:
    n = field.count(20_000, 1_000_000)
    await invent(field, n, {"type": "sign"}, "uid")
    return f"{n} uids"


@abuse("messages to ever new uids", lambda field: 4 * MIB)
async def strangers(field: Field) -> str:
    await invent(field, count(field), {"type": "msg", "body": "x"}, "to")
    return f"{count(field)} uids"


@abuse("messages to ever new uids, with Redis", lambda field: 8 * MIB, redis=True)
async def strangers_in_redis(field: Field) -> str:
    await invent(field, count(field), {"type": "msg", "body": "x"}, "to")
    return f"{count(field)} uids"


@abuse(
    "messages to ever new uids, with history in memory, which they fill",
    # What the library of the C language adds to each piece of memory is not counted.
    lambda field: 2 * HISTORY + 8 * MIB,
    "--features",
    "history",
    "--history-memory-max",
    str(HISTORY),
    is_lasting=True,  # what is stored stays for days: [HIST-17]
)
async def strangers_with_history(field: Field) -> str:
    n = field.count(200_000, 1_000_000)
    await invent(field, n, {"type": "msg", "body": "x", "cid": "c"}, "to")
    return f"{n} uids"
