"""Those who do not read."""

from __future__ import annotations

from abuse.client import SMALL_WINDOW, Client, frame
from abuse.field import MIB, Field, abuse

BODY = "x" * 16000
N_MESSAGES = 150  # 2.3 MiB for each reader, who may let 1 MiB wait

OUTBOXES = 32 * MIB
HISTORY = 32 * MIB
CONNECTION = 16 * 1024  # bytes, with what is being read of it
SOCKET = 256 * 1024  # that the kernel keeps of what the server sends, src/transport/listener.c


def reader_count(field: Field) -> int:
    return field.count(200, 1000)


async def crowd(field: Field) -> Client:
    """Readers who sign as one user, and never read again. Returns somebody to write to them."""

    async def mute() -> Client:
        client = await Client.open(field.port, window=SMALL_WINDOW)
        await client.sign("crowd")
        return client

    await field.open_all(reader_count(field), mute)
    return field.keep(await Client.open(field.port))


async def ask_each(writer: Client, n: int, **request: object) -> None:
    """n requests, one behind the other; each is answered."""
    for _ in range(n):
        await writer.send(frame(**request))
        await writer.until_said(b'"status":1')


def figures(field: Field) -> str:
    size = field.server.queued()
    assert size <= reader_count(field) * SOCKET, f"{size} bytes wait in the kernel"
    return f"{reader_count(field)} readers, {N_MESSAGES} messages, {size / MIB:.1f} MiB in the kernel"


async def write_to_crowd(field: Field) -> str:
    writer = await crowd(field)
    await writer.sign("writer")
    await ask_each(writer, N_MESSAGES, type="msg", to="crowd", body=BODY)
    return figures(field)


@abuse(
    "devices of one user never read 2.4 MB each that are sent to them",
    # An outbox takes at most twice what waits in it, and what the kernel refused is there once more.
    lambda field: 3 * OUTBOXES + reader_count(field) * CONNECTION,
    "--outboxes-size-max",
    str(OUTBOXES),
)
async def readers(field: Field) -> str:
    return await write_to_crowd(field)


@abuse(
    "the same, with history",
    lambda field: 3 * OUTBOXES + HISTORY + reader_count(field) * CONNECTION,
    "--features",
    "history",
    "--outboxes-size-max",
    str(OUTBOXES),
    "--history-memory-max",
    str(HISTORY),
)
async def readers_with_history(field: Field) -> str:
    return await write_to_crowd(field)


@abuse(
    "the same, with history, and then broadcasts",
    lambda field: 3 * OUTBOXES + HISTORY + reader_count(field) * CONNECTION,
    "--features",
    "history,broadcast",
    "--broadcasters",
    "writer",
    "--outboxes-size-max",
    str(OUTBOXES),
    "--history-memory-max",
    str(HISTORY),
)
async def readers_with_broadcasts(field: Field) -> str:
    writer = await crowd(field)
    await writer.sign("writer")
    await ask_each(writer, N_MESSAGES, type="msg", to="crowd", body=BODY)
    await ask_each(writer, N_MESSAGES, type="broadcast", body=BODY)
    return figures(field) + ", then as many broadcasts"
