"""Where the server under test listens, and how a connection to it is made."""

from __future__ import annotations

import functools
import re
import socket
import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from chatcheck.channel import Channel, TlsChannel
from chatcheck.hidden import basic, hide_query, hide_url, remember
from chatcheck.timing import AT_ONCE_SECONDS, scaled

DEFAULT_PORTS = {"ws": 80, "wss": 443}
_NO_SUCH_NAME = {getattr(socket, name) for name in ("EAI_NONAME", "EAI_NODATA") if hasattr(socket, name)}
_WRONG_NAME = (62, 63, 64)  # OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH, EMAIL_ and IP_ADDRESS_MISMATCH
_WRONG_TIME = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID and _HAS_EXPIRED
_NO_TLS = ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "RECORD_LAYER_FAILURE")

# Of a name with several addresses the one that accepted last is tried first.
_accepted: dict[tuple[str, int], Any] = {}


class CannotConnect(ConnectionError):
    """No address of the server accepts a connection. `is_final`: nor will any in a moment."""

    def __init__(self, why: str, is_final: bool = False) -> None:
        super().__init__(why)
        self.is_final = is_final


@dataclass(frozen=True)
class Address:
    """A ws:// or wss:// URL in parts. As text, it is the URL without its secrets."""

    host: str  # a name, or an IP address without brackets
    port: int
    tls: bool = False
    path: str = "/"
    query: str = field(default="", repr=False)
    authorization: str | None = field(default=None, repr=False)  # the header's value
    cafile: Path | None = None  # CAs to be trusted besides the system's

    @classmethod
    def parse(cls, url: str, cafile: Path | None = None) -> Address:
        """Raises ValueError, whose text has no secrets, if the URL cannot be used as it is."""
        remember(url)
        try:
            parts, host, port = _split(url)
        except ValueError as error:
            raise ValueError(f"{hide_url(_ascii(url))}: {error}") from None
        scheme = parts.scheme
        credentials = None
        if parts.username or parts.password:
            credentials = basic(unquote(parts.username or ""), unquote(parts.password or ""))
        path, query = _ascii(parts.path) or "/", _ascii(parts.query)
        return cls(host, port, scheme == "wss", path, query, credentials, cafile)

    def __str__(self) -> str:
        user = "***@" if self.authorization else ""
        query = f"?{hide_query(self.query)}" if self.query else ""
        return f"{self.scheme}://{user}{self.host_header}{self.path}{query}"

    @property
    def scheme(self) -> str:
        return "wss" if self.tls else "ws"

    @property
    def host_header(self) -> str:
        """What a request says in Host. A default port is not named, nor an address's zone."""
        host = _in_brackets(self.host.partition("%")[0])
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def at(self, host: str) -> Address:
        """The same on another host."""
        return replace(self, host=host)

    def request_target(self, path: str = "/") -> str:
        """What a request asks for: the URL's own path for `/`, any other as it is. The URL's query goes with
        both, for it may be what lets one in."""
        path, _, query = path.partition("?")
        query = "&".join(filter(None, (self.query, query)))
        return (self.path if path == "/" else path) + (f"?{query}" if query else "")

    def without_secrets(self, request: bytes) -> bytes:
        """A handshake as it may be recorded. A replay puts its own URL's secrets there."""
        if self.query:
            request = request.replace(b"?" + self.query.encode(), b"?***")
        if self.authorization:
            request = request.replace(self.authorization.encode(), b"Basic ***")
        return request

    def connect(self, receive_buffer: int | None = None) -> Channel:
        """Open a connection to the first address of the host that accepts one; raises CannotConnect.

        `receive_buffer` makes the kernel hold no more than about so many bytes for us: for slow readers.
        """
        tried = []
        for found in self._addresses():
            try:
                channel = self._connect(found, receive_buffer)
            except ssl.SSLCertVerificationError as error:
                raise CannotConnect(self._why_not_trusted(error), is_final=True) from None
            except OSError as error:
                if isinstance(error, ssl.SSLError) and error.reason in _NO_TLS:
                    raise CannotConnect(f"{self} does not speak TLS: try ws://", is_final=True) from None
                tried.append(f"{_shown(found)} ({error.strerror or error})")
                continue
            _accepted[self.host, self.port] = found
            return channel
        raise CannotConnect(f"tried {', '.join(tried)}")

    def _addresses(self) -> list[Any]:
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        except OSError as error:
            is_final = error.errno in _NO_SUCH_NAME
            raise CannotConnect(f"no address of {self.host} is known: {error.strerror}", is_final) from None
        accepted = _accepted.get((self.host, self.port))
        return sorted(found, key=lambda one: one != accepted)

    def _connect(self, found: Any, receive_buffer: int | None) -> Channel:
        family, kind, protocol, _, address = found
        sock = socket.socket(family, kind, protocol)
        try:
            if receive_buffer is not None:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.settimeout(scaled(AT_ONCE_SECONDS))
            sock.connect(address)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # frames leave at once
            if self.tls:
                return TlsChannel(sock, trust(self.cafile), self.host.partition("%")[0])
        except BaseException:
            sock.close()
            raise
        return Channel(sock)

    def _why_not_trusted(self, error: ssl.SSLCertVerificationError) -> str:
        told = f"the certificate of {self} is not trusted: {error.verify_message}"
        if error.verify_code in _WRONG_NAME:
            return f"{told}; use a name in --url that the certificate has"
        if error.verify_code in _WRONG_TIME:
            return f"{told}; renew it, or look at this machine's clock"
        if self.cafile is None:
            return f"{told}; if a CA of your own has signed it, name that with --cafile FILE"
        return f"{told}; nor has a CA in {self.cafile} signed it"


