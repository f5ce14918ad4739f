"""A TLS terminator before a server that speaks plain TCP, with certificates made on the spot."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import trustme

TLS_1_2, TLS_1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
_CHUNK = 65536


def make_context(
    folder: Path, version: ssl.TLSVersion, *names: str, ca: trustme.CA | None = None
) -> ssl.SSLContext:
    """A server's context of one TLS version for these names; its CA is in ca.pem of the folder."""
    ca = ca or trustme.CA()
    ca.cert_pem.write_to_path(str(folder / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(*(names or ("127.0.0.1", "localhost"))).configure_cert(context)
    context.minimum_version = context.maximum_version = version
    return context


@contextlib.contextmanager
def tls_front(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """Terminates TLS before the plain port of 127.0.0.1; gives the port that it listens on."""
    front = _Front(port, context)
    thread = threading.Thread(target=front.run, daemon=True)
    thread.start()
    front.listens.wait()
    try:
        yield front.port
    finally:
        front.end()
        thread.join()


class _Front:
    def __init__(self, target: int, context: ssl.SSLContext) -> None:
        self.port = 0
        self.listens = threading.Event()
        self._target, self._context = target, context
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    def run(self) -> None:
        self._loop.run_until_complete(self._run())
        self._loop.close()

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)

    async def _run(self) -> None:
        self._loop.set_exception_handler(lambda *_: None)  # a client that does not trust us, and goes
        options = {"ssl": self._context, "ssl_shutdown_timeout": 1.0}
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, **options)
        self.port = server.sockets[0].getsockname()[1]
        self.listens.set()
        await self._over.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        to_server = None
        with contextlib.suppress(OSError, asyncio.CancelledError):
            from_server, to_server = await asyncio.open_connection("127.0.0.1", self._target)
            pumps = [_pump(reader, to_server), _pump(from_server, writer)]
            pumps = [asyncio.ensure_future(pump) for pump in pumps]
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
        for end in (writer, to_server):
            if end is not None:
                end.close()
        self._tasks.discard(task)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
