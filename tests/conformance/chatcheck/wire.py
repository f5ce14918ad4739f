"""Wire: a TCP proxy before a Redis, for one server's connections to it, which a test can cut and mend."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit

_CHUNK = 65536


class Wire:
    """A direction that is cut lets nothing through: what is sent waits, as in a network that loses packets.

    Mended, it flows on. Severed, connections are reset and refused.
    """

    def __init__(self, redis_url: str) -> None:
        parts = urlsplit(redis_url)
        self._redis = (parts.hostname or "127.0.0.1", parts.port or 6379)
        self._requests, self._replies = threading.Event(), threading.Event()
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._is_severed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        credentials, at, _ = parts.netloc.rpartition("@")
        self.url = parts._replace(netloc=f"{credentials}{at}127.0.0.1:{port}").geturl()
        self.mend()
        threading.Thread(target=self._accept, daemon=True, name="chatcheck wire").start()

    def cut(self, *, requests: bool = True, replies: bool = True) -> None:
        """Let nothing through in these directions: of what the server asks Redis, of what that answers."""
        if requests:
            self._requests.clear()
        if replies:
            self._replies.clear()

    def sever(self) -> None:
        """Reset the connections, and every new one."""
        with self._lock:
            self._is_severed = True
            self._close_all()

    def mend(self) -> None:
        """Let everything through again, what has waited first."""
        self._is_severed = False
        self._requests.set()
        self._replies.set()

    def destroy(self) -> None:
        """End it, with all connections."""
        self.sever()
        self._requests.set()
        self._replies.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _close_all(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
            each.close()
        self._sockets.clear()

    def _accept(self) -> None:
        while True:
            try:
                server, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._is_severed:
                    server.close()
                    continue
                try:
                    redis = socket.create_connection(self._redis)
                except OSError:
                    server.close()
                    continue
                self._sockets += [server, redis]
            for source, target, gate in ((server, redis, self._requests), (redis, server, self._replies)):
                threading.Thread(target=_pump, args=(source, target, gate), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket, gate: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            gate.wait()
            target.sendall(data)
        gate.wait()
        target.shutdown(socket.SHUT_WR)
