"""RFC 6455 for a server, over asyncio's streams: the handshake, frames in, frames out. SPEC 2.

By hand and not by a library, because a library could not be made to break the rules that the suite checks.
"""

import asyncio
import base64
import binascii
import hashlib
import os
from collections.abc import AsyncIterator, Callable
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


class NotUtf8(Violation):
    """A text message is not UTF-8."""

    def __init__(self, payload: bytes) -> None:
        super().__init__(1002 if fault("utf8-close-1002") else 1007)
        self.payload = payload


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
    digest = hashlib.sha1(key + _GUID)
    accept = base64.b64encode(digest.digest())
    if fault("wrong-accept-key"):
        accept = digest.hexdigest().encode()
    # [WS-3] Nothing is offered back: this server knows neither subprotocols nor extensions.
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n" + _uninvited(head) + b"\r\n"
    )
    return True


def _uninvited(head: list[bytes]) -> bytes:
    """Nothing, but for faults."""
    offered = _headers_of(head).get(b"sec-websocket-protocol", b"")
    if fault("subprotocol-uninvited"):
        return b"Sec-WebSocket-Protocol: chat\r\n"
    if fault("extension-uninvited"):
        return b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
    if fault("unknown-subprotocol-selected") and offered:
        return b"Sec-WebSocket-Protocol: " + _tokens(offered)[0] + b"\r\n"
    return b""


async def _read_head(reader: asyncio.StreamReader) -> list[bytes]:
    """The lines of the HTTP head; none if it is too long or breaks off."""
    lines: list[bytes] = []
    size = 0
    while size < (1024 if fault("headers-past-1k-refused") else _HEAD_BYTES_MAX):
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
    headers = _headers_of(head)
    if _refused_by_fault(head, headers):
        return None
    key = headers.get(b"sec-websocket-key", b"")
    wanted = (
        b"host" in headers,
        b"websocket" in _tokens(headers.get(b"upgrade", b"")),
        b"upgrade" in _tokens(headers.get(b"connection", b"")),
        _is_version(headers.get(b"sec-websocket-version")),
        _is_key(key) or fault("key-ignored"),
    )
    return key if all(wanted) else None


def _is_version(version: bytes | None) -> bool:
    """13, or 8, which is the same on the wire. [WS-4]"""
    if fault("version-ignored"):
        return True
    if version is None:
        return fault("version-absent-accepted")
    if fault("versions-to-13-accepted") and version.isdigit():
        return int(version) <= 13
    return version in (b"13", b"8")


def _headers_of(head: list[bytes]) -> dict[bytes, bytes]:
    """Name in lower case -> value; the values of a repeated name are joined by commas."""
    headers: dict[bytes, bytes] = {}
    for line in head[1:]:
        name, _, value = line.partition(b":")
        name = name.strip().lower()
        headers[name] = headers[name] + b"," + value.strip() if name in headers else value.strip()
    return headers


def _refused_by_fault(head: list[bytes], headers: dict[bytes, bytes]) -> bool:
    if fault("header-case-matters"):
        return b"Upgrade: websocket" not in head or b"Connection: Upgrade" not in head
    if fault("connection-list-refused"):
        return headers.get(b"connection", b"").lower() != b"upgrade"
    if fault("subprotocol-required"):
        return b"sec-websocket-protocol" not in headers
    return fault("unknown-subprotocol-refused") and b"sec-websocket-protocol" in headers


def _tokens(value: bytes) -> list[bytes]:
    return [token.strip().lower() for token in value.split(b",")]


def _is_key(key: bytes) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except binascii.Error:
        return False


def buffered(reader: asyncio.StreamReader) -> int:
    """Bytes that have arrived and were not read yet."""
    return len(reader._buffer)  # type: ignore[attr-defined]


