"""RawClient: a socket and RFC 6455 by hand, for what a well-behaved client cannot do.

Any handshake, frames with any header, resets, half-closed and unread connections. Nothing happens behind
the test's back but pongs to the server's pings while the test reads.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
import struct
import time
from dataclasses import dataclass

from chatcheck.address import Address
from chatcheck.conversation import A_MESSAGE, Conversation, NothingCame
from chatcheck.timing import came_after, came_not, deadline
from chatcheck.transcript import DEFAULT_MASK, Act, Transcript, show_bytes, show_close
from chatcheck.verdict import Mismatch

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_NAMES = {CONT: "continuation", TEXT: "text", BINARY: "binary", CLOSE: "close", PING: "ping", PONG: "pong"}
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_MESSAGE_SIZE_MAX = 1 << 26


@dataclass(frozen=True)
class Frame:
    """A frame that the server sent."""

    opcode: int
    payload: bytes
    fin: bool = True
    rsv: int = 0

    @property
    def close_code(self) -> int | None:
        """The code of a close frame; None without one."""
        return struct.unpack("!H", self.payload[:2])[0] if len(self.payload) >= 2 else None

    def __str__(self) -> str:
        if self.opcode == CLOSE:
            return show_close(self.close_code, self.payload[2:])
        word = "" if self.opcode == TEXT else _NAMES.get(self.opcode, f"opcode {self.opcode:#x}") + " "
        return word + show_bytes(self.payload) + ("" if self.fin else " … (fragment)")


@dataclass(frozen=True)
class Response:
    """The head of the server's answer to a handshake."""

    status: int
    headers: dict[str, str]  # names in lower case; values of repeated headers joined by ", "


def build_frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = DEFAULT_MASK,
    length_bits: int | None = None,
) -> bytes:
    """The bytes of a frame. `mask=None`: without a mask. `length_bits` 7, 16 or 64: that form of the length,
    also where it is not the shortest."""
    size = len(payload)
    if length_bits is None:
        length_bits = 7 if size < 126 else 16 if size < 65536 else 64
    masked = 0 if mask is None else 0x80
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    if length_bits == 7:
        head = struct.pack("!BB", first, masked | size)
    elif length_bits == 16:
        head = struct.pack("!BBH", first, masked | 126, size)
    else:
        head = struct.pack("!BBQ", first, masked | 127, size)
    return head + (payload if mask is None else mask + apply_mask(payload, mask))


def apply_mask(payload: bytes, mask: bytes) -> bytes:
    """Mask a payload, or take its mask off."""
    size = len(payload)
    key = mask * (size // 4 + 1)
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key[:size], "big")).to_bytes(size, "big")


