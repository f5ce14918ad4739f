"""Client: a well-behaved WebSocket client. Tests call it from top to bottom; a thread reads behind it.

The protocol work (handshake, frames, closing) is the `websockets` library's; what is here moves bytes,
records every frame in the transcript, and answers pings while a test is busy elsewhere.
"""

from __future__ import annotations

import contextlib
import queue
import re
import selectors
import socket
import threading
import time
from collections import deque

from websockets.client import ClientProtocol
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import WebSocketURI

from chatcheck.address import Address
from chatcheck.conversation import A_MESSAGE, Conversation, NothingCame
from chatcheck.timing import AT_ONCE_SECONDS, at_once, came_after, came_not, deadline, scaled
from chatcheck.transcript import Act, Transcript, show_bytes, show_close
from chatcheck.verdict import Mismatch

_MESSAGE_SIZE_MAX = 1 << 26
_ID = re.compile(rb"[0-9]+-[0-9]+")
NO_CLOSE_FRAME = 1006
NO_CODE = 1005


class _Protocol(ClientProtocol):
    """The library's, but that it can leave pings unanswered that have the id of a message.

    Others only ask whether the peer still lives (WS-10).
    """

    withholds_pongs = False

    def send_frame(self, frame: Frame) -> None:
        is_kept = self.withholds_pongs and frame.opcode is Opcode.PONG and _ID.fullmatch(bytes(frame.data))
        if not is_kept:
            super().send_frame(frame)


class HandshakeFailed(Mismatch):
    """The server did not upgrade the connection as RFC 6455 asks."""


