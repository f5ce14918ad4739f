"""The links between the nodes and Redis: a TCP proxy for each, which can be cut, delayed and reset.

    python -m chaos.proxy REDIS-PORT LINK-PORT…

A process of its own, so that the clients' work does not slow it down. It takes a JSON object a line on
standard input, {"link": 0, "up": true, "down": true, "refuse": false, "delay": 0, "reset": false}, and says
"ok" when that holds. up: what the node sends arrives at Redis; down: what Redis sends arrives at it. What is
held is delivered when the link is whole again, as TCP does after an outage, also if the sender has closed
since; reset breaks the connections instead, as TCP does after a long one.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import sys
from collections import deque
from dataclasses import dataclass, field
from typing import IO, TypedDict, cast

HELD_BYTES_MAX = 16 << 20  # of one direction; then the sender has to wait


class State(TypedDict):
    """What a link is to do from now on."""

    link: int
    up: bool
    down: bool
    refuse: bool
    delay: float
    reset: bool


def whole(link: int) -> State:
    return {"link": link, "up": True, "down": True, "refuse": False, "delay": 0.0, "reset": False}


@dataclass
class Direction:
    """What one end has sent and the other has not got yet. None is the end of it."""

    is_up: bool
    held: deque[tuple[float, bytes | None]] = field(default_factory=deque)
    size: int = 0
    is_flushing: bool = False


class End(asyncio.Protocol):
    """One side of a connection through a link."""

    def __init__(self, link: Link, is_node: bool) -> None:
        self.link = link
        self.out = Direction(is_up=is_node)
        self.transport: asyncio.Transport | None = None
        self.peer: End | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        no_delay = cast(socket.socket, transport.get_extra_info("socket"))
        no_delay.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.link.opened(self)

    def data_received(self, data: bytes) -> None:
        self.link.forward(self, data)

    def eof_received(self) -> bool:
        self.link.forward(self, None)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.link.ends.discard(self)
        self.link.forward(self, None)

    def pause_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.resume_reading()

    def deliver(self, data: bytes | None) -> None:
        """Give this end what the other one sent."""
        if self.transport is None or self.transport.is_closing():
            return
        if data is None:
            self.transport.close()
        else:
            self.transport.write(data)

    def reset(self) -> None:
        if self.transport is not None:
            with contextlib.suppress(OSError):
                sock = cast(socket.socket, self.transport.get_extra_info("socket"))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()


class Link:
    """The way from one node to Redis."""

    def __init__(self, number: int, redis_port: int) -> None:
        self.state = whole(number)
        self.redis_port = redis_port
        self.ends: set[End] = set()
        self._dialling: set[asyncio.Task[None]] = set()

    def change(self, state: State) -> None:
        self.state = state
        if state["reset"] or state["refuse"]:
            for end in list(self.ends):
                end.out.held.clear()
                end.reset()
        for end in list(self.ends):
            self._flush(end)

    def opened(self, end: End) -> None:
        self.ends.add(end)
        if not end.out.is_up:
            return
        if self.state["refuse"]:
            end.reset()
            return
        task = asyncio.get_running_loop().create_task(self._dial(end))
        self._dialling.add(task)
        task.add_done_callback(self._dialling.discard)

    async def _dial(self, node: End) -> None:
        redis = End(self, is_node=False)
        redis.peer, node.peer = node, redis
        try:
            await asyncio.get_running_loop().create_connection(lambda: redis, "127.0.0.1", self.redis_port)
        except OSError:
            node.reset()
            return
        self._flush(node)

    def forward(self, end: End, data: bytes | None) -> None:
        end.out.held.append((asyncio.get_running_loop().time() + self.state["delay"], data))
        end.out.size += len(data) if data else 0
        if end.out.size > HELD_BYTES_MAX and end.transport is not None:
            end.transport.pause_reading()
        self._flush(end)

    def _flush(self, end: End) -> None:
        """Hand over what may pass and is due."""
        out, peer = end.out, end.peer
        if peer is None or peer.transport is None or not self._passes(out):
            return
        now = asyncio.get_running_loop().time()
        while out.held and out.held[0][0] <= now:
            data = out.held.popleft()[1]
            out.size -= len(data) if data else 0
            peer.deliver(data)
        if out.held and not out.is_flushing:
            out.is_flushing = True
            asyncio.get_running_loop().call_at(out.held[0][0], self._flush_later, end)
        if end.transport is not None and not end.transport.is_closing() and out.size == 0:
            end.transport.resume_reading()

    def _flush_later(self, end: End) -> None:
        end.out.is_flushing = False
        self._flush(end)

    def _passes(self, out: Direction) -> bool:
        return self.state["up"] if out.is_up else self.state["down"]


async def serve(redis_port: int, ports: list[int]) -> None:
    loop = asyncio.get_running_loop()
    links = [Link(number, redis_port) for number in range(len(ports))]
    for link, port in zip(links, ports, strict=True):
        await loop.create_server(lambda link=link: End(link, is_node=True), "127.0.0.1", port)  # type: ignore[misc]
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), cast(IO[bytes], sys.stdin))
    print("ready", flush=True)
    while line := await commands.readline():
        state: State = json.loads(line)
        links[state["link"]].change(state)
        print("ok", flush=True)


class Links:
    """The proxy's process, seen from the run."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    @staticmethod
    async def start(redis_port: int, ports: list[int]) -> Links:
        command = [sys.executable, "-m", "chaos.proxy", str(redis_port), *map(str, ports)]
        pipe = asyncio.subprocess.PIPE
        links = Links(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))
        await links._expect(b"ready")
        return links

    async def change(self, state: State) -> None:
        """Returns when it holds."""
        async with self._turn:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(state).encode() + b"\n")
            await self._expect(b"ok")

    async def _expect(self, word: bytes) -> None:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 20)
        if line.strip() != word:
            raise RuntimeError(f"the proxy said {line!r}")

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(int(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
