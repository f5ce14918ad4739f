"""Two who talk while somebody else misbehaves.

    python -m abuse.pair PORT RATE

A process of its own, so that the abuser's work does not slow it down. One sends the other RATE messages a
second, whatever is under way; latency counts from when each was to be sent. A line on standard input ends a
phase: when everything of it is answered and has arrived, the answer is its figures as JSON. What is lost,
doubled, out of order or not what was sent ends the process, with the reason.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from dataclasses import dataclass, field
from typing import IO, TypedDict, cast

from chaos.connection import Connection
from chaos.frames import TEXT, masked

PATIENCE_S = 20.0  # what takes longer is lost
SIGN_AGAIN_S = 0.1  # after "unavailable"
FROM, TO = "pair-1", "pair-2"


class Figures(TypedDict):
    """Of one phase. Times are in milliseconds."""

    sent: int
    refused: int
    p50: float
    p99: float
    max: float


def quantile(sorted_values: list[float], q: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(q * len(sorted_values)))]


@dataclass
class Phase:
    sent: int = 0
    refused: int = 0
    latencies: list[float] = field(default_factory=list)

    def figures(self) -> Figures:
        values = sorted(self.latencies) or [0.0]
        return Figures(
            sent=self.sent,
            refused=self.refused,
            p50=quantile(values, 0.50) * 1000,
            p99=quantile(values, 0.99) * 1000,
            max=values[-1] * 1000,
        )


class Party:
    """One of the two. What it hears goes into a queue."""

    def __init__(self) -> None:
        self.texts: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.connection: Connection | None = None

    def heard(self, text: bytes) -> None:
        self.texts.put_nowait(text)

    def pinged(self, payload: bytes) -> None:
        pass

    def lost(self, connection: Connection, why: str) -> None:
        self.texts.put_nowait(ConnectionError(why))

    def say(self, request: dict[str, object]) -> None:
        assert self.connection is not None
        self.connection.send(masked(TEXT, json.dumps(request).encode()))

    async def hear(self) -> dict[str, object]:
        """The next message. Broadcasts are not the pair's."""
        while True:
            text = await self.texts.get()
            if isinstance(text, Exception):
                raise text
            message: dict[str, object] = json.loads(text)
            if "broadcast" not in message:
                return message

    async def sign(self, port: int, uid: str) -> None:
        self.connection = await Connection.open(self, port)
        while True:
            self.say({"type": "sign", "uid": uid})
            reply = await self.hear()
            if reply["status"] == 1:
                return
            if reply.get("code") != "unavailable":
                raise RuntimeError(f"the sign was answered with {reply}")
            await asyncio.sleep(SIGN_AGAIN_S)


class Pair:
    def __init__(self, rate: float) -> None:
        self.period = 1 / rate
        self.sender, self.reader = Party(), Party()
        self.phase = Phase()
        self.n_asked = 0
        self.waiting: dict[int, tuple[Phase, float]] = {}  # not done yet: when each was to be sent
        self.accepted: set[int] = set()  # answered "sended", and not arrived
        self.arrived: set[int] = set()  # and not answered
        self.last = -1

    async def join(self, port: int) -> None:
        await self.sender.sign(port, FROM)
        await self.reader.sign(port, TO)

    async def send(self) -> None:
        due = time.monotonic()
        while True:
            self.waiting[self.n_asked] = (self.phase, due)
            self.phase.sent += 1
            self.sender.say({"type": "msg", "to": TO, "body": self.n_asked, "cid": str(self.n_asked)})
            self.n_asked += 1
            due += self.period
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def take_replies(self) -> None:
        number = 0
        while True:
            reply = await self.sender.hear()
            if reply.get("cid") != str(number):
                raise RuntimeError(f"request {number} was answered with {reply}")
            if reply["status"] == 1:
                self.accepted.add(number)
            elif reply.get("code") == "unavailable":
                self.waiting[number][0].refused += 1
                if number in self.arrived:
                    raise RuntimeError(f"message {number} arrived and was answered with {reply}")
                self.done(number)
            else:
                raise RuntimeError(f"request {number} was answered with {reply}")
            self.settle(number)
            number += 1

    async def take_deliveries(self) -> None:
        while True:
            delivery = await self.reader.hear()
            number = delivery.get("body")
            if delivery.get("from") != FROM or not isinstance(number, int) or number <= self.last:
                raise RuntimeError(f"behind message {self.last} came {str(delivery)[:200]}")
            if number not in self.waiting:
                raise RuntimeError(f"message {number} arrived, and was refused before")
            self.last = number
            phase, due = self.waiting[number]
            phase.latencies.append(time.monotonic() - due)
            self.arrived.add(number)
            self.settle(number)

    def settle(self, number: int) -> None:
        if number in self.accepted and number in self.arrived:
            self.accepted.discard(number)
            self.arrived.discard(number)
            self.waiting.pop(number)

    def done(self, number: int) -> None:
        """It was refused: how long that took counts like the way of a message."""
        phase, due = self.waiting.pop(number)
        phase.latencies.append(time.monotonic() - due)

    async def next_phase(self) -> Figures:
        """The figures of the one that ends, when all of it has arrived."""
        ended, self.phase = self.phase, Phase()
        last = self.n_asked - 1
        give_up = time.monotonic() + PATIENCE_S
        while any(number <= last for number in self.waiting):
            if time.monotonic() > give_up:
                raise RuntimeError(f"{len(self.waiting)} messages are lost, from {min(self.waiting)} on")
            await asyncio.sleep(0.01)
        return ended.figures()


async def serve(port: int, rate: float) -> None:
    pair = Pair(rate)
    async with asyncio.timeout(PATIENCE_S):
        await pair.join(port)
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(commands), cast(IO[bytes], sys.stdin)
    )
    print("ready", flush=True)

    async def obey() -> None:
        while await commands.readline():
            print(json.dumps(await pair.next_phase()), flush=True)
        raise EOFError

    try:
        async with asyncio.TaskGroup() as group:
            for work in (pair.send, pair.take_replies, pair.take_deliveries, obey):
                group.create_task(work())
    except* EOFError:
        pass
    except* (RuntimeError, ConnectionError) as errors:
        print(f"the pair: {errors.exceptions[0]}", file=sys.stderr, flush=True)
        raise SystemExit(1) from None


class PairProcess:
    """The process, seen from the run."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @staticmethod
    async def start(port: int, rate: float) -> PairProcess:
        pipe = asyncio.subprocess.PIPE
        command = [sys.executable, "-m", "abuse.pair", str(port), str(rate)]
        pair = PairProcess(
            await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe)
        )
        await pair._hear()
        return pair

    async def end_phase(self) -> Figures:
        assert self._process.stdin is not None
        self._process.stdin.write(b"next\n")
        figures: Figures = json.loads(await self._hear())
        return figures

    async def _hear(self) -> bytes:
        assert self._process.stdout is not None
        line = await asyncio.wait_for(self._process.stdout.readline(), 2 * PATIENCE_S)
        if not line:
            assert self._process.stderr is not None
            raise AssertionError((await self._process.stderr.read()).decode().strip() or "the pair ended")
        return line

    async def end(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