async def read_frames(
    reader: asyncio.StreamReader,
    message_max: int,
    checks_close: bool = True,
    message_timeout: float | None = None,
) -> AsyncIterator[Frame]:
    """Whole messages (fragments put together, text checked for UTF-8) and control frames, to a close frame.

    Raises Violation for what breaks the rules, and OSError or IncompleteReadError when TCP breaks.
    """
    opcode = CONTINUATION  # of the message whose fragments are being collected; CONTINUATION: there is none
    parts = _no_parts()
    n_fragments = 0
    until: float | None = None  # when the message has to be whole
    if fault("unfinished-stays"):
        message_timeout = None
    if fault("message-max-65535"):
        message_max = 65535
    if fault("message-max-32768"):
        message_max = 32768
    if fault("too-long-by-one-accepted"):
        message_max += 1
    closed = False

    def begun() -> None:
        nonlocal until
        if until is None and message_timeout is not None and not fault("unfinished-header-stays"):
            until = asyncio.get_running_loop().time() + message_timeout
            clock.reschedule(until)

    while not (closed and buffered(reader) == 0):
        if opcode == CONTINUATION:
            until = None
        try:
            room = message_max - (0 if fault("limit-for-each-fragment") else len(parts))
            async with asyncio.timeout_at(until) as clock:
                frame = await _read_frame(reader, _room_by_fault(opcode, room), begun)
            if checks_close and frame.opcode == CLOSE:
                _check_close(frame.payload)
        except TimeoutError:
            raise Violation(1011 if fault("unfinished-1011") else 1008) from None
        except Violation as violation:
            if fault("too-long-processed") and violation.code == 1009 and parts:
                yield Frame(True, opcode, bytes(parts))
            raise
        if frame.is_control:
            if opcode != CONTINUATION and frame.opcode == PING:
                if fault("pong-not-between-fragments"):
                    continue
                if fault("ping-ends-fragments"):
                    opcode, parts = CONTINUATION, bytearray()
            if opcode != CONTINUATION and frame.opcode == PONG and fault("pong-ends-fragments"):
                parts = bytearray()
            if _is_known(frame.opcode):
                yield frame
            if frame.opcode == CLOSE:
                if not fault("requests-behind-close-taken"):
                    return
                closed = True
            continue
        if not _is_known(frame.opcode):
            continue
        if fault("fragments-are-messages"):
            yield Frame(True, frame.opcode or TEXT, frame.payload)
            continue
        if fault("interleaved-accepted") and frame.opcode != CONTINUATION:
            opcode, parts = CONTINUATION, bytearray()
        if fault("empty-beginning-forgotten") and frame.opcode != CONTINUATION and not parts:
            opcode = CONTINUATION
        if (frame.opcode == CONTINUATION) != (opcode != CONTINUATION):
            if fault("stray-continuation-ignored") and frame.opcode == CONTINUATION:
                continue
            raise Violation(1002)
        opcode = frame.opcode or opcode
        if message_timeout is not None and (
            (frame.opcode != CONTINUATION and until is None) or fault("unfinished-fragments-stay")
        ):
            until = asyncio.get_running_loop().time() + message_timeout
        n_fragments = n_fragments + 1 if frame.opcode == CONTINUATION else 1
        if fault("utf8-checked-per-fragment"):
            _checked(opcode, frame.payload)
        if not (fault("last-fragment-lost") and frame.final and n_fragments >= 3):
            parts += frame.payload
        if frame.final or (fault("empty-fragment-ends") and not frame.payload):
            if fault("limit-in-characters") and len(parts.decode(errors="ignore")) > message_max:
                raise Violation(1009)
            if fault("binary-in-fragments-as-text") and n_fragments > 1:
                opcode = TEXT
            yield Frame(True, opcode, _checked(opcode, bytes(parts)))
            opcode, parts = CONTINUATION, _no_parts()


_everybodys_parts = bytearray()  # by fault


def _no_parts() -> bytearray:
    """Where the fragments of the next message are collected."""
    if fault("fragments-mixed"):
        _everybodys_parts.clear()
        return _everybodys_parts
    return bytearray()


def _room_by_fault(opcode: int, room: int) -> int:
    """How long a frame may be."""
    if fault("limit-in-characters") or (fault("limit-of-text-only") and opcode == BINARY):
        return 1 << 30
    return room


def _checked(opcode: int, payload: bytes) -> bytes:
    if opcode == TEXT and not is_utf8(payload):
        if fault("utf8-replaced"):
            return payload.decode(errors="replace").encode()
        if fault("utf8-illegal"):
            return b"not UTF-8"
        if fault("utf8-first-kib-checked") and is_utf8(payload[:1024]):
            return payload.decode(errors="replace").encode()
        if fault("utf8-surrogates-accepted") and _is_utf8_with_surrogates(payload):
            return payload.decode(errors="replace").encode()
        raise NotUtf8(payload)
    return payload


async def _read_frame(reader: asyncio.StreamReader, payload_max: int, begun: Callable[[], None]) -> Frame:
    first = ord(await reader.readexactly(1))
    begun()
    second = ord(await reader.readexactly(1))
    final, reserved, opcode = bool(first & 0x80), first & 0x70, first & 0x0F
    masked, size = bool(second & 0x80), second & 0x7F
    if fault("reserved-bits-accepted") or (fault("reserved-bit-3-accepted") and reserved == 0x10):
        reserved = 0
    if reserved or not (_is_known(opcode) or _is_ignored_by_fault(opcode)):
        raise Violation(1002)
    if not masked and not fault("unmasked-accepted"):
        raise Violation(1002)
    if opcode >= CLOSE and not final and not fault("fragmented-ping-accepted"):
        raise Violation(1002)
    if opcode >= CLOSE and size > _CONTROL_BYTES_MAX and not fault("long-ping-accepted"):
        raise Violation(1002)
    if size == 126:
        size = int.from_bytes(await reader.readexactly(2), "big")
    elif size == 127:
        size = int.from_bytes(await reader.readexactly(8), "big")
        if fault("length-of-32-bits"):
            size &= 0xFFFFFFFF
        if fault("huge-length-ends-server") and size >= 1 << 40:
            os._exit(134)
    if fault("limit-of-text-only") and opcode == BINARY:
        payload_max = 1 << 30
    if opcode < CLOSE and size > payload_max:
        raise Violation(1009)
    mask = await reader.readexactly(4) if masked else bytes(4)
    return Frame(final, opcode, _unmask(await reader.readexactly(size), mask))


def _is_known(opcode: int) -> bool:
    return opcode in _OPCODES


def _is_ignored_by_fault(opcode: int) -> bool:
    if 3 <= opcode <= 7:
        return fault("opcode-3-ignored")
    return opcode >= 11 and fault("opcode-11-ignored")


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


def _is_utf8_with_surrogates(payload: bytes) -> bool:
    try:
        payload.decode(errors="surrogatepass")
    except UnicodeDecodeError:
        return False
    return True


def is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def encode_frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size <= (126 if fault("frame-of-126-short") else 125):
        length = bytes((size,))
    elif size <= 0xFFFF or (fault("frame-of-65536-short") and size == 0x10000):
        size &= 0xFFFF
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes((0x80 | opcode,)) + length + payload
