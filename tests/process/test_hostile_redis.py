"""Whoever can write to Redis writes anything into any key of chatd's, at random.

chatd lives, and once its own times are over nobody is lost, locked out, or spinning. Other seeds, and longer:
HOSTILE_SEED=4711 HOSTILE_SECONDS=60."""

import contextlib
import itertools
import json
import os
import random
import time
from typing import Any

import pytest
import redis
from clients import ask, sign
from conftest import Chatd, Redis, Start, wait_until
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect

SECONDS = float(os.environ.get("HOSTILE_SECONDS", "15"))
WRITES = 30  # between two looks
HEALED_S = 7  # the lease and the refresh, and what a busy machine adds
HEARD_SECONDS = 30
DROPPED = 1008
IDLE_S = 0.6
IDLE_SHARE_MAX = 0.25  # of a core, with sanitizers
UIDS = ("alice", "bob", "offline", "{a}%b")

NUMBERS = (
    *("", "x", "0", "-1", "01", "00", "1.5", "1e30", "inf", "-inf", "nan", "+1", " 1", "9007199254740991"),
    *(
        "9007199254740992",
        "9223372036854775807",
        "9223372036854775808",
        "18446744073709551615",
        "9" * 40,
        "3000000000000",
    ),
)
HALVES = (
    "0",
    "1",
    "01",
    "1700000000000",
    "3000000000000",
    "9007199254740991",
    "9007199254740992",
    *NUMBERS[-5:-2],
)
LAST = 18446744073709551615


def garbage(chance: random.Random) -> bytes:
    kind = chance.randrange(6)
    if kind == 0:
        return chance.choice(NUMBERS).encode()
    if kind == 1:
        return f"{chance.choice(HALVES)}-{chance.choice(HALVES)}".encode()
    if kind == 2:
        return chance.randbytes(chance.choice((1, 7, 40)))
    if kind == 3:
        return b"y" * chance.choice((129, 5000, 300000))
    if kind == 4:
        return chance.choice(UIDS).encode()
    return b"ghost-%016x.%d" % (chance.getrandbits(64), chance.choice((0, 1, 7, LAST)))


def entry_id(chance: random.Random) -> str:
    far = (2**53 - 1, 2**53, 2**63 - 1, 2**63, LAST - 1, LAST, 3 * 10**12, 1)
    return chance.choice(("*", f"{chance.choice(far)}-{chance.choice(far)}", f"{chance.choice(far)}-0"))


