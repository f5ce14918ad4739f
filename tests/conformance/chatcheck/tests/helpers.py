"""What several test files share."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import redis

from chatcheck.client import Client
from chatcheck.conversation import Conversation, dump, same_json
from chatcheck.raw_client import TEXT, RawClient, build_frame
from chatcheck.target import Server
from chatcheck.timing import eventually
from chatcheck.transcript import show_bytes, show_text
from chatcheck.verdict import Mismatch

TTL_MAX = 86400  # STORE-3


def fresh() -> str:
    """A string that nobody else uses: for bodies and cids."""
    return secrets.token_hex(8)


def fresh_number() -> int:
    """A uid that is a number and that nobody else uses."""
    return 2**52 + secrets.randbits(52)


def send_in_one_write(raw: RawClient, texts: Iterable[str], *frames: bytes) -> None:
    """Send text messages, and then these frames, as one write to the socket."""
    shown = list(texts)
    data = b"".join([*(build_frame(TEXT, text.encode()) for text in shown), *frames])
    more = f" and {len(frames)} more frames" if frames else ""
    raw.send_raw(data, f"in one write, {len(shown)} messages: {show_text(' '.join(shown))}{more}")


def fence_devices(*devices: Conversation) -> None:
    """Prove that nothing has arrived at any of the devices, which have to be all that their uid has."""
    if devices[0].uid == devices[0].own_words.shared_uid:
        for device in devices:
            device.fence()
        return
    first, body = devices[0], fresh()
    first.send(type="msg", to=first.uid, body=body)
    for device in devices:
        device.expect_delivery(body, first.uid)
    first.expect_reply(1)


def fence_for_a_while(*clients: Conversation, seconds: float = 1.0) -> None:
    """Fence again and again: what a server has put off (until Redis is back, say) comes with a delay."""

    def fence_all() -> bool:
        for client in clients:
            client.fence()
        return False

    eventually(fence_all, within=seconds, every=0.1)


def settle(client: Conversation) -> None:
    """Set aside what became of msgs to this device that were answered as unavailable.

    Where the store broke before it said whether it had them, they may arrive, once at most: REPLY-8.
    """
    client.send(type="msg", to=client.uid, body=(last := fresh()))
    got = Counter[str]()
    own = dump([client.uid, last])
    while not got[own]:
        message = client.recv()
        got[dump([message["from"], message["body"]])] += 1
    client.expect_reply(1)
    assert max(got.values()) == 1, f"came more than once: {got}"


def deliver_to_all(sender: Conversation, uid: str, *devices: Conversation, body: object = None) -> None:
    """Send to 'uid' and see the message come next at each of the devices, which have to be all it has."""
    body = fresh() if body is None else body
    sender.msg(uid, body)
    for device in devices:
        device.expect_delivery(body, sender.uid)


def expect_in_any_mixture(
    device: Conversation, msgs: list[Any], broadcasts: list[Any], n_replies: int = 0
) -> list[dict[str, Any]]:
    """These msgs in their order and these broadcasts in theirs come next, and so many good replies."""
    __tracebackhide__ = True
    got = [device.recv() for _ in range(len(msgs) + len(broadcasts) + n_replies)]
    replies = [message for message in got if "status" in message]
    heard = [message["body"] for message in got if "broadcast" in message]
    others = [message["body"] for message in got if not message.keys() & {"status", "broadcast"}]
    for what, wanted, came in (("broadcasts", broadcasts, heard), ("msgs", msgs, others)):
        if not same_json(came, wanted):
            raise Mismatch(
                show_text(f"the {what} {dump(wanted)} on {device.name}"), show_text(dump(came) or "none")
            )
    if [reply["status"] for reply in replies] != [1] * n_replies:
        raise Mismatch(f"{n_replies} replies with status 1", show_text(dump(replies)))
    return got


def broadcast_as_written(sender: Client, bodies: list[str], *devices: Conversation) -> None:
    """Broadcast these JSON texts, without waiting between: each must reach the sender and these devices."""
    __tracebackhide__ = True
    for body in bodies:
        sender.own_words.add({"type": "broadcast", "body": json.loads(body)})
        sender.send_text(f'{{"type":"broadcast","body":{body}}}')
    for body in map(json.loads, bodies):
        for device in (sender, *devices):
            device.expect_broadcast(body, sender.uid)
        sender.expect_reply(1)


def in_redis(server: Server, *keys: bytes) -> str:
    """What Redis has at these keys now, for a report."""
    return ", ".join(f"{show_bytes(key)} = {_value_in_redis(server.redis, key)}" for key in keys)


def _value_in_redis(redis_: Any, key: bytes) -> str:
    kind = redis_.type(key).decode()
    if kind == "set":
        return "{" + ", ".join(sorted(map(show_bytes, redis_.smembers(key)))) + "}"
    if kind == "string":
        return f'"{show_bytes(redis_.get(key) or b"")}" with a TTL of {redis_.ttl(key)} s'
    return kind if kind == "none" else f"a {kind}"


def expect_in_redis(
    server: Server, what: str, is_so: Callable[[], object], *keys: bytes, within: float = 0.0
) -> None:
    """It must be so, within the (scaled) time; else the report says what Redis has at the keys."""
    __tracebackhide__ = True
    if not eventually(is_so, within=within):
        limit = f", within {within:g} s" if within else ""
        raise Mismatch(f"in Redis {what}{limit}", in_redis(server, *keys))


def expect_gone(server: Server, *keys: bytes, within: float = 0.0) -> None:
    """Redis must have none of these keys any more."""
    __tracebackhide__ = True
    expect_in_redis(
        server, "none of these keys", lambda: not server.redis.exists(*keys), *keys, within=within
    )


def expect_fds(server: Server, uid: str, *fds: bytes, within: float = 0.0) -> None:
    """The set of the uid must have these fds and no others."""
    __tracebackhide__ = True
    shown = "{" + ", ".join(sorted(map(show_bytes, fds))) + "}"
    what = f"{show_bytes(set_key(uid))} = {shown}"
    expect_in_redis(server, what, lambda: fds_of(server, uid) == set(fds), set_key(uid), within=within)


def expect_soon(what: str, is_so: Callable[[], object], within: float, every: float = 0.01) -> None:
    """It must come to be so within the (scaled) time."""
    __tracebackhide__ = True
    if not eventually(is_so, within=within, every=every):
        raise Mismatch(f"{what}, within {within:g} s", "not so")


def set_key(uid: str) -> bytes:
    """The key of the set of a uid's fds."""
    return b"chat_map_uid_fd:" + uid.encode()


