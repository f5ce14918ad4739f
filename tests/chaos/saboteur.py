"""Stands before a node and does wrong to one delivery in many: would the checker notice?

python -m chaos.saboteur NODE-PORT LISTEN-PORT FAULT ONE-IN SEED
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import Callable
from typing import Any, cast

from chaos.frames import TEXT, Reader, unmasked

Frame = tuple[int, bytes]

# What is done, and the rule that it breaks.
FAULTS = {
    "drop": "lost",
    "twice": "twice",
    "swap": "order",
    "from": "from",
    "body": "body",
    "stranger": "stranger",
    "silence": "late",
    "lie": "cut-off",
}


class Saboteur:
    """What all connections share: the fault, and the dice."""

    def __init__(self, fault: str, one_in: int, seed: int) -> None:
        self.fault = fault
        self._one_in = one_in
        self._chance = random.Random(seed)
        self.clients: list[Client] = []

    def strikes(self) -> bool:
        return self._chance.randrange(self._one_in) == 0

    def somebody_else(self, but: Client) -> Client | None:
        others = [client for client in self.clients if client is not but]
        return self._chance.choice(others) if others else None


class Client(asyncio.Protocol):
    """A client's side of a connection."""

    def __init__(self, saboteur: Saboteur, node_port: int) -> None:
        self.saboteur = saboteur
        self._node_port = node_port
        self._node: asyncio.Transport | None = None
        self._early = b""
        self._task: asyncio.Task[None] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._task = asyncio.get_running_loop().create_task(self._dial())

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            self._node, _ = await loop.create_connection(lambda: Node(self), "127.0.0.1", self._node_port)
        except OSError:
            self.end()
            return
        self._node.write(self._early)

    def data_received(self, data: bytes) -> None:
        if self._node is None:
            self._early += data
        else:
            self._node.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.saboteur.clients:
            self.saboteur.clients.remove(self)
        if self._node is not None:
            self._node.abort()

    def write(self, data: bytes) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.transport.write(data)

    def end(self) -> None:
        if self.transport is not None:
            self.transport.close()


class Node(asyncio.Protocol):
    """The node's side: here wrong is done."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._head: bytes | None = b""
        self._frames = Reader()
        self._held: Frame | None = None  # the delivery that the next one overtakes

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._client.write(head + end)
            self._client.saboteur.clients.append(self._client)
            self._head = None
        for frame in self._frames.feed(data):
            self._client.write(b"".join(unmasked(*one) for one in self._spoilt(frame)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.end()

    def _spoilt(self, frame: Frame) -> list[Frame]:
        """What comes of a frame."""
        opcode, payload = frame
        saboteur = self._client.saboteur
        if opcode != TEXT:
            return [frame]
        message = json.loads(payload)
        if "status" in message:
            return self._spoilt_reply(frame, message)
        if "broadcast" in message:
            return [frame]
        if self._held is not None:
            held, self._held = self._held, None
            return [frame, held]
        if not saboteur.strikes():
            return [frame]
        if saboteur.fault == "swap":
            self._held = frame
            return []
        if saboteur.fault == "stranger":
            other = saboteur.somebody_else(self._client)
            if other is not None:
                other.write(unmasked(*frame))
            return [frame]
        spoil = _DELIVERIES.get(saboteur.fault)
        return spoil(frame, message) if spoil is not None else [frame]

    def _spoilt_reply(self, frame: Frame, reply: dict[str, Any]) -> list[Frame]:
        saboteur = self._client.saboteur
        if saboteur.fault == "silence" and "id" in reply and saboteur.strikes():
            return []
        if saboteur.fault == "lie" and reply.get("code") == "unavailable":
            return [_text({"status": 1, "msg": "sended", "cid": reply.get("cid"), "id": "1-1"})]
        return [frame]


def _text(message: dict[str, Any]) -> Frame:
    return TEXT, json.dumps(message, ensure_ascii=False).encode()


_DELIVERIES: dict[str, Callable[[Frame, dict[str, Any]], list[Frame]]] = {
    "drop": lambda frame, message: [],
    "twice": lambda frame, message: [frame, frame],
    "from": lambda frame, message: [_text({**message, "from": "u0" if message["from"] != "u0" else "u1"})],
    "body": lambda frame, message: [_text({**message, "body": message["body"] + "!"})],
}


async def serve(node_port: int, port: int, saboteur: Saboteur) -> None:
    await asyncio.get_running_loop().create_server(lambda: Client(saboteur, node_port), "127.0.0.1", port)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    _node_port, _port, _fault, _one_in, _seed = sys.argv[1:]
    asyncio.run(serve(int(_node_port), int(_port), Saboteur(_fault, int(_one_in), int(_seed))))