class Vandal:
    """Another program on the same Redis, whose writes are remembered until all was well."""

    def __init__(self, server: Redis, chance: random.Random) -> None:
        self.redis: Any = redis.Redis(port=server.port, password=server.password)
        self.chance = chance
        self.done: list[str] = []

    def ask(self, *words: Any) -> Any:
        """Redis may refuse it: that is none of our business."""
        self.done.append(" ".join(str(word)[:60] for word in words))
        with contextlib.suppress(redis.ResponseError):
            return self.redis.execute_command(*words)

    def key(self) -> Any:
        keys = sorted(self.redis.scan_iter("chat_*", count=1000))
        uid = "chat_map_uid_fd:" + self.chance.choice(UIDS).replace("{", "%7B").replace("}", "%7D").replace(
            "%b", "%25b"
        )
        likely = [
            f"chat_inbox:{{{uid}}}",
            f"chat_inbox_state:{{{uid}}}",
            f"chat_dup:{{{uid}}}:3:bobc",
            "chat_nodes",
        ]
        return self.chance.choice([*keys, *(name.encode() for name in likely)])

    def write(self) -> None:
        key, chance = self.key(), self.chance
        name = key.split(b":")[0]
        kind = self.redis.type(key)
        if chance.random() < 0.25 or kind == b"none":
            self.replace(key, name)
        elif chance.random() < 0.15:
            self.ask(
                *chance.choice(
                    (("PERSIST", key), ("PEXPIRE", key, 1), ("PEXPIRE", key, 10**15), ("DEL", key))
                )
            )
        else:
            self.change(key, kind)

    def replace(self, key: Any, name: Any) -> None:
        kind = self.chance.choice((b"string", b"list", b"set", b"zset", b"hash", b"stream"))
        if name in (b"chat_inbox", b"chat_node_queue") and self.chance.random() < 0.7:
            kind = b"stream"
        elif name == b"chat_inbox_state" and self.chance.random() < 0.7:
            kind = b"hash"
        self.ask("DEL", key)
        self.change(key, kind)

    def change(self, key: Any, kind: Any) -> None:
        chance, value = self.chance, garbage(self.chance)
        if kind == b"string":
            self.ask("SET", key, value)
        elif kind == b"list":
            self.ask("RPUSH", key, value)
        elif kind == b"set":
            self.ask(
                *chance.choice(
                    (
                        ("SADD", key, value),
                        ("SPOP", key),
                        ("SADD", key, *(garbage(chance) for _ in range(300))),
                    )
                )
            )
        elif kind == b"zset":
            score = chance.choice(
                (
                    "inf",
                    "-inf",
                    "0",
                    "1e300",
                    str(int(time.time() * 1000) + chance.randrange(-(10**6), 10**6)),
                )
            )
            members = self.redis.zrange(key, 0, -1) or [value]
            member = chance.choice((value, chance.choice(members), b"ghost-%016x" % chance.getrandbits(64)))
            self.ask(*chance.choice((("ZADD", key, score, member), ("ZREM", key, member))))
        elif kind == b"hash":
            field = chance.choice(
                (*self.redis.hkeys(key), b"last", b"confirmed", b"trimmed", b"created", value)
            )
            self.ask(*chance.choice((("HSET", key, field, garbage(chance)), ("HDEL", key, field))))
        else:
            self.change_stream(key, garbage(chance))

    def change_stream(self, key: Any, value: bytes) -> None:
        chance = self.chance
        if chance.random() < 0.2:
            self.ask(
                *chance.choice(
                    (("XSETID", key, entry_id(chance)), ("XTRIM", key, "MAXLEN", 0), ("XSETID", key, "0-0"))
                )
            )
            return
        fields = chance.choice(
            (
                ("x", value),
                ("from", "bob", "body", value),
                ("from", value, "body", "1"),
                ("uid", "alice", "from", "bob", "body", "1", "id", value, "previous", value),
                ("uid", value, "from", "bob", "body", "1"),
                ("uid", "alice", "id", value),
                ("from", "bob", "body", value),
                ("marker", value),
            )
        )
        self.ask("XADD", key, entry_id(chance), *fields)


def client(chatd: Chatd) -> ClientConnection:
    return connect(chatd.url, ping_interval=None, max_size=2**24, max_queue=None)


def until(device: ClientConnection, body: str) -> dict[str, Any]:
    """Read until this body comes. What others made up may come, too."""
    give_up = time.monotonic() + HEARD_SECONDS
    while True:
        message: dict[str, Any] = json.loads(device.recv(timeout=max(give_up - time.monotonic(), 0.01)))
        if message.get("body") == body:
            return message


def reply(device: ClientConnection, cid: str, **request: Any) -> dict[str, Any]:
    """Ask, and read until the reply to that."""
    device.send(json.dumps({**request, "cid": cid}))
    while True:
        message: dict[str, Any] = json.loads(device.recv(timeout=HEARD_SECONDS))
        if message.get("cid") == cid:
            return message


def seconds_of_cpu(chatd: Chatd) -> float:
    with open(f"/proc/{chatd.process.pid}/stat") as stat:
        return sum(map(int, stat.read().rsplit(")", 1)[1].split()[11:13])) / os.sysconf("SC_CLK_TCK")


