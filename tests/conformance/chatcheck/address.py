"""Where the server under test listens, and how a TCP connection to it is made."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from chatcheck.timing import AT_ONCE_SECONDS, scaled


@dataclass(frozen=True)
class Address:
    """A ws:// or wss:// URL in parts. `path` is the prefix that the URL has, mostly none."""

    host: str
    port: int
    tls: bool
    path: str

    @classmethod
    def parse(cls, url: str) -> Address:
        """Raises ValueError if it is no ws:// or wss:// URL with a host."""
        parts = urlsplit(url)
        if parts.scheme not in ("ws", "wss") or not parts.hostname:
            raise ValueError(f"{url}: expected ws://host:port/ or wss://host:port/")
        tls = parts.scheme == "wss"
        return cls(parts.hostname, parts.port or (443 if tls else 80), tls, parts.path.rstrip("/"))

    @property
    def host_header(self) -> str:
        """What a request says in Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def url(self, path: str) -> str:
        """The URL of a path on this server."""
        return f"{'wss' if self.tls else 'ws'}://{self.host_header}{self.path}{path}"

    def connect(self, receive_buffer: int | None = None) -> socket.socket:
        """Open a TCP (or TLS) connection; frames leave at once, not held back to be joined.

        `receive_buffer` makes the kernel hold no more than about so many bytes for us: for slow readers.
        """
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        try:
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.settimeout(scaled(AT_ONCE_SECONDS))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls:
                return ssl.create_default_context().wrap_socket(sock, server_hostname=self.host)
        except OSError:
            sock.close()
            raise
        return sock
