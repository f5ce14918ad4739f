"""A wire lets through what it should: what is cut waits, what is severed ends."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from chatcheck.wire import Wire

SECONDS = 5.0


@pytest.fixture
def echo() -> Iterator[int]:
    """A server that answers what it is sent; its port."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def answer(client: socket.socket) -> None:
    with client:
        while data := client.recv(100):
            client.sendall(data.upper())


@pytest.fixture
def wire(echo: int) -> Iterator[Wire]:
    wire = Wire(f"redis://user:secret@127.0.0.1:{echo}/3")
    yield wire
    wire.destroy()


def connect(wire: Wire) -> socket.socket:
    return socket.create_connection(("127.0.0.1", urlsplit(wire.url).port or 0), SECONDS)


def test_the_url_keeps_what_is_not_the_address(wire: Wire, echo: int) -> None:
    parts = urlsplit(wire.url)
    assert (parts.scheme, parts.username, parts.password, parts.path) == ("redis", "user", "secret", "/3")
    assert parts.port not in (None, echo)


@pytest.mark.parametrize("directions", [{}, {"replies": False}, {"requests": False}], ids=str)
def test_what_is_cut_waits_and_comes_when_it_is_mended(wire: Wire, directions: dict[str, bool]) -> None:
    with connect(wire) as client:
        client.sendall(b"before")
        assert client.recv(100) == b"BEFORE"
        wire.cut(**directions)
        client.sendall(b"meanwhile")
        client.settimeout(0.1)
        with pytest.raises(TimeoutError):
            client.recv(100)
        client.settimeout(SECONDS)
        wire.mend()
        assert client.recv(100) == b"MEANWHILE"


def test_what_is_severed_ends_and_comes_no_more_until_it_is_mended(wire: Wire) -> None:
    with connect(wire) as client:
        client.sendall(b"before")
        assert client.recv(100) == b"BEFORE"
        wire.sever()
        assert is_ended(client)
    with connect(wire) as client:
        assert is_ended(client)
    wire.mend()
    with connect(wire) as client:
        client.sendall(b"after")
        assert client.recv(100) == b"AFTER"


def is_ended(client: socket.socket) -> bool:
    try:
        return client.recv(100) == b""
    except ConnectionResetError:
        return True
