#!/usr/bin/env python3
# <title>
"""Has a recorded conversation with a chat server again: python3 replay.py ws://127.0.0.1:9502

It needs nothing but Python 3. A file of CAs may follow a wss:// URL. The URL's path, query and password are
sent as the suite sent them; the recording does not have the secret ones.

Each line says when, on which connection, `>` sent or `<` received, and what. What came differently from the
recording has the recorded answer below it; random values, such as tokens, always differ.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import ssl
import struct
import sys
import time
import zlib
from typing import Any
from urllib.parse import unquote, urlsplit

WAIT_S = 5.0  # for an answer
LISTEN_S = 1.0  # for more, at the end

url = urlsplit(sys.argv[1] if len(sys.argv) in (2, 3) else "")
if url.scheme not in ("ws", "wss") or not url.hostname:
    sys.exit(f"usage: {sys.argv[0]} ws://HOST:PORT/PATH [CA.pem]")
port = url.port or (443 if url.scheme == "wss" else 80)
name_of_host = url.hostname.replace("%25", "%")
host = f"[{name_of_host.partition('%')[0]}]" if ":" in name_of_host else name_of_host
host += f":{port}" if port != (443 if url.scheme == "wss" else 80) else ""
credentials = f"{unquote(url.username or '')}:{unquote(url.password or '')}".encode()
authorization = "Basic " + base64.b64encode(credentials).decode() if len(credentials) > 1 else ""
started = time.monotonic()
connections: list[Connection] = []


def printable(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show(name: str, what: str) -> None:
    shown = printable(what)
    if len(shown) > 300:
        shown = f"{shown[:150]}…{shown[-150:]} ({len(what)} characters)"
    line = f"{time.monotonic() - started:8.3f}s  {name:>3}{shown}\n"
    try:
        sys.stdout.buffer.write(line.encode("utf-8", "backslashreplace"))
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever reads has seen enough
        os._exit(0)


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")


def unpack(packed: str) -> bytes:
    return zlib.decompress(base64.b64decode(packed))


def target_of(path: str) -> str:
    path, _, query = path.partition("?")
    query = "&".join(filter(None, (url.query, query)))
    return ((url.path or "/") if path == "/" else path) + (f"?{query}" if query else "")


def with_secrets(data: bytes) -> bytes:
    """A recorded handshake with what was hidden in it, of this script's URL."""
    data = data.replace(b"?***", b"?" + url.query.encode() if url.query else b"")
    return data.replace(b"Basic ***", authorization.encode()) if authorization else data


def pause(seconds: float) -> None:
    show("-", f" {seconds} s of silence, as recorded")
    time.sleep(seconds)


def note(event: str) -> None:
    """Something that a script cannot do, such as the end of the server: you may."""
    show("-", f" recorded here: {event}")
    if sys.stdin.isatty():
        input("              do the same if it matters, then press Enter ")


def describe(opcode: int, data: bytes) -> str:
    if opcode == 8:
        code = struct.unpack("!H", data[:2])[0] if len(data) >= 2 else "(no code)"
        return f"close {code}" + (f' "{text_of(data[2:])}"' if data[2:] else "")
    names = {0: "continuation ", 1: "", 2: "binary ", 9: "ping ", 10: "pong "}
    return names.get(opcode, f"opcode {opcode:#x} ") + text_of(data)


def connect(name: str, answers_pings: bool = True, answers_close: bool = True) -> Connection:
    connection = Connection(name, answers_pings, answers_close)
    connections.append(connection)
    return connection