class Client(Conversation):
    """One connection, named A, B, … in the transcript; made by Server.connect()."""

    def __init__(
        self, address: Address, transcript: Transcript, path: str = "/", subprotocols: tuple[str, ...] = ()
    ) -> None:
        self.name = transcript.new_connection()
        self.own_words = transcript.own_words
        self._transcript = transcript
        self._messages: queue.SimpleQueue[str | Mismatch | None] = queue.SimpleQueue()
        self._pongs: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._pings: list[bytes] = []
        self._pinged = threading.Condition()
        self._fragments: list[bytes] = []
        self._binary = False
        self._response: Response | None = None
        self._shaken = threading.Event()
        self._stopping = False
        self._protocol_lock = threading.Lock()  # keeps frames in order
        self._send_lock = threading.Lock()  # whose turn it is to write to the socket
        self._outgoing: deque[bytes] = deque()
        self._channel = address.connect()
        self._channel.settimeout(None)
        self.local_port = self._channel.local_port
        self._wake_reader, self._woken = socket.socketpair()
        self._protocol = _Protocol(
            _uri(address, path),
            subprotocols=[Subprotocol(name) for name in subprotocols] or None,
            max_size=_MESSAGE_SIZE_MAX,
        )
        self._log(
            f" connects to {path} from port {self.local_port}",
            Act("connect", path.encode(), subprotocols=subprotocols, port=self.local_port),
        )
        self._reader = threading.Thread(target=self._read, daemon=True, name=f"chatcheck {self.name}")
        self._reader.start()
        try:
            self._shake_hands(address)
        except BaseException:  # nobody else knows of it yet, not even when the test's time is over just now
            self.release()
            raise

    def __repr__(self) -> str:
        return f"<client {self.name}>"

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server selected."""
        return self._protocol.subprotocol

    @property
    def response_headers(self) -> dict[str, str]:
        """The headers of the server's handshake, names in lower case."""
        assert self._response is not None
        return {name.lower(): value for name, value in self._response.headers.raw_items()}

    @property
    def close_code(self) -> int | None:
        """The code of the server's close frame; 1005: without a code, 1006: no frame, None: still open."""
        return self._protocol.close_code

    def send_text(self, text: str) -> None:
        self._send_frame(Opcode.TEXT, text.encode())

    def send_bytes(self, data: bytes) -> None:
        """Send a binary message."""
        self._send_frame(Opcode.BINARY, data)

    def recv_text(self) -> str:
        __tracebackhide__ = True
        message = self._next("a message")
        if message is None:
            raise Mismatch(A_MESSAGE, self._end())
        return message

    def expect_closed(self, code: int) -> None:
        """The next thing must be the server's close frame with this code, and then the end of TCP."""
        __tracebackhide__ = True
        message = self._next(show_close(code))
        if message is not None:
            raise Mismatch(show_close(code), f"the message {show_bytes(message.encode())}")
        if self.close_code != code:
            raise Mismatch(show_close(code), self._end())

    def ping(self, payload: bytes = b"") -> None:
        __tracebackhide__ = True
        wanted = f"a pong with {show_bytes(payload)!r} on {self.name}"
        self._send_frame(Opcode.PING, payload)
        until, others = deadline(), list[str]()
        while True:
            try:
                pong = self._pongs.get(timeout=max(0, until - time.monotonic()))
            except queue.Empty:
                if others:
                    raise Mismatch(wanted, ", ".join(others)) from None
                self._log(" nothing more comes", Act("silence"))
                came_not()
                raise NothingCame(wanted, "nothing within the time limit") from None
            if pong is None:
                self._pongs.put(None)
                raise Mismatch(wanted, self._end())
            if pong == payload:
                return
            others.append(f"a pong with {show_bytes(pong)!r}")  # RFC 6455 allows some that nobody asked for

    @property
    def pings(self) -> list[bytes]:
        """The payloads of the server's pings so far."""
        with self._pinged:
            return list(self._pings)

    def withhold_pongs(self) -> None:
        """From now on leave pings that have an id unanswered, but for pong(): so nothing is confirmed."""
        self._protocol.withholds_pongs = True

    def pong(self, payload: bytes) -> None:
        """Send a pong, whether or not there was such a ping."""
        self._send_frame(Opcode.PONG, payload)

    def expect_ping(self, payload: bytes, within: float = AT_ONCE_SECONDS) -> None:
        """The server must have sent a ping with this payload, or send it within the (scaled) time."""
        __tracebackhide__ = True
        with self._pinged:
            if not self._pinged.wait_for(lambda: payload in self._pings, scaled(within)):
                others = ", ".join(map(show_bytes, self._pings)) or "none"
                raise Mismatch(
                    f"a ping with {show_bytes(payload)} on {self.name} within {scaled(within):g} s",
                    f"pings with: {others}",
                )

    def close(self, code: int = 1000) -> None:
        """Close by the closing handshake and wait for the end; no matter if it is closed already."""
        self._send_frame(Opcode.CLOSE, Close(code, "").serialize())
        self._reader.join(at_once())
        self.release()

    def abort(self) -> None:
        """End TCP by a reset, as when the client's process dies: no close frame."""
        self._stop_reader()
        self._log("> (TCP reset)", Act("reset"))
        self._channel.reset()

    def release(self) -> None:
        """Give up the socket, whatever its state; tests need not call it."""
        self._stop_reader()
        self._channel.close()

    def _log(self, event: str, act: Act | None = None) -> None:
        self._transcript.add(self.name, event, act)

    def _end(self) -> str:
        if self.close_code in (None, NO_CLOSE_FRAME):
            return f"the end of TCP on {self.name}, without a close frame"
        return f"{show_close(self.close_code)} on {self.name}"

    def _shake_hands(self, address: Address) -> None:
        __tracebackhide__ = True
        with self._protocol_lock:
            request = self._protocol.connect()
            if address.authorization:
                request.headers["Authorization"] = address.authorization
            self._protocol.send_request(request)
            self._take_outgoing()
        self._flush()
        in_time = self._shaken.wait(at_once())
        error = self._protocol.handshake_exc
        if in_time and self._response is not None and error is None:
            return
        got = "nothing within the time limit" if not in_time else f"{error or 'the end of TCP'}"
        raise HandshakeFailed("a WebSocket handshake that is accepted", got)

    def _next(self, wanted: str) -> str | None:
        __tracebackhide__ = True
        began = time.monotonic()
        try:
            message = self._messages.get(timeout=at_once())
        except queue.Empty:
            self._log(" nothing more comes", Act("silence"))
            came_not()
            came = (
                f"; {show_close(self.close_code)} came, but TCP goes on" if self._protocol.close_rcvd else ""
            )
            raise NothingCame(f"{wanted} on {self.name}", f"nothing within the time limit{came}") from None
        came_after(time.monotonic() - began)
        if message is None:
            self._messages.put(None)
        if isinstance(message, Mismatch):
            raise message
        return message

    def _send_frame(self, opcode: Opcode, data: bytes) -> None:
        with self._protocol_lock:
            frame = Frame(opcode, data)
            if self._protocol.state is not State.OPEN:
                if opcode is not Opcode.CLOSE:
                    self._log(f"> not sent, for the connection is closed: {_show_frame(frame)}")
                return
            self._log(f"> {_show_frame(frame)}", _act(frame))
            self._hand_to_protocol(opcode, data)
            self._take_outgoing()
        self._flush()

    def _hand_to_protocol(self, opcode: Opcode, data: bytes) -> None:
        if opcode is Opcode.TEXT:
            self._protocol.send_text(data)
        elif opcode is Opcode.BINARY:
            self._protocol.send_binary(data)
        elif opcode is Opcode.PING:
            self._protocol.send_ping(data)
        elif opcode is Opcode.PONG:
            withholds, self._protocol.withholds_pongs = self._protocol.withholds_pongs, False
            self._protocol.send_pong(data)
            self._protocol.withholds_pongs = withholds
        else:
            self._protocol.send_close(Close.parse(data).code)

    def _take_outgoing(self) -> None:
        """Put what the protocol wants sent behind what waits already; the caller holds its lock."""
        self._outgoing.extend(self._protocol.data_to_send())

    def _flush(self) -> None:
        """Write what waits. Whoever finds another thread writing leaves it to that one, so nobody waits here
        for a server that does not read while its messages are not read either."""
        while self._outgoing and self._send_lock.acquire(blocking=False):
            try:
                while self._outgoing:
                    self._write(self._outgoing.popleft())
            finally:
                self._send_lock.release()

    def _write(self, data: bytes) -> None:
        with contextlib.suppress(OSError):  # a connection that is gone is reported by its reader
            if data:
                self._channel.send(data)
            else:
                self._channel.finish()

    def _stop_reader(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._wake_reader.close()
        if threading.current_thread() is not self._reader:
            self._reader.join(at_once())
            self._woken.close()

    def _read(self) -> None:
        """The reader thread: until the end of TCP or _stop_reader()."""
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._channel, selectors.EVENT_READ)
                selector.register(self._woken, selectors.EVENT_READ)
                while not self._stopping and self._read_once(selector):
                    pass
        except OSError as error:
            self._log(f"< (TCP broke: {error.strerror})", Act("reset"))
            with self._protocol_lock:
                self._protocol.receive_eof()
        self._shaken.set()
        self._messages.put(None)
        self._pongs.put(None)

    def _read_once(self, selector: selectors.BaseSelector) -> bool:
        """Wait for bytes and process them; False at the end of TCP."""
        if not self._channel.has_more:
            selector.select()
        if self._stopping:
            return False
        data = self._channel.receive()
        if data is None:
            return True
        with self._protocol_lock:
            if data:
                self._protocol.receive_data(data)
            else:
                self._log("< (end of TCP)", Act("end"))
                self._protocol.receive_eof()
            events = self._protocol.events_received()
            self._take_outgoing()
        for event in events:
            self._on_event(event)
        if data and self._protocol.parser_exc is not None:
            self._messages.put(Mismatch("frames as RFC 6455 describes", str(self._protocol.parser_exc)))
        self._flush()
        return bool(data)

    def _on_event(self, event: object) -> None:
        if isinstance(event, Response):
            self._response = event
            self._log(f"< HTTP {event.status_code}", Act("http", code=event.status_code))
            self._shaken.set()
        elif isinstance(event, Frame):
            self._log(f"< {_show_frame(event)}", _act(event))
            if event.opcode is Opcode.PONG:
                self._pongs.put(bytes(event.data))
            elif event.opcode is Opcode.PING:
                with self._pinged:
                    self._pings.append(bytes(event.data))
                    self._pinged.notify_all()
            elif event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._on_data(event)

    def _on_data(self, frame: Frame) -> None:
        """Put fragments together; what is no text message is put in the queue as what is wrong with it."""
        if frame.opcode is not Opcode.CONT:
            self._fragments = []
            self._binary = frame.opcode is Opcode.BINARY
        self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return
        data = b"".join(self._fragments)
        if self._binary:
            self._messages.put(Mismatch("a text message", f"the binary message {show_bytes(data)}"))
            return
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self._messages.put(Mismatch("a message in UTF-8", show_bytes(data)))
            return
        if not self.own_words.is_foreign(text):
            self._messages.put(text)


def _uri(address: Address, path: str) -> WebSocketURI:
    path, _, query = address.request_target(path).partition("?")
    return WebSocketURI(address.tls, address.host.partition("%")[0], address.port, path, query)


def _act(frame: Frame) -> Act:
    data = bytes(frame.data)
    kind = "continuation" if frame.opcode is Opcode.CONT else frame.opcode.name.lower()
    code = int.from_bytes(data[:2], "big") if frame.opcode is Opcode.CLOSE and len(data) >= 2 else None
    return Act(kind, data, int(frame.opcode), frame.fin, code=code)


def _show_frame(frame: Frame) -> str:
    data = bytes(frame.data)
    if frame.opcode is Opcode.CLOSE:
        close = Close.parse(data)
        return show_close(None if close.code == NO_CODE else close.code, close.reason)
    word = "" if frame.opcode is Opcode.TEXT else f"{frame.opcode.name.lower()} "
    return f"{word}{show_bytes(data)}{'' if frame.fin else ' … (fragment)'}"