class Place:
    """Two nodes, with a device of alice and one of bob on each."""

    def __init__(self, nodes: list[Chatd], has_history: bool) -> None:
        self.nodes = nodes
        self.has_history = has_history
        self.numbers = itertools.count()
        self.devices = {(uid, i): self.signed(uid, i) for uid in ("alice", "bob") for i in range(2)}

    def signed(self, uid: str, i: int) -> ClientConnection:
        device = client(self.nodes[i])
        sign(device, uid)
        return device

    def look(self) -> None:
        """Everybody is there: who was, and who comes now."""
        for i in range(2):
            for uid in ("alice", "offline", "{a}%b"):
                try:
                    self.look_with_newcomer(uid, i)
                except ConnectionClosedError as closed:
                    self.sign_again(closed)
                    self.look_with_newcomer(uid, i)

    def sign_again(self, closed: ConnectionClosedError) -> None:
        """With history, who had not read what was deleted is told so: by 1008, and a gap at the next sign."""
        if not self.has_history or closed.rcvd is None or closed.rcvd.code != DROPPED:
            raise closed
        for (uid, i), device in self.devices.items():
            if device.close_code is not None:
                assert device.close_code == DROPPED
                self.devices[uid, i] = self.signed(uid, i)

    def look_with_newcomer(self, uid: str, i: int) -> None:
        with client(self.nodes[i]) as newcomer:
            self.look_at(newcomer, uid, i)

    def look_at(self, newcomer: ClientConnection, uid: str, i: int) -> None:
        body = f"to {uid} {next(self.numbers)}"
        bob = self.devices["bob", 1 - i]
        if self.has_history and uid != "alice":
            assert reply(bob, body, type="msg", to=uid, body=body)["status"] == 1
            sign_and_wait(newcomer, uid, body)
        else:
            sign(newcomer, uid)
        body = f"live {body}"
        assert reply(bob, body, type="msg", to=uid, body=body)["status"] == 1
        until(newcomer, body)
        if uid == "alice":
            until(self.devices["alice", 0], body)
            until(self.devices["alice", 1], body)
        assert reply(bob, "b" + body, type="broadcast", body="to all " + body)["status"] == 1
        for device in (newcomer, self.devices["alice", 0], self.devices["alice", 1], self.devices["bob", i]):
            until(device, "to all " + body)

    def rest(self) -> None:
        """With nothing to do they do nothing."""
        before = [seconds_of_cpu(node) for node in self.nodes]
        time.sleep(IDLE_S)
        for node, seconds in zip(self.nodes, before, strict=True):
            assert node.process.poll() is None, node.log()[-3000:]
            assert (seconds_of_cpu(node) - seconds) / IDLE_S < IDLE_SHARE_MAX


def sign_and_wait(device: ClientConnection, uid: str, body: str) -> None:
    assert ask(device, type="sign", uid=uid)["status"] == 1
    until(device, body)


@pytest.fixture
def seed() -> int:
    number = int(os.environ.get("HOSTILE_SEED", str(random.SystemRandom().randrange(10**9))))
    print(f"HOSTILE_SEED={number}")
    return number


@pytest.mark.parametrize("features", ["broadcast,nodes", "broadcast,history,nodes"])
def test_nothing_in_redis_loses_anybody(start: Start, private_redis: Redis, seed: int, features: str) -> None:
    times = ("--redis-timeout-ms", "2000", "--redis-lease-ms", "4000", "--redis-refresh-ms", "1000")
    shared = ("--redis", private_redis.url, "--features", features, *times)
    nodes = [start(*shared, "--node-name", name) for name in ("na", "nb")]
    wait_until(lambda: all(" info redis_connected " in node.log() for node in nodes), "Redis is there")
    time.sleep(1)
    place = Place(nodes, "history" in features)
    vandal = Vandal(private_redis, random.Random(seed))
    place.look()

    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        vandal.done.clear()
        for _ in range(WRITES):
            with contextlib.suppress(redis.ResponseError):  # chatd was there first, and it has another type
                vandal.write()
        time.sleep(HEALED_S)
        try:
            place.rest()
            place.look()
        except BaseException:
            print("\n".join(vandal.done))
            print(*(node.log()[-6000:] for node in nodes), sep="\n----\n")
            raise
