#!/usr/bin/env python3
"""Does a crowd of idle connections slow down a pair that talks?

Starts a server, lets one pair of clients send messages to and fro one at a time, alone, then beside a crowd
of idle signed connections, then alone again, all in one run, and prints the round trips and their ratio.
The machine's speed divides out of the ratio, so that is the figure to quote.

    bench/idle_crowd.py --start 'build/release/chatd --listen 127.0.0.1:{port}'

Exit codes: 0 the ratio is at most --ratio-max, 1 it is not, 2 wrong use, 3 it could not be measured.
Needs nothing but Python's standard library.
"""

from __future__ import annotations

import argparse
import json
import resource
import shlex
import socket
import statistics
import subprocess
import sys
import time

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
CONNECT_BATCH = 200
READY_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 10.0
RESERVED_FILES = 100


class Failure(Exception):
    """The measurement could not be made."""


def frame(text: str) -> bytes:
    """A masked text frame; the mask is zero, so the payload stands as it is."""
    payload = text.encode()
    if len(payload) < 126:
        return bytes([0x81, 0x80 | len(payload)]) + bytes(4) + payload
    return bytes([0x81, 0xFE]) + len(payload).to_bytes(2) + bytes(4) + payload


class Client:
    """One connection, by hand, so that the measuring side costs little."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), ANSWER_TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read_until(self, mark: bytes) -> None:
        """Read on until `mark` has come, and forget everything up to it."""
        while mark not in self.received:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise Failure("the server closed a connection")
            self.received += chunk
        self.received = self.received[self.received.index(mark) + len(mark) :]


def signed_clients(port: int, uids: list[str]) -> list[Client]:
    """Connect and sign them, in batches so that the server's queue of new connections is not overrun."""
    clients: list[Client] = []
    for start in range(0, len(uids), CONNECT_BATCH):
        batch = []
        for uid in uids[start : start + CONNECT_BATCH]:
            client = Client(port)
            client.send(HANDSHAKE)
            batch.append((client, uid))
        for client, uid in batch:
            client.read_until(b"\r\n\r\n")
            client.send(frame(json.dumps({"type": "sign", "uid": uid})))
        for client, _ in batch:
            client.read_until(b'"token":"')
            clients.append(client)
    return clients


def round_trips(a: Client, b: Client, rounds: int) -> list[float]:
    """Microseconds for a message from a to b and one back, each after the one before."""
    to_b = frame('{"type":"msg","to":"pair-b","body":"ping"}')
    to_a = frame('{"type":"msg","to":"pair-a","body":"pong"}')
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        a.send(to_b)
        b.read_until(b'"body":"ping"')
        b.send(to_a)
        a.read_until(b'"body":"pong"')
        times.append((time.perf_counter() - started) * 1e6)
    return times


def resident_kb(pid: int) -> int:
    """The server's resident memory."""
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
    raise Failure("no VmRSS")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise Failure(f"the server exited with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise Failure("the server does not listen")


def p50(times: list[float]) -> float:
    return statistics.median(times)


def measure(port: int, pid: int, idle: int, rounds: int) -> dict[str, float]:
    a, b = signed_clients(port, ["pair-a", "pair-b"])
    round_trips(a, b, rounds // 10)  # warm up
    before = round_trips(a, b, rounds)
    memory_before = resident_kb(pid)
    crowd = signed_clients(port, [f"idle-{i}" for i in range(idle)])
    memory_beside = resident_kb(pid)
    beside = round_trips(a, b, rounds)
    for client in crowd:
        client.socket.close()
    after = round_trips(a, b, rounds)
    alone = (p50(before) + p50(after)) / 2
    return {
        "idle": idle,
        "rounds": rounds,
        "alone_before_us": round(p50(before), 1),
        "beside_crowd_us": round(p50(beside), 1),
        "alone_after_us": round(p50(after), 1),
        "ratio": round(p50(beside) / alone, 3),
        "bytes_per_idle_connection": round((memory_beside - memory_before) * 1024 / max(idle, 1)),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--start", required=True, help="the command that starts the server, with {port}")
    parser.add_argument(
        "--idle", type=int, default=10000, help="connections in the crowd (default %(default)s)"
    )
    parser.add_argument(
        "--rounds", type=int, default=3000, help="round trips for each figure (default %(default)s)"
    )
    parser.add_argument("--ratio-max", type=float, default=1.5, help="(default %(default)s)")
    arguments = parser.parse_args()
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard_limit, hard_limit))
    if arguments.idle + RESERVED_FILES > hard_limit:
        print(f"--idle {arguments.idle}: at most {hard_limit} files may be open", file=sys.stderr)
        return 2
    port = free_port()
    command = shlex.split(arguments.start.replace("{port}", str(port)))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until_ready(process, port)
        result = measure(port, process.pid, arguments.idle, arguments.rounds)
    except (Failure, OSError) as error:
        print(f"could not measure: {error}", file=sys.stderr)
        return 3
    finally:
        process.terminate()
        process.wait(10)
    print(json.dumps(result))
    return 0 if result["ratio"] <= arguments.ratio_max else 1


if __name__ == "__main__":
    sys.exit(main())
