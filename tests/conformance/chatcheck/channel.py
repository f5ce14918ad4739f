"""Channel: the bytes of one TCP connection, as they are or in TLS. One thread may read while others write.

OpenSSL's objects must not be used by two threads at once, and a selector sees TCP, not what TLS makes of it:
a session ticket is readable, and is no data. So TLS is kept away from the socket here. Records are made and
opened in memory, under a lock that nobody holds while waiting for the socket.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time
from collections import deque

_RECEIVE_SIZE = 65536


class Channel:
    """Plain TCP."""

    has_more = False  # does receive() answer without looking at the socket?

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self.local_port: int = sock.getsockname()[1]

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """How long each wait for the socket may take; then it raises TimeoutError."""
        self._socket.settimeout(seconds)

    def receive(self) -> bytes | None:
        """What came: b"" at the end, None if it was nothing to read, such as half a TLS record."""
        return self._socket.recv(_RECEIVE_SIZE)

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._socket.sendall(data)

    def finish(self) -> None:
        """Send the end of TCP (FIN), and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """End TCP by a reset (RST)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        self._socket.close()


class TlsChannel(Channel):
    """TLS on TCP. The end is close_notify or TCP's, whichever comes first."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, host: str) -> None:
        """Shakes hands within the socket's timeout. Raises OSError, ssl.SSLError among them."""
        super().__init__(sock)
        self._from_server, self._to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._from_server, self._to_server, server_hostname=host)
        self._lock = threading.Lock()  # of the TLS object
        self._turn = threading.Lock()  # whose turn it is to write to the socket
        self._records: deque[bytes] = deque()  # to be written, in their order
        self._opened = b""  # read, but not received yet
        self._has_ended = False
        self._broken: OSError | None = None
        self._shake_hands(sock.gettimeout())
        self._open()

    @property
    def has_more(self) -> bool:  # type: ignore[override]
        return bool(self._opened) or self._has_ended or self._broken is not None

    def receive(self) -> bytes | None:
        if not self.has_more:
            self._take_in()
            self._open()
        if self._opened:
            data, self._opened = self._opened, b""
            return data
        if self._broken is not None:
            raise self._broken
        return b"" if self._has_ended else None

    def send(self, data: bytes) -> None:
        with self._lock:
            left = memoryview(data)
            while left:
                left = left[self._tls.write(left) :]
            self._seal()
        self._flush()

    def finish(self) -> None:
        """Send close_notify and then the end of TCP. TLS 1.2 obliges the server to end as well, and many do
        so in 1.3: nobody may expect to receive more afterwards."""
        with self._lock:
            with contextlib.suppress(ssl.SSLError):  # its own close_notify has not come yet
                self._tls.unwrap()
            self._seal()
        with self._turn:
            self._write_records()
        super().finish()

    def _shake_hands(self, seconds: float | None) -> None:
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._seal()
                self._flush()
            except ssl.SSLError:
                self._seal()
                with contextlib.suppress(OSError):
                    self._flush()  # the alert that says why
                raise
            else:
                break
            if until is not None:
                self.settimeout(max(until - time.monotonic(), 0.001))
            try:
                self._take_in()
            except TimeoutError:
                raise TimeoutError("no answer to the TLS handshake; without TLS it is ws://") from None
            if self._has_ended:
                raise ConnectionResetError("the server ended the connection in the TLS handshake")
        self._seal()
        self._flush()

    def _take_in(self) -> None:
        data = self._socket.recv(_RECEIVE_SIZE)
        if data:
            self._from_server.write(data)
        else:
            self._has_ended = True

    def _open(self) -> None:
        """Read all that has come."""
        parts = [self._opened]
        with self._lock:
            try:
                while data := self._tls.read(_RECEIVE_SIZE):
                    parts.append(data)
                self._has_ended = True
            except ssl.SSLWantReadError:
                pass
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                self._has_ended = True
            except OSError as error:
                self._broken = error
            self._seal()  # TLS may have something to answer
        self._opened = b"".join(parts)
        with contextlib.suppress(OSError):  # whoever sends next is told
            self._flush()

    def _seal(self) -> None:
        """Put the records that TLS has made behind those that wait; the caller holds its lock."""
        if record := self._to_server.read():
            self._records.append(record)

    def _flush(self) -> None:
        """Write what waits. Who finds another thread writing leaves it to that one."""
        while self._records and self._turn.acquire(blocking=False):
            try:
                self._write_records()
            finally:
                self._turn.release()

    def _write_records(self) -> None:
        while self._records:
            self._socket.sendall(self._records.popleft())
