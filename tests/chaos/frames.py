"""WebSocket frames as a client writes and reads them: enough of RFC 6455 for a server of ours, and fast."""

from __future__ import annotations

from collections.abc import Iterator

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def masked(opcode: int, payload: bytes) -> bytes:
    """A client's frame. Its mask is zero, so the payload stands as it is."""
    if len(payload) < 126:
        return bytes((0x80 | opcode, 0x80 | len(payload), 0, 0, 0, 0)) + payload
    return bytes((0x80 | opcode, 0xFE)) + len(payload).to_bytes(2, "big") + bytes(4) + payload


def unmasked(opcode: int, payload: bytes) -> bytes:
    """A server's frame."""
    if len(payload) < 126:
        return bytes((0x80 | opcode, len(payload))) + payload
    return bytes((0x80 | opcode, 126)) + len(payload).to_bytes(2, "big") + payload


class Reader:
    """Takes a server's bytes as they come and gives its frames. No fragments: chatd sends none."""

    def __init__(self) -> None:
        self._received = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[tuple[int, bytes]]:
        """Opcode and payload of every frame that is complete now."""
        received = self._received
        received += data
        at = 0
        while True:
            head = at + 2
            if len(received) < head:
                break
            size = received[at + 1]
            if size == 126:
                head += 2
                size = int.from_bytes(received[at + 2 : head], "big")
            elif size == 127:
                head += 8
                size = int.from_bytes(received[at + 2 : head], "big")
            if len(received) < head + size:
                break
            opcode = received[at] & 0x0F
            at = head + size
            yield opcode, bytes(received[head:at])
        del received[:at]
