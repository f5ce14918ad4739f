"""Right servers that are unlike any other: a check that fails one of them asks for more than SPEC.md does.

odd: writes JSON as nobody would, in fragments, with members that the document does not name, pings when it
likes, and lets others have a message only after the sender has its reply. late: everything comes 40 ms later.
"""

import asyncio
import json
import random
from collections.abc import Callable
from functools import partial
from typing import Any

from .features import FeatureServer
from .frames import CONTINUATION, PING, PONG, TEXT, encode_frame
from .server import Connection, Message

LATE_SECONDS = 0.04
_FRAGMENT_BYTES_MIN = 64  # a shorter message stays whole now and then
_COMMA = "\N{FULLWIDTH COMMA}"


def escaped(text: str, chance: random.Random) -> str:
    """The same JSON string, with escapes where none are needed."""
    written = []
    for letter in text:
        code = ord(letter)
        if code > 0xFFFF:
            code -= 0x10000
            written.append(f"\\u{0xD800 + (code >> 10):04X}\\u{0xDC00 + (code & 0x3FF):04x}")
        elif letter == "/":
            written.append("\\/")
        elif code < 0x20 or code > 0x7E or letter in '"\\' or chance.random() < 0.1:
            written.append(f"\\u{code:04x}")
        else:
            written.append(letter)
    return '"' + "".join(written) + '"'


def oddly(message: dict[str, str], chance: random.Random) -> str:
    """An object whose values are given as JSON texts: in any order, with blanks, and with unknown members."""
    members = [*message.items(), ("x-served-by", '{"node":[null,1e2]}'), ("", "[]")]
    chance.shuffle(members)
    blank = chance.choice([" ", "\n\t", "\r\n  "])
    return (
        blank
        + "{"
        + ",".join(f"{blank}{escaped(name, chance)} : {value}{blank}" for name, value in members)
        + "}"
        + blank
    )


def texts_of(text: str) -> dict[str, str]:
    """The members of a message of ours as JSON texts; the body is left as it is written."""
    head, mark, rest = text.partition('"body":')
    if head != "{" or not mark:
        value: dict[str, Any] = json.loads(text)
        return {name: json.dumps(member) for name, member in value.items()}
    body, _, sender = rest.rpartition(',"from":')
    others: dict[str, Any] = json.loads(f'{{"from":{sender}')
    return {"body": body, **{name: json.dumps(member) for name, member in others.items()}}


class OddConnection(Connection):
    """Writes what the right one writes, in the oddest legal way."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._chance = random.Random(0)

    def send(self, text: str) -> None:
        members = texts_of(text)
        members.pop("code", None)  # a SHOULD
        if "status" in members:
            members["status"] = {"1": "1.0", "0": "0e5"}[members["status"]]
        if "disconnect" in members:
            members["disconnect"] = "10e-1"
        for name in ("msg", "from"):
            if name in members:
                value = json.loads(members[name])
                value = value.replace(",", _COMMA) if name == "msg" else value
                members[name] = escaped(value, self._chance)
        self._write_in_fragments(oddly(members, self._chance).encode())

    def _write_in_fragments(self, data: bytes) -> None:
        if self._chance.random() < 0.2:
            self._write(PING, b"how are you?")
        if self._chance.random() < 0.2:
            self._write(PONG, b"nobody asked")
        size = self._chance.choice([_FRAGMENT_BYTES_MIN, len(data) // 2 + 1, len(data) + 1])
        parts = [data[i : i + size] for i in range(0, len(data), size)]
        for i, part in enumerate(parts):
            opcode = TEXT if i == 0 else CONTINUATION
            self._write_frame(opcode, part, i == len(parts) - 1)

    def _write_frame(self, opcode: int, payload: bytes, final: bool) -> None:
        if self._closed or self._writer.transport.is_closing():
            return
        frame = encode_frame(opcode, payload)
        self._writer.write(frame if final else bytes((frame[0] & 0x7F,)) + frame[1:])
        if not final and self._chance.random() < 0.2:
            self._write(PING, b"between")


class OddServer(FeatureServer):
    """Replies before others get the message, as nothing forbids."""

    def _new_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connection:
        return OddConnection(reader, writer, self._store.new_fd(), self._settings)

    async def _handle(self, connection: Connection, message: Message) -> None:
        self._sender, self._waiting = connection, list[Callable[[], None]]()
        waiting = self._waiting
        await super()._handle(connection, message)
        for deliver in waiting:
            deliver()

    def _deliver(self, device: Connection, text: str) -> None:
        if device is self._sender:  # [ORDER-3]
            device.send(text)
        else:
            self._waiting.append(partial(device.send, text))


class LateConnection(Connection):
    """What it writes leaves a little later, in order."""

    def _write(self, opcode: int, payload: bytes) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(LATE_SECONDS, super()._write, opcode, payload)

    def close(self, code: int | None) -> None:
        super().close(code)
        self._closed = False  # or what is still to leave would not
        asyncio.get_running_loop().call_later(LATE_SECONDS, setattr, self, "_closed", True)


class LateServer(FeatureServer):
    """Its machine is slow, or far away."""

    def _new_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connection:
        return LateConnection(reader, writer, self._store.new_fd(), self._settings)

    async def _leave(self, connection: Connection) -> None:
        await super()._leave(connection)
        await asyncio.sleep(2 * LATE_SECONDS)  # what it was told leaves before TCP ends


ODD = {"odd": OddServer, "late": LateServer}
