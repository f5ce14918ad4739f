"""Clients of chatd: what they ask, and what they see."""

import json
import socket
from typing import Any

import pytest
from conftest import Chatd
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

ANSWER_SECONDS = 30  # a busy machine takes its time
UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def ask(client: ClientConnection, **request: Any) -> dict[str, Any]:
    client.send(json.dumps(request))
    answer: dict[str, Any] = json.loads(client.recv(timeout=ANSWER_SECONDS))
    return answer


def sign(client: ClientConnection, uid: str) -> str:
    answer = ask(client, type="sign", uid=uid)
    assert answer["status"] == 1, answer
    token: str = answer["token"]
    return token


def raw_client(chatd: Chatd) -> socket.socket:
    """Upgraded, and then it neither reads nor answers anything by itself."""
    client = socket.create_connection(("127.0.0.1", chatd.port), timeout=ANSWER_SECONDS)
    client.sendall(UPGRADE)
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += client.recv(1)
    assert head.startswith(b"HTTP/1.1 101 ")
    return client


def close_code(client: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as closed:
        client.recv(timeout=ANSWER_SECONDS)
    return closed.value.rcvd.code if closed.value.rcvd else None


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
