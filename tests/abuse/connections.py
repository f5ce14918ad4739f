"""Those who connect, and what they do instead of chatting."""

from __future__ import annotations

import asyncio
import contextlib
import json

from abuse.client import Client
from abuse.field import MIB, Field, abuse

HANDSHAKES = 40 * MIB  # 1,000 at a time with 32 KiB of headers
FILES_MAX = 300
FILES_RESERVED = 128  # by the server, for handshakes and for what is no client


@abuse("connects as fast as they can be made", lambda field: HANDSHAKES)
async def connects(field: Field) -> str:
    command = [str(field.chatload), "--url", f"ws://127.0.0.1:{field.port}/", "--connections", "100"]
    command += ["--warm-up", "0", "--seconds", str(field.seconds), "--json", "-", "connect"]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return f"{json.loads(out)['connects_per_s']:.0f} a second"


@abuse("handshakes that never finish, and some that come byte by byte", lambda field: HANDSHAKES)
async def handshakes(field: Field) -> str:
    n = field.count(1500, 5000)

    async def half() -> Client:
        client = await Client.tcp(field.port)
        with contextlib.suppress(OSError):  # it may be the oldest already
            await client.send(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        return client

    async def trickle() -> None:
        client = await Client.tcp(field.port)
        try:
            for byte in b"GET / HTTP/1.1\r\nX-Slow: 1\r\n":
                await client.send(bytes((byte,)))
                await asyncio.sleep(0.01)
        except OSError:
            pass  # it was the oldest
        finally:
            client.close()

    await field.open_all(n, half)
    field.keep(await Client.open(field.port))  # who means it gets in
    await field.for_a_while(*[trickle] * 20)
    field.keep(await Client.open(field.port))
    return f"{n} handshakes"


@abuse("headers that never end", lambda field: HANDSHAKES)
async def headers(field: Field) -> str:
    n_bytes = 0

    async def endless() -> None:
        nonlocal n_bytes
        client = await Client.tcp(field.port)
        try:
            await client.send(b"GET / HTTP/1.1\r\n")
            while True:
                line = b"X-Filler-%d: %s\r\n" % (n_bytes, b"y" * 200)
                await client.send(line)
                n_bytes += len(line)
        except OSError:
            pass  # the server has had enough
        finally:
            client.close()

    n = await field.for_a_while(*[endless] * 20)
    return f"{n} connections, {n_bytes / MIB:.1f} MiB"


@abuse(
    "more connections than descriptors",
    lambda field: 8 * MIB,
    files_max=FILES_MAX,
)
async def descriptors(field: Field) -> str:
    n = field.count(600, 2000)
    refused: list[str] = []

    async def one() -> Client:
        try:
            return await Client.open(field.port)
        except ConnectionRefusedError as error:
            refused.append(str(error))
            return await Client.tcp(field.port)

    await field.open_all(n, one)
    assert len(refused) >= n - (FILES_MAX - FILES_RESERVED), "more were served than there is room for"
    n_said = sum("503" in answer for answer in refused)
    assert n_said == len(refused), f"{len(refused) - n_said} were not told 503: {set(refused)}"
    return f"{n} connections, {len(refused)} refused with 503"
