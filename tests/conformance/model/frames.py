"""RFC 6455 for a server, over asyncio's streams: the handshake, frames in, frames out. SPEC 2.

By hand and not by a library, because a library could not be made to break the rules that the suite checks.
"""

import asyncio
import base64
import binascii
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from .faults import fault

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_OPCODES = frozenset((CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG))
_HEAD_BYTES_MAX = 16384
_CONTROL_BYTES_MAX = 125
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Violation(Exception):
    """The peer broke RFC 6455 or a limit; 'code' is the one to close with."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Frame:
    final: bool
    opcode: int
    payload: bytes

    @property
    def is_control(self) -> bool:
        return self.opcode >= CLOSE


async def accept_handshake(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Answer the HTTP request. False: it was refused, and the answer is written."""
    head = await _read_head(reader)
    key = _key_of(head)
    if key is None:
        writer.write(
            b"HTTP/1.1 400 Bad Request\r\nSec-WebSocket-Version: 13\r\n"
            b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        )
        return False
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())
    # [WS-3] Nothing is offered back: this server knows neither subprotocols nor extensions.
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    return True


async def _read_head(reader: asyncio.StreamReader) -> list[bytes]:
    """The lines of the HTTP head; none if it is too long or breaks off."""
    lines: list[bytes] = []
    size = 0
    while size < _HEAD_BYTES_MAX:
        try:
            line = await reader.readline()
        except ValueError:  # longer than the stream's own limit
            return []
        if not line.endswith(b"\n"):
            return []
        if not line.strip():
            return lines
        size += len(line)
        lines.append(line.strip())
    return []


def _key_of(head: list[bytes]) -> bytes | None:
    """The client's key if the head is a complete WebSocket handshake. [WS-1], [WS-4]"""
    if not head or not head[0].startswith(b"GET ") or not head[0].endswith(b" HTTP/1.1"):
        return None
    headers: dict[bytes, bytes] = {}
    for line in head[1:]:
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        headers[name] = headers[name] + b"," + value.strip() if name in headers else value.strip()
    key = headers.get(b"sec-websocket-key", b"")
    wanted = (
        b"host" in headers,
        b"websocket" in _tokens(headers.get(b"upgrade", b"")),
        b"upgrade" in _tokens(headers.get(b"connection", b"")),
        headers.get(b"sec-websocket-version") == b"13",
        _is_key(key),
    )
    return key if all(wanted) else None


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip().lower() for token in value.split(b",")]


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


async def read_frames(reader: asyncio.StreamReader, message_max: int) -> AsyncIterator[Frame]:
    """Whole messages (fragments put together, text checked for UTF-8) and control frames, to a close frame.

    Raises Violation for what breaks the rules, and OSError or IncompleteReadError when TCP breaks.
    """
    opcode = CONTINUATION  # of the message whose fragments are being collected; CONTINUATION: there is none
    parts = bytearray()
    while True:
        frame = await _read_frame(reader, message_max - len(parts))
        if frame.is_control:
            yield frame
            if frame.opcode == CLOSE:
                return
            continue
        if (frame.opcode == CONTINUATION) != (opcode != CONTINUATION):
            raise Violation(1002)
        opcode = frame.opcode or opcode
        parts += frame.payload
        if frame.final:
            yield Frame(True, opcode, _checked(opcode, bytes(parts)))
            opcode, parts = CONTINUATION, bytearray()


def _checked(opcode: int, payload: bytes) -> bytes:
    if opcode == TEXT and not is_utf8(payload):
        raise Violation(1007)
    return payload


async def _read_frame(reader: asyncio.StreamReader, payload_max: int) -> Frame:
    first, second = await reader.readexactly(2)
    final, reserved, opcode = bool(first & 0x80), first & 0x70, first & 0x0F
    masked, size = bool(second & 0x80), second & 0x7F
    if reserved or opcode not in _OPCODES or not masked:
        raise Violation(1002)
    if opcode >= CLOSE and (not final or size > _CONTROL_BYTES_MAX):
        raise Violation(1002)
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
    if opcode < CLOSE and size > payload_max:
        raise Violation(1009)
    mask = await reader.readexactly(4)
    frame = Frame(final, opcode, _unmask(await reader.readexactly(size), mask))
    if opcode == CLOSE:
        _check_close(frame.payload)
    return frame


def _unmask(payload: bytes, mask: bytes) -> bytes:
    """Exclusive or of the whole payload at once, as two long numbers."""
    size = len(payload)
    stream = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")


def _check_close(payload: bytes) -> None:
    if not payload:
        return
    code = int.from_bytes(payload[:2], "big")
    is_code = (1000 <= code <= 1014 and code not in (1004, 1005, 1006)) or 3000 <= code <= 4999
    if len(payload) == 1 or not is_code:
        raise Violation(1002)
    if not is_utf8(payload[2:]):
        raise Violation(1007)


def is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def encode_frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size <= 125:
        length = bytes((size,))
    elif size <= 0xFFFF:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes((0x80 | opcode,)) + length + payload
