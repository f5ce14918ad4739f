"""What the checks of SPEC 7 and 8 share: messages with ids, and how they are confirmed."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from chatcheck.client import Client
from chatcheck.conversation import Conversation, dump
from chatcheck.target import Server
from chatcheck.tests.helpers import fresh
from chatcheck.timing import AT_ONCE_SECONDS
from chatcheck.verdict import Mismatch

_ID = re.compile(r"(0|[1-9][0-9]*)-(0|[1-9][0-9]*)", re.ASCII)
_NUMBER_MAX = 2**53 - 1


def order_of(id: object) -> tuple[int, int]:
    """An id as it is compared; fails if it is none."""
    match = _ID.fullmatch(id) if isinstance(id, str) else None
    numbers = tuple(int(number) for number in match.groups()) if match else (-1, -1)
    if match is None or max(numbers) > _NUMBER_MAX:
        raise Mismatch('an id: "<ms>-<n>"', dump(id))
    return numbers[0], numbers[1]


def id_in(message: dict[str, Any]) -> str:
    """The id of a delivery or of a reply to a msg; fails if it has none."""
    if "id" not in message:
        raise Mismatch("a member id", dump(message))
    order_of(message["id"])
    return str(message["id"])


def expect_stored(client: Conversation, body: object, sender: str) -> str:
    """The next message must be the delivery of this msg, with an id, which is returned, and a time."""
    __tracebackhide__ = True
    delivery = client.expect_delivery(body, sender)
    if not isinstance(delivery.get("time"), int | float) or isinstance(delivery["time"], bool):
        raise Mismatch("a member time that is a number", dump(delivery))
    return id_in(delivery)


def expect_all(client: Conversation, bodies: Iterable[object], sender: str) -> list[str]:
    """The next messages must be the deliveries of these; their ids."""
    __tracebackhide__ = True
    return [expect_stored(client, body, sender) for body in bodies]


def send_stored(sender: Conversation, to: str, body: object, **extra: object) -> str:
    """Send a msg; its id. (To somebody else: to oneself the delivery comes first.)"""
    __tracebackhide__ = True
    return id_in(sender.msg(to, body, **extra))


def send_many(sender: Conversation, to: str, bodies: list[Any], with_cids: bool = False) -> list[str]:
    """Send msgs without waiting for the replies between; their ids. The cids are the bodies."""
    __tracebackhide__ = True
    for body in bodies:
        sender.send(type="msg", to=to, body=body, **({"cid": body} if with_cids else {}))
    return [id_in(sender.expect_reply(1)) for _ in bodies]


def some(n: int) -> list[str]:
    """So many fresh bodies."""
    mark = fresh()
    return [f"{mark} {number}" for number in range(n)]


def silent(server: Server, uid: str, **extra: str) -> Client:
    """A new device that answers no pings, so that it confirms nothing."""
    __tracebackhide__ = True
    client = server.connect()
    client.withhold_pongs()
    client.sign(uid, **extra)
    return client


def reader(server: Server, uid: str, **extra: str) -> Client:
    """A new device that answers pings as every client does. A plain sign, as server.signed() makes none."""
    __tracebackhide__ = True
    client = server.connect()
    client.sign(uid, **extra)
    return client


def await_ping(server: Server, client: Client, id: str) -> None:
    """Wait for the ping with this id."""
    __tracebackhide__ = True
    client.expect_ping(id.encode(), server.documented.confirm_wait + AT_ONCE_SECONDS)


def confirm(server: Server, client: Client, id: str) -> None:
    """See the ping with this id, which the client answers, and be sure that the pong has taken effect."""
    __tracebackhide__ = True
    await_ping(server, client, id)
    client.msg(server.uid(), 0)
