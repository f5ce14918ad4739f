"""The abuser's connections: plain sockets, which do what no WebSocket library would do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct

from chaos.frames import HANDSHAKE, TEXT, masked

RECEIVE_BYTES = 262144
SMALL_WINDOW = 4096  # bytes that the kernel takes for one who does not read
PATIENCE_S = 20.0


class Client:
    """One connection. What it does not read stays in the kernel."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock

    @staticmethod
    async def tcp(port: int, window: int | None = None) -> Client:
        sock = socket.socket()
        sock.setblocking(False)
        if window is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        return Client(sock)

    @staticmethod
    async def open(port: int, window: int | None = None) -> Client:
        """Upgraded. ConnectionError, with the answer, if the server refuses."""
        client = await Client.tcp(port, window)
        try:
            await client.send(HANDSHAKE)
            head = await client.answer()
            if not head.startswith(b"HTTP/1.1 101 "):
                raise ConnectionRefusedError(head.split(b"\r\n")[0].decode() or "it ends TCP")
        except BaseException:
            client.close()
            raise
        return client

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.socket, data)

    async def receive(self) -> bytes:
        """Empty at the end, whichever way the server ended it."""
        try:
            return await asyncio.get_running_loop().sock_recv(self.socket, RECEIVE_BYTES)
        except ConnectionError:
            return b""

    async def until_said(self, text: bytes, n: int = 1) -> None:
        """Read until the server has said this n times."""
        rest = b""
        async with asyncio.timeout(PATIENCE_S):
            while n > 0:
                data = await self.receive()
                if not data:
                    raise ConnectionError("the server ended the connection")
                rest += data
                n -= rest.count(text)
                rest = rest[-len(text) + 1 :]

    async def answer(self) -> bytes:
        """The head of an HTTP answer; byte by byte, for what is behind it may be frames."""
        head = b""
        async with asyncio.timeout(PATIENCE_S):
            while not head.endswith(b"\r\n\r\n"):
                byte = await asyncio.get_running_loop().sock_recv(self.socket, 1)
                if not byte:
                    break
                head += byte
        return head

    async def sign(self, uid: str) -> None:
        await self.send(frame(type="sign", uid=uid))
        await self.until_said(b'"status":1')

    def close(self) -> None:
        """By RST: nothing waits for anything."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


def frame(**request: object) -> bytes:
    return masked(TEXT, json.dumps(request, separators=(",", ":")).encode())
