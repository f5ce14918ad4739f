"""No abuse by anybody: a Redis that is slow, and one that stands still."""

from __future__ import annotations

import asyncio

from chaos.proxy import whole

from abuse.client import Client, frame
from abuse.field import MIB, Field, abuse

HALF_DELAY_S = 0.15
CROWD = 50
IN_FLIGHT = 256 * 1024  # bytes of one connection's requests
BLOCK = 20


@abuse(
    "Redis answers 300 ms late",
    lambda field: 8 * MIB,
    redis=True,
    rate=50,
)
async def redis_slow(field: Field) -> str:
    assert field.links is not None
    await field.links.change(whole(0) | {"delay": HALF_DELAY_S})
    await asyncio.sleep(field.seconds)
    await field.links.change(whole(0))
    return "300 ms"


@abuse(
    "Redis stands still, and 50 connections go on asking",
    lambda field: CROWD * 2 * IN_FLIGHT + 8 * MIB,
    redis=True,
    rate=50,
    p99_max_ms=5000,
    may_refuse=True,
)
async def redis_stalled(field: Field) -> str:
    assert field.redis is not None
    clients = [field.keep(await Client.open(field.port)) for _ in range(CROWD)]
    for client in clients:
        await client.sign("impatient")
    block = frame(type="msg", to="nobody", body="x" * 8000) * BLOCK

    async def ask(client: Client) -> None:
        while True:
            await client.send(block)
            await client.receive()

    field.redis.freeze()
    try:
        async with asyncio.timeout(field.count(3, 10)), asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(ask(client))
    except TimeoutError:
        pass
    finally:
        field.redis.thaw()
    return f"{field.count(3, 10)} s"