class Connection:
    def __init__(self, name: str, answers_pings: bool, answers_close: bool) -> None:
        self.name, self.answers_pings, self.answers_close = name, answers_pings, answers_close
        self.received = b""
        self.answers: list[tuple[int, bytes]] = []  # frames that are due once the question is shown
        self.upgraded = self.ended = False
        try:
            self.socket = socket.create_connection((name_of_host, port), WAIT_S)
            if url.scheme == "wss":
                context = ssl.create_default_context()
                if sys.argv[2:]:
                    context.load_verify_locations(sys.argv[2])
                self.socket = context.wrap_socket(self.socket, server_hostname=name_of_host.partition("%")[0])
        except OSError as error:
            sys.exit(f"{host} cannot be reached: {error}")
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        show(name, f" connects from port {self.socket.getsockname()[1]}")

    def shake_hands(self, path: str, subprotocols: list[str] | None = None) -> None:
        offered = f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}\r\n" if subprotocols else ""
        key = base64.b64encode(os.urandom(16)).decode()
        offered += f"Authorization: {authorization}\r\n" if authorization else ""
        request = (
            f"GET {target_of(path)} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{offered}\r\n"
        )
        self.write(request.encode(), f"GET {path}")

    def text(self, text: str, **options: Any) -> None:
        self.frame(1, text.encode("utf-8", "surrogatepass"), **options)

    def frame(
        self,
        opcode: int,
        data: bytes = b"",
        fin: bool = True,
        rsv: int = 0,
        mask: bytes | None = b"\x37\xfa\x21\x3d",
        length_bits: int | None = None,
    ) -> None:
        size, masked = len(data), 0 if mask is None else 0x80
        bits = length_bits or (7 if size < 126 else 16 if size < 65536 else 64)
        head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
        head += bytes([masked | (size if bits == 7 else 126 if bits == 16 else 127)])
        head += b"" if bits == 7 else struct.pack("!H" if bits == 16 else "!Q", size)
        if mask is not None:
            head, data = head + mask, bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        plain = data if mask is None else bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))
        odd = "" if fin else " … (fragment)"
        odd += (f" rsv {rsv:03b}" if rsv else "") + ("" if mask is not None else " without a mask")
        self.write(head + data, describe(opcode, plain) + odd)

    def raw(self, data: bytes) -> None:
        self.write(with_secrets(data), f"raw: {text_of(data)}")

    def bytewise(self, data: bytes) -> None:
        show(self.name, f"> raw, byte by byte: {text_of(data)}")
        for byte in with_secrets(data):
            with contextlib.suppress(OSError):
                self.socket.sendall(bytes([byte]))

    def flood(self, data: bytes) -> None:
        """As much of it as the server takes, which is not read meanwhile."""
        self.socket.settimeout(0.1)
        self.write(data, f"up to {len(data)} bytes")

    def write(self, data: bytes, what: str) -> None:
        show(self.name, f"> {what}")
        try:
            self.socket.sendall(data)
        except OSError as error:
            show(self.name, f"> (not all sent: {error})")

    def end(self) -> None:
        show(self.name, "> (end of TCP)")
        try:
            if isinstance(self.socket, ssl.SSLSocket):
                self.socket.settimeout(0)
                with contextlib.suppress(OSError):
                    self.socket.unwrap()  # close_notify; that of the server need not be here
            socket.socket.shutdown(self.socket, socket.SHUT_WR)
        except OSError as error:
            show(self.name, f"> ({error})")

    def reset(self) -> None:
        show(self.name, "> (TCP reset)")
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self.ended = True

    def receive(self, recorded: str) -> None:
        """Print the next thing that comes, and what was recorded here if that is something else."""
        while True:
            came = self.next(WAIT_S)
            if came is None:
                came = f"(nothing within {WAIT_S:g} s)"
                break
            if not came.startswith("ping ") or recorded.startswith("ping "):
                break
            self.came(came)
        self.came(came)
        if printable(came) != recorded and not came.startswith(f"HTTP/1.1 {recorded[5:]} "):
            show("", f"  recorded: {recorded}")

    def listen(self) -> None:
        """Print what still comes."""
        while not self.ended and (came := self.next(LISTEN_S)) is not None:
            self.came(came)

    def came(self, what: str) -> None:
        show(self.name, f"< {what}")
        while self.answers:
            self.frame(*self.answers.pop(0))

    def next(self, wait: float) -> str | None:
        """The next response, frame or end of TCP; None if there is none in time."""
        until = time.monotonic() + wait
        while (found := self.take()) is None:
            if self.ended:
                return "(end of TCP)"
            try:
                self.socket.settimeout(max(until - time.monotonic(), 0.001))
                data = self.socket.recv(65536)
            except TimeoutError:
                return None
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                data = b""
            except OSError as error:
                self.ended = True
                return f"(TCP broke: {error.strerror})"
            self.received += data
            self.ended = not data
        return found

    def take(self) -> str | None:
        """The first response or frame of what has been received; None if it is not all here."""
        if self.upgraded:
            return self.take_frame()
        head, found, rest = self.received.partition(b"\r\n\r\n")
        if found and head.startswith(b"HTTP/"):
            self.received = rest
            self.upgraded = head.split()[1:2] == [b"101"]
            return text_of(head.split(b"\r\n")[0])
        if self.ended and self.received:
            rest, self.received = self.received, b""
            return f"raw: {text_of(rest)}"
        return None

    def take_frame(self) -> str | None:
        data = self.received
        size, head = (data[1] & 0x7F if len(data) > 1 else 0), 2
        if size >= 126:
            head = 4 if size == 126 else 10
            size = int.from_bytes(data[2:head], "big")
        mask = 4 if len(data) > 1 and data[1] & 0x80 else 0  # not allowed from a server, but it may come
        if len(data) < head + mask + size:
            return None
        payload, self.received = data[head + mask : head + mask + size], data[head + mask + size :]
        opcode = data[0] & 0x0F
        if opcode == 9 and self.answers_pings:
            self.answers.append((10, payload))
        if opcode == 8 and self.answers_close:
            self.answers_close = False
            self.answers.append((8, payload[:2]))
        odd = "" if data[0] & 0x80 else " … (fragment)"
        odd += f" rsv {data[0] >> 4 & 7:03b}" if data[0] & 0x70 else ""
        return describe(opcode, payload) + odd + (" with a mask" if mask else "")


def main() -> None:
    # As it was recorded, in the same order across connections.
    # <the conversation>

    for connection in connections:
        connection.listen()


main()