def upgrade_request(address: Address, path: str = "/", /, **headers: str | None) -> bytes:
    """The bytes of a handshake. Keywords replace or add headers (`_` stands for `-`); None leaves one out."""
    lines: dict[str, str | None] = {
        "Host": address.host_header,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": base64.b64encode(secrets.token_bytes(16)).decode(),
        "Sec-WebSocket-Version": "13",
        "Authorization": address.authorization,
    }
    names = {name.lower(): name for name in lines}
    for word, value in headers.items():
        name = word.replace("_", "-")
        lines[names.get(name.lower(), name)] = value
    head = [f"GET {address.request_target(path)} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in lines.items() if value is not None]
    return ("\r\n".join(head) + "\r\n\r\n").encode()


def accept_for(request: bytes) -> str | None:
    """The Sec-WebSocket-Accept that belongs to a handshake's Sec-WebSocket-Key."""
    for line in request.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "sec-websocket-key":
            digest = hashlib.sha1((value.strip() + _GUID).encode()).digest()
            return base64.b64encode(digest).decode()
    return None


class RawClient(Conversation):
    """One TCP connection, named like a Client's; made by Server.raw()."""

    def __init__(
        self,
        address: Address,
        transcript: Transcript,
        *,
        handshake: bool = True,
        receive_buffer: int | None = None,
    ) -> None:
        self.name = transcript.new_connection()
        self.address = address
        self.answers_pings = True
        self.own_words = transcript.own_words
        self._transcript = transcript
        self._received = bytearray()
        self._begun: Frame | None = None  # the fragments of a message so far
        self._channel = address.connect(receive_buffer)
        self.local_port = self._channel.local_port
        self._log(f" connects (raw) from port {self.local_port}", Act("tcp", port=self.local_port))
        if handshake:
            try:
                self.shake_hands()
            except BaseException:  # nobody else knows of it yet
                self.release()
                raise

    def __repr__(self) -> str:
        return f"<raw client {self.name}>"

    # Sending

    def send_raw(self, data: bytes, what: str = "") -> None:
        """Send bytes as they are; `what` says in the transcript what they are."""
        recorded = self.address.without_secrets(data)
        self._log(f"> raw: {what or show_bytes(recorded)}", Act("raw", recorded))
        self._write(data)

    def send_bytewise(self, data: bytes) -> None:
        """Send bytes one by one."""
        recorded = self.address.without_secrets(data)
        self._log(f"> raw, byte by byte: {show_bytes(recorded)}", Act("bytewise", recorded))
        for i in range(len(data)):
            self._write(data[i : i + 1])

    def send_frame(
        self,
        opcode: int,
        payload: bytes = b"",
        *,
        fin: bool = True,
        rsv: int = 0,
        mask: bytes | None = DEFAULT_MASK,
        length_bits: int | None = None,
    ) -> None:
        """Send one frame; arguments as build_frame's."""
        odd = f" rsv {rsv:03b}" * (rsv != 0) + " without a mask" * (mask is None)
        odd += f" with a length of {length_bits} bits" * (length_bits is not None)
        frame = Frame(opcode, payload, fin, rsv)
        self._log(f"> {frame}{odd}", _act(frame, mask, length_bits))
        self._write(build_frame(opcode, payload, fin=fin, rsv=rsv, mask=mask, length_bits=length_bits))

    def send_text(self, text: str) -> None:
        self.send_frame(TEXT, text.encode())

    def send_close(self, code: int | None, reason: bytes = b"") -> None:
        """Send a close frame; code None: with an empty payload."""
        self.send_frame(CLOSE, b"" if code is None else struct.pack("!H", code) + reason)

    def half_close(self) -> None:
        """Send the end of TCP (FIN), and go on reading; in TLS its close_notify before."""
        self._log("> (end of TCP)", Act("end"))
        try:
            self._channel.finish()
        except OSError as error:  # the server was first
            self._log(f"> (not sent: {error.strerror})")

    def abort(self) -> None:
        """End TCP by a reset, as when the client's process dies."""
        self._log("> (TCP reset)", Act("reset"))
        self._channel.reset()

    def release(self) -> None:
        """Give up the connection; tests need not call it."""
        self._channel.close()

    # Receiving

    def shake_hands(self, path: str = "/", /, **headers: str | None) -> Response:
        """Do the handshake; fails if it is not accepted. Arguments as upgrade_request's."""
        __tracebackhide__ = True
        return self.shake_hands_with(upgrade_request(self.address, path, **headers))

    def shake_hands_with(self, request: bytes) -> Response:
        """Send this handshake in one piece; fails if it is not accepted."""
        __tracebackhide__ = True
        self.send_raw(request)
        return self.expect_accepted(request)

    def expect_accepted(self, request: bytes) -> Response:
        """Read the response to this request, which must accept it as RFC 6455 describes."""
        __tracebackhide__ = True
        wanted = "HTTP 101 with the right Sec-WebSocket-Accept"
        response = self.recv_response()
        if response is None:
            raise Mismatch(wanted, "the end of TCP")
        headers = response.headers
        good = (
            response.status == 101
            and headers.get("upgrade", "").lower() == "websocket"
            and "upgrade" in [word.strip().lower() for word in headers.get("connection", "").split(",")]
            and headers.get("sec-websocket-accept") == accept_for(request)
        )
        if not good:
            raise Mismatch(wanted, f"HTTP {response.status} with {headers}")
        return response

    def recv_response(self) -> Response | None:
        """The head of the next HTTP response; None at the end of TCP before it."""
        __tracebackhide__ = True
        until = deadline()
        while b"\r\n\r\n" not in self._received:
            if not self._receive(until, "an HTTP response"):
                return None
        head, _, rest = bytes(self._received).partition(b"\r\n\r\n")
        self._received = bytearray(rest)
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split()
        status = int(words[1]) if len(words) > 1 and words[1].isdigit() else None
        self._log(f"< {first}", Act("http", code=status))
        headers: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            name, value = name.strip().lower(), value.strip()
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if status is None:
            raise Mismatch("an HTTP response", first)
        return Response(status, headers)

    def recv_frame(self, wanted: str = "a frame", until: float | None = None) -> Frame | None:
        """The next frame, whatever it is; None at the end of TCP. `until`: a moment that deadline() gave."""
        __tracebackhide__ = True
        until = until if until is not None else deadline()
        while (size := _frame_size(self._received)) is None:
            if not self._receive(until, wanted):
                return None
        data = bytes(self._received[:size])
        del self._received[:size]
        frame = _parse_frame(data)
        self._log(f"< {frame}", _act(frame))
        return frame

    def recv_whole(self, wanted: str = "a message", until: float | None = None) -> Frame | None:
        """The next message, its fragments put together, or the next control frame, which may stand between
        them; None at the end of TCP."""
        __tracebackhide__ = True
        while True:
            frame = self.recv_frame(wanted, until)
            if frame is None or frame.opcode >= CLOSE:
                return frame
            begun = self._begun
            if (frame.opcode == CONT) != (begun is not None):
                raise Mismatch("fragments in their order", f"{frame} on {self.name}")
            if begun is not None:
                frame = Frame(begun.opcode, begun.payload + frame.payload, frame.fin)
            self._begun = None if frame.fin else frame
            if frame.fin:
                return frame

    def recv_text(self) -> str:
        __tracebackhide__ = True
        frame = self._next_but_pings_and_pongs("a message", whole=True)
        if frame is None or frame.opcode == CLOSE:
            raise Mismatch(A_MESSAGE, f"{frame or 'the end of TCP'} on {self.name}")
        if frame.opcode != TEXT:
            raise Mismatch("a text message", f"{frame} on {self.name}")
        payload = frame.payload
        try:
            return payload.decode()
        except UnicodeDecodeError:
            raise Mismatch("a message in UTF-8", show_bytes(payload)) from None

    def expect_pong(self, payload: bytes) -> None:
        """The next frame but pings and other pongs, which RFC 6455 allows at any time, must be this pong."""
        __tracebackhide__ = True
        until, wanted, others = deadline(), Frame(PONG, payload), list[Frame]()
        whole = self.own_words.sets_aside  # or a foreign broadcast could not be told by its fragments
        try:
            while (frame := self._next_but_pings(str(wanted), whole=whole, until=until)) != wanted:
                if frame is None or frame.opcode != PONG:
                    raise Mismatch(f"{wanted} on {self.name}", str(frame or "the end of TCP"))
                others.append(frame)
        except NothingCame:
            if others:
                raise Mismatch(f"{wanted} on {self.name}", ", ".join(map(str, others))) from None
            raise

    def ping(self, payload: bytes = b"") -> None:
        __tracebackhide__ = True
        self.send_frame(PING, payload)
        self.expect_pong(payload)

    def expect_closed(self, code: int | None) -> None:
        """The next frame but pings and pongs must be close with this code (None: without); then TCP ends."""
        __tracebackhide__ = True
        frame = self._next_but_pings_and_pongs(show_close(code), whole=self.own_words.sets_aside)
        if frame is None or frame.opcode != CLOSE or frame.close_code != code:
            raise Mismatch(f"{show_close(code)} on {self.name}", str(frame or "the end of TCP"))
        with contextlib.suppress(OSError):  # we may have closed first, or TCP may have ended with the frame
            self._channel.send(build_frame(CLOSE, frame.payload))
        self.expect_end()

    def expect_end(self) -> None:
        """TCP must end, with nothing before."""
        __tracebackhide__ = True
        frame = self.recv_frame("the end of TCP")
        if frame is not None:
            raise Mismatch(f"the end of TCP on {self.name}", str(frame))

    def _next_but_pings_and_pongs(self, wanted: str, *, whole: bool = False) -> Frame | None:
        __tracebackhide__ = True
        until = deadline()
        while True:
            frame = self._next_but_pings(wanted, whole=whole, until=until)
            if frame is None or frame.opcode != PONG:
                return frame

    def _next_but_pings(self, wanted: str, *, whole: bool = False, until: float) -> Frame | None:
        """Nor the broadcasts of others."""
        __tracebackhide__ = True
        recv = self.recv_whole if whole else self.recv_frame
        while True:
            frame = recv(wanted, until)
            if frame is not None and self._is_foreign(frame):
                continue
            if frame is None or frame.opcode != PING:
                return frame
            if self.answers_pings:
                self.send_frame(PONG, frame.payload)

    def _is_foreign(self, frame: Frame) -> bool:
        text = frame.payload.decode("utf-8", "replace")
        return frame.opcode == TEXT and frame.fin and self.own_words.is_foreign(text)

    def _receive(self, until: float, wanted: str) -> bool:
        """Read some bytes; False at the end of TCP."""
        __tracebackhide__ = True
        began = time.monotonic()
        try:
            while (data := self._receive_once(until)) is None:
                pass
        except TimeoutError:
            self._log(" nothing more comes", Act("silence"))
            came_not()
            raise NothingCame(f"{wanted} on {self.name}", "nothing within the time limit") from None
        except OSError as error:
            self._log(f"< (TCP broke: {error.strerror})", Act("reset"))
            return False
        came_after(time.monotonic() - began)
        if not data:
            self._log("< (end of TCP)", Act("end"))
        self._received += data
        return bool(data)

    def _receive_once(self, until: float) -> bytes | None:
        self._channel.settimeout(max(until - time.monotonic(), 0.001))
        return self._channel.receive()

    def _write(self, data: bytes) -> None:
        """Send bytes. A server may end the connection before it has read all: what it said is read later."""
        until = deadline()
        self._channel.settimeout(max(until - time.monotonic(), 0.001))
        try:
            self._channel.send(data)
        except TimeoutError:
            raise NothingCame(f"that the server reads from {self.name}", "nothing was read in time") from None
        except OSError as error:
            self._log(f"> (not all sent: {error.strerror})")

    def send_what_fits(self, data: bytes, patience: float = 0.1) -> None:
        """Send bytes until the server, which is not read, takes no more for a moment.

        What is left is dropped, so the connection is good for nothing afterwards.
        """
        self._channel.settimeout(patience)
        try:
            self._channel.send(data)
            self._log(f"> {len(data)} bytes of requests", Act("flood", data))
        except OSError as error:
            self._log(f"> up to {len(data)} bytes of requests ({error})", Act("flood", data))

    def _log(self, event: str, act: Act | None = None) -> None:
        self._transcript.add(self.name, event, act)


def _act(frame: Frame, mask: bytes | None = DEFAULT_MASK, length_bits: int | None = None) -> Act:
    kind = _NAMES.get(frame.opcode, f"opcode {frame.opcode:#x}")
    code = frame.close_code if frame.opcode == CLOSE else None
    return Act(kind, frame.payload, frame.opcode, frame.fin, frame.rsv, mask, length_bits, code=code)


def _frame_size(data: bytearray) -> int | None:
    """How many bytes the first frame has, header included; None if they are not all here yet."""
    if len(data) < 2:
        return None
    size, head = data[1] & 0x7F, 2
    if size >= 126:
        width = 2 if size == 126 else 8
        head += width
        if len(data) < head:
            return None
        size = int.from_bytes(data[2:head], "big")
    if data[1] & 0x80:
        head += 4
    if size > _MESSAGE_SIZE_MAX:
        raise Mismatch("a frame of moderate size", f"a frame of {size} bytes")
    return head + size if len(data) >= head + size else None


def _parse_frame(data: bytes) -> Frame:
    if data[1] & 0x80:
        raise Mismatch("frames without a mask from the server", f"a frame with one: {show_bytes(data)}")
    head = {126: 4, 127: 10}.get(data[1] & 0x7F, 2)
    frame = Frame(data[0] & 0x0F, data[head:], fin=bool(data[0] & 0x80), rsv=data[0] >> 4 & 0x07)
    if frame.rsv or frame.opcode not in _NAMES:
        raise Mismatch("a frame without reserved bits and opcodes", f"rsv {frame.rsv:03b}, {frame}")
    return frame
