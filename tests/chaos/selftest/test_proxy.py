"""A link does what it is told: it passes, holds one way, delays, refuses and resets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from chatcheck.ports import free_port

from chaos.proxy import Link, Links, State, whole

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SOON = 0.2  # what has not come by then is held
LATE = 5.0


@asynccontextmanager
async def through_a_link() -> AsyncIterator[tuple[Links, int, Streams, list[Streams]]]:
    """A link to a server of ours, a connection through it, and the server's ends."""
    accepted: list[Streams] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.append((reader, writer))

    port = free_port()
    server = await asyncio.start_server(accept, "127.0.0.1")
    links = await Links.start(server.sockets[0].getsockname()[1], [port])
    try:
        node = await asyncio.open_connection("127.0.0.1", port)
        node[1].write(b"hello")
        async with asyncio.timeout(LATE):
            while not accepted:
                await asyncio.sleep(0.01)
            assert await accepted[0][0].readexactly(5) == b"hello"
        yield links, port, node, accepted
    finally:
        await links.end()
        server.close()


def changed(**members: object) -> State:
    return {**whole(0), **members}  # type: ignore[typeddict-item]


async def arrives(reader: asyncio.StreamReader, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await reader.read(100)
    except TimeoutError:
        return b"(held)"


async def connect_and_read(port: int) -> bytes:
    reader, _ = await asyncio.open_connection("127.0.0.1", port)
    return await reader.readexactly(1)


Test = Callable[[], Awaitable[None]]


def run(test: Test) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(30):
            await test()

    asyncio.run(bounded())


@pytest.mark.parametrize("is_up", [True, False])
def test_one_way_is_held_and_comes_when_it_is_whole(is_up: bool) -> None:
    async def test() -> None:
        async with through_a_link() as (links, _, node, accepted):
            await links.change(changed(up=not is_up, down=is_up))
            node[1].write(b"up")
            accepted[0][1].write(b"down")

            assert await arrives(accepted[0][0], SOON) == (b"(held)" if is_up else b"up")
            assert await arrives(node[0], SOON) == (b"down" if is_up else b"(held)")
            await links.change(whole(0))
            held, text = (accepted[0][0], b"up") if is_up else (node[0], b"down")
            assert await arrives(held, LATE) == text

    run(test)


def test_what_was_sent_before_the_sender_closed_still_comes() -> None:
    async def test() -> None:
        async with through_a_link() as (links, _, node, accepted):
            await links.change(changed(up=False))
            node[1].write(b"last words")
            node[1].close()
            await links.change(whole(0))

            assert await arrives(accepted[0][0], LATE) == b"last words"
            assert await arrives(accepted[0][0], LATE) == b""

    run(test)


def test_delay() -> None:
    async def test() -> None:
        async with through_a_link() as (links, _, node, accepted):
            await links.change(changed(delay=0.3))
            began = time.monotonic()
            node[1].write(b"slowly")

            assert await arrives(accepted[0][0], LATE) == b"slowly"
            assert time.monotonic() - began >= 0.3

    run(test)


def test_reset_breaks_what_is_open_and_the_next_passes() -> None:
    async def test() -> None:
        async with through_a_link() as (links, port, node, accepted):
            await links.change(changed(reset=True))
            with pytest.raises(ConnectionError):
                await node[0].readexactly(1)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"again")
            async with asyncio.timeout(LATE):
                while len(accepted) < 2:
                    await asyncio.sleep(0.01)

            assert await arrives(accepted[1][0], LATE) == b"again"
            accepted[1][1].write(b"yes")
            assert await arrives(reader, LATE) == b"yes"

    run(test)


def test_refuse() -> None:
    async def test() -> None:
        async with through_a_link() as (links, port, node, _):
            await links.change(changed(refuse=True))
            with pytest.raises(ConnectionError):
                await node[0].readexactly(1)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await connect_and_read(port)

    run(test)


def test_a_new_link_is_whole() -> None:
    assert Link(0, 1).state == whole(0)