@functools.cache  # it reads a hundred certificates
def trust(cafile: Path | None) -> ssl.SSLContext:
    """Whom the suite trusts: the system's CAs, and those in the file. Raises OSError if it has none."""
    context = ssl.create_default_context()
    context.options |= ssl.OP_NO_RENEGOTIATION
    # The same in all versions of Python: a CA of one's own need not be as strict as the public ones are, and
    # a server's own certificate can be trusted as well.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if cafile is not None:
        context.load_verify_locations(cafile)
    return context


def _split(url: str) -> tuple[SplitResult, str, int]:
    """A URL's parts, its host and its port. Raises ValueError, which does not quote the URL."""
    if not url.isprintable() or " " in url:
        raise ValueError("a URL has no spaces and control characters; write %20")
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError("there is no such host; an IPv6 address is in brackets: ws://[::1]:9502/") from None
    host_and_port = parts.netloc.rpartition("@")[2]
    if not re.fullmatch(r"\[[^][]*\](:.*)?|[^][]*", host_and_port):  # not all versions of Python look
        raise ValueError("there is no such host; an IPv6 address is in brackets: ws://[::1]:9502/")
    if parts.scheme not in DEFAULT_PORTS:
        raise ValueError("expected ws://host:port/ or wss://host:port/")
    if "#" in url:
        raise ValueError("a WebSocket URL has no fragment; write %23 for #")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError(
            "the port is no number from 1 to 65535. An IPv6 address is in brackets: ws://[::1]:9502/; "
            "in a password, / is %2F, @ is %40"
        )
    return parts, _host(parts.hostname or ""), port or DEFAULT_PORTS[parts.scheme]


def _host(host: str) -> str:
    """The host as it is resolved."""
    if not host:
        raise ValueError("expected ws://host:port/ or wss://host:port/")
    if ":" in host:
        return host.replace("%25", "%")
    try:
        name = host.encode("idna").decode()
    except UnicodeError:
        name = ""
    if not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise ValueError("there is no such host")
    return name


def _ascii(text: str) -> str:
    """What is not ASCII, percent-encoded; all else is as it was given."""
    return "".join(c if c.isascii() else quote(c, errors="backslashreplace") for c in text)


def _in_brackets(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _shown(found: Any) -> str:
    host, port, *_ = found[4]
    return f"{_in_brackets(host)}:{port}"