def uid_key(fd: bytes) -> bytes:
    """The key of the uid of a connection."""
    return b"chat_map_fd_uid:" + fd


def fds_of(server: Server, uid: str) -> set[bytes]:
    """The fds that Redis has for a uid now."""
    try:
        return {bytes(fd) for fd in server.redis.smembers(set_key(uid)) if isinstance(fd, bytes)}
    except redis.ResponseError as error:
        raise Mismatch(f"that {set_key(uid)!r} is a set", str(error)) from None


def uid_of(server: Server, fd: bytes) -> bytes | None:
    """The uid that Redis has for an fd now."""
    try:
        uid = server.redis.get(uid_key(fd))
    except redis.ResponseError as error:
        raise Mismatch(f"that {uid_key(fd)!r} is a string", str(error)) from None
    return uid if isinstance(uid, bytes) else None


def fd_of(server: Server, uid: str, *known: bytes) -> bytes:
    """The fd of the newest device of 'uid', when 'known' are those of the others."""
    fds = fds_of(server, uid) - set(known)
    assert len(fds) == 1, f"expected one new fd of {uid}: {fds}"
    return fds.pop()


def signed_with_fd(server: Server, uid: str) -> tuple[Client, bytes]:
    """A new device of 'uid', and its fd."""
    known = fds_of(server, uid)
    client = server.signed(uid)
    return client, fd_of(server, uid, *known)


def check_traces(server: Server, uid: str, *fds: bytes) -> None:
    """Redis has exactly these fds for the uid, each with its own key."""
    expect_fds(server, uid, *fds)
    for fd in fds:
        what = f'{show_bytes(uid_key(fd))} = "{uid}" with a TTL of 1 to {TTL_MAX} s'
        expect_in_redis(server, what, partial(has_own_key, server, uid, fd), uid_key(fd))


def has_own_key(server: Server, uid: str, fd: bytes) -> bool:
    """Does Redis say for the fd that it is the uid's, and for how long?"""
    return uid_of(server, fd) == uid.encode() and 1 <= server.redis.ttl(uid_key(fd)) <= TTL_MAX
