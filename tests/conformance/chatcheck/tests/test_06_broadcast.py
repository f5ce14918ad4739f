"""SPEC 6: broadcast. A broadcast reaches every device, so every device of a test has to expect its own."""

from __future__ import annotations

import random

import pytest

from chatcheck.claims import echoed, from_now_on
from chatcheck.client import Client
from chatcheck.conversation import Conversation, dump
from chatcheck.target import Server
from chatcheck.tests.bodies import BODIES
from chatcheck.tests.helpers import (
    broadcast_as_written,
    deliver_to_all,
    expect_in_any_mixture,
    fence_devices,
    fresh,
    fresh_number,
    send_in_one_write,
)
from chatcheck.tests.history import await_ping, expect_stored, send_many, send_stored, silent, some
from chatcheck.verdict import untested

pytestmark = pytest.mark.feature("broadcast")


def broadcast_to_all(sender: Client, *devices: Conversation, body: object = None) -> None:
    """Broadcast, and see it come next at each of the devices, which are all that the test has."""
    body = fresh() if body is None else body
    sender.broadcast(body)
    for device in devices:
        device.expect_broadcast(body, sender.uid)


def several(server: Server) -> tuple[Client, list[list[Client]]]:
    """A device that may broadcast, and for each of some users all devices, of the first its other one."""
    sender = server.broadcaster()
    users = [[server.connect()], *([server.connect() for _ in range(n)] for n in (1, 2, 3))]
    users[0][0].sign(sender.uid, **from_now_on())
    for devices in users[1:]:
        uid = server.uid()
        for device in devices:
            device.sign(uid)
    return sender, users


def fence_all(sender: Client, users: list[list[Client]]) -> None:
    """Nothing else has arrived at any of the devices that several() has made."""
    fence_devices(sender, *users[0])
    for devices in users[1:]:
        fence_devices(*devices)


# CAST-1, CAST-2 and CAST-8: who gets it, and what.


@pytest.mark.spec("CAST-1")
def test_a_broadcast_is_answered_with_status_1(server: Server) -> None:
    """CAST-1: "A broadcast of a signed connection with a `body` MUST be answered with status 1, unless
    [CAST-9] refuses it."

    As section 4 says of all requests: with its cid, and not if that is none.
    """
    sender = server.broadcaster()
    bodies: list[object] = [fresh(), "", 0, None, False, [], {"to": "x"}, "x" * 3000]
    for body in bodies:
        cid = fresh()
        sender.send(type="broadcast", body=body, cid=cid)
        sender.expect_broadcast(body, sender.uid)
        sender.expect_reply(1, msg="sended", **echoed(cid))
    sender.send(type="broadcast", body=fresh(), cid=7)
    assert "cid" not in sender.expect_reply(0, "invalid_cid")
    undefined: list[object] = [7, "", []]  # for a broadcast has no 'to' (JSON-4)
    for to in undefined:
        sender.send(type="broadcast", body=1, to=to)
        sender.expect_broadcast(1, sender.uid)
        assert "cid" not in sender.expect_reply(1)
    sender.fence()


@pytest.mark.spec("CAST-2")
def test_each_device_of_each_user_gets_the_broadcast_once(server: Server) -> None:
    """CAST-2: "Every device of every uid MUST get `{"body":B,"from":F,"broadcast":1}` exactly once, where B
    is the body and F the sender's uid; the sending connection is one of them."
    """
    sender, users = several(server)
    everybody = [device for devices in users for device in devices]
    for _ in range(4):
        broadcast_to_all(sender, *everybody)
    fence_all(sender, users)
    newest = server.signed()
    broadcast_to_all(sender, *everybody, newest)
    everybody.pop().close()
    users[-1].pop()
    broadcast_to_all(sender, *everybody, newest)
    fence_all(sender, [*users, [newest]])


@pytest.mark.spec("CAST-2")
def test_each_of_many_devices_gets_the_broadcast_once(server: Server) -> None:
    """CAST-2: "Every device of every uid MUST get `{"body":B,"from":F,"broadcast":1}` exactly once, where B
    is the body and F the sender's uid; the sending connection is one of them."
    """
    early = [server.signed() for _ in range(35)]
    sender = server.broadcaster()
    late = [server.signed() for _ in range(35)]
    broadcast_to_all(sender, *early, *late)
    broadcast_to_all(sender, *early, *late)
    for device in (sender, *early, *late):
        device.fence()


@pytest.mark.spec("CAST-2")
def test_a_device_that_has_signed_again_gets_the_broadcast_once(server: Server) -> None:
    """CAST-2: "Every device of every uid MUST get `{"body":B,"from":F,"broadcast":1}` exactly once, where B
    is the body and F the sender's uid; the sending connection is one of them."

    As the same uid, as another one, and back; the sender has been somebody else, too.
    """
    sender, mover, same = server.connect(), server.signed(), server.signed()
    sender.sign(server.uid())
    sender.sign(server.broadcaster().uid, **from_now_on())
    home = mover.uid
    same.sign(same.uid)
    mover.sign(server.uid())
    broadcast_to_all(sender, mover, same)
    mover.sign(home)
    broadcast_to_all(sender, mover, same)
    for device in (sender, mover, same):
        device.fence()


@pytest.mark.spec("CAST-2")
def test_a_body_arrives_as_it_was_and_a_msg_is_no_broadcast(server: Server) -> None:
    """CAST-2: "Every device of every uid MUST get `{"body":B,"from":F,"broadcast":1}` exactly once, where B
    is the body and F the sender's uid; the sending connection is one of them."
    """
    sender, bob = server.broadcaster(), server.signed()
    bodies: list[object] = [{}, [], {"a": {}, "b": [{}]}, "\u0000 😀", 1.5, 2**53 - 1, None, {"from": 1}]
    bodies += [fresh() * (size // 16) for size in (128, 1024, 4096, 60_000)]
    for body in bodies:
        broadcast_to_all(sender, bob, body=[fresh(), body])
    body = fresh()
    sender.msg(bob.uid, body)
    assert "broadcast" not in bob.expect_delivery(body, sender.uid)
    sender.send(type="broadcast", body=body, uid=bob.uid, broadcast=7, **{"from": bob.uid})
    for device in (sender, bob):
        device.expect_broadcast(body, sender.uid)
    sender.expect_reply(1)
    bob.fence()


@pytest.mark.spec("CAST-2", "CAST-1")
def test_a_broadcast_is_never_a_retry(server: Server) -> None:
    """CAST-2: "Every device of every uid MUST get `{"body":B,"from":F,"broadcast":1}` exactly once, where B
    is the body and F the sender's uid; the sending connection is one of them."

    CAST-1: "A broadcast of a signed connection with a `body` MUST be answered with status 1, unless [CAST-9]
    refuses it."

    With the cid of a broadcast, or of a msg to whomever; nor is a msg one of a broadcast (HIST-19).
    """
    sender, bob, cid, body = server.broadcaster(), server.signed(), fresh(), fresh()
    sender.send(type="msg", to=sender.uid, body=body, cid=cid)
    sender.expect_delivery(body, sender.uid)
    sender.expect_reply(1)
    assert "dup" not in sender.msg(bob.uid, body, cid=cid)
    bob.expect_delivery(body, sender.uid)
    for _ in range(2):
        sender.send(type="broadcast", body=body, cid=cid)
        for device in (sender, bob):
            device.expect_broadcast(body, sender.uid)
        assert "dup" not in sender.expect_reply(1, msg="sended", **echoed(cid))
    other = fresh()
    sender.send(type="broadcast", body=body, cid=other)
    for device in (sender, bob):
        device.expect_broadcast(body, sender.uid)
    sender.expect_reply(1)
    assert "dup" not in sender.msg(bob.uid, body, cid=other)
    bob.expect_delivery(body, sender.uid)
    bob.fence()


@pytest.mark.spec("CAST-2", "UID-5")
def test_the_sender_of_a_broadcast_is_a_string(server: Server) -> None:
    """CAST-2: "Every device of every uid MUST get `{"body":B,"from":F,"broadcast":1}` exactly once, where B
    is the body and F the sender's uid; the sending connection is one of them."

    UID-5: "In the member `from` of a delivery a uid MUST be a string."
    """
    sender, bob = server.connect(), server.signed()
    sender.sign(server.documented.broadcaster or fresh_number(), **from_now_on())
    broadcast_to_all(sender, bob)
    bob.fence()


@pytest.mark.spec("CAST-2", "BODY-1")
def test_whatever_a_body_is_it_is_broadcast_as_that(server: Server) -> None:
    r"""CAST-2: "Every device of every uid MUST get `{"body":B,"from":F,"broadcast":1}` exactly once, where B
    is the body and F the sender's uid; the sending connection is one of them."

    BODY-1: "A body MUST arrive as the same value, for every value of I-JSON (RFC 7493): numbers equal as
    binary64, strings code point for code point with `\u0000` and characters beyond U+FFFF, `{}` and `[]` as
    they were, with nothing added or dropped at any level."
    """
    sender, bob = server.broadcaster(), server.signed()
    bodies = [f'["{fresh()}",{body}]' for body in BODIES]
    broadcast_as_written(sender, bodies, bob)
    bob.fence()


@pytest.mark.spec("CAST-2", "CAST-10")
def test_each_device_gets_the_broadcasts_of_several_senders(server: Server) -> None:
    """CAST-2: "Every device of every uid MUST get `{"body":B,"from":F,"broadcast":1}` exactly once, where B
    is the body and F the sender's uid; the sending connection is one of them."

    CAST-10: "Broadcasts of one connection MUST arrive at each device in the order in which they were sent."
    """
    senders = [server.broadcaster() for _ in range(3)]
    bob = server.signed()
    sent = [[[fresh(), number] for number in range(20)] for _ in senders]
    for number in range(20):
        for sender, bodies in zip(senders, sent, strict=True):
            sender.send(type="broadcast", body=bodies[number])
    for device in (bob, *senders):
        got: list[object] = []
        n_replies = 20 if device in senders else 0
        while len(got) < 60 or n_replies:
            message = device.recv()
            if "status" in message:
                n_replies -= 1
            else:
                got.append(message["body"])
        for bodies in sent:
            assert [body for body in got if body in bodies] == bodies
        assert len(got) == 60
        device.fence()


@pytest.mark.spec("CAST-8")
def test_the_sender_gets_each_broadcast_before_its_reply(server: Server) -> None:
    """CAST-8: "The sending connection MUST get its broadcast before the reply." """
    sender, others = server.broadcaster(), [server.signed() for _ in range(3)]
    broadcast_to_all(sender, *others)
    bodies = [fresh() for _ in range(30)]
    for body in bodies:
        sender.send(type="broadcast", body=body, cid=body)
    delivered = replied = 0
    while replied < len(bodies):
        message = sender.recv()
        if "status" in message:
            assert message["status"] == 1
            assert message.get("cid") == bodies[replied]
            assert delivered > replied, "the reply came before the broadcast"
            replied += 1
        else:
            assert message["body"] == bodies[delivered]
            delivered += 1
    for other in others:
        for body in bodies:
            other.expect_broadcast(body, sender.uid)
        other.fence()
    sender.fence()


# CAST-3 to CAST-6: who does not get it.


@pytest.mark.spec("CAST-3")
def test_a_connection_that_is_not_signed_gets_no_broadcast(server: Server) -> None:
    """CAST-3: "A connection that is not signed MUST NOT get a broadcast."

    Nor one whose sign failed. Twin: both get the next one once they have signed.
    """
    before, sender, bob = server.connect(), server.broadcaster(), server.signed()
    failed, after = server.connect(), server.connect()
    failed.send(type="sign", uid=[bob.uid])
    failed.expect_reply(0, "invalid_uid")
    for _ in range(3):
        broadcast_to_all(sender, bob)
        for stranger in (before, failed, after):
            stranger.fence()
    strangers = (before, failed, after)
    for stranger in strangers:
        stranger.sign(server.uid())
    broadcast_to_all(sender, bob, *strangers)
    for device in (bob, *strangers):
        device.fence()


@pytest.mark.spec("CAST-4")
def test_a_connection_that_is_not_signed_cannot_broadcast(server: Server) -> None:
    """CAST-4: "A broadcast of a connection that is not signed MUST be answered as `not_signed`, and reach
    nobody."

    What else is wrong with it is not said (REPLY-6).
    """
    bob, stranger = server.signed(), server.connect()
    for members in ({"body": fresh()}, {"body": fresh(), "uid": bob.uid, "from": bob.uid}, {}):
        stranger.send(type="broadcast", **members)
        stranger.expect_reply(0, "not_signed")
    stranger.send(type="sign", uid="")
    stranger.expect_reply(0, "invalid_uid")
    cid = fresh()
    stranger.send(type="broadcast", body=fresh(), cid=cid)
    stranger.expect_reply(0, "not_signed", **echoed(cid))
    bob.fence()
    stranger.sign(server.broadcaster().uid, **from_now_on())
    broadcast_to_all(stranger, bob)
    bob.fence()


@pytest.mark.spec("CAST-5")
def test_a_broadcast_without_body_reaches_nobody(server: Server) -> None:
    """CAST-5: "A broadcast without `body` MUST be answered as `missing_body`, and reach nobody." """
    sender, bob = server.broadcaster(), server.signed()
    for members in ({}, {"Body": fresh()}, {"msg": fresh()}, {"nested": {"body": fresh()}}, {"to": bob.uid}):
        sender.send(type="broadcast", **members)
        sender.expect_reply(0, "missing_body")
        sender.fence()
        bob.fence()
    broadcast_to_all(sender, bob, body={"body": fresh()})
    sender.send(type="broadcast", body=None)
    sender.expect_broadcast(None, sender.uid)
    sender.expect_reply(1)
    bob.expect_broadcast(None, sender.uid)
    bob.fence()


@pytest.mark.spec("CAST-6")
def test_a_broadcast_is_not_kept_for_later(server: Server) -> None:
    """CAST-6: "A broadcast MUST NOT be kept for later: a connection that signs on the same server after the
    reply does not get it, nor one that signs on another server when a documented time has passed since the
    reply; the reference server's is 2 s."

    Neither a new connection, nor one of a user who was there before, nor one that signs again. Twin: they
    get the next one.
    """
    sender, bob, waiting = server.broadcaster(), server.signed(), server.connect()
    was = server.signed()
    was.close()
    for _ in range(5):
        broadcast_to_all(sender, bob)
    bob.sign(bob.uid)
    waiting.sign(server.uid())
    back, second, new = server.connect(), server.connect(), server.connect()
    back.sign(was.uid)
    second.sign(bob.uid)
    new.sign(server.uid())
    fence_devices(bob, second)
    for device in (waiting, back, new):
        device.fence()
    broadcast_to_all(sender, bob, second, waiting, back, new)
    bob.sign(server.uid())
    second.sign(server.uid())
    for device in (bob, second):
        device.fence()


@pytest.mark.spec("CAST-6")
@pytest.mark.feature("history")
def test_a_broadcast_is_no_part_of_the_history(server: Server) -> None:
    """CAST-6: "A broadcast MUST NOT be kept for later: a connection that signs on the same server after the
    reply does not get it, nor one that signs on another server when a documented time has passed since the
    reply; the reference server's is 2 s."

    Twin: a msg that was sent between two broadcasts does come, with and without `since`.
    """
    sender, bob, uid = server.broadcaster(), server.signed(), server.uid()
    broadcast_to_all(sender, bob)
    body = fresh()
    sender.msg(uid, body)
    broadcast_to_all(sender, bob)
    first, second = server.connect(), server.connect()
    first.sign(uid)
    first.expect_delivery(body, sender.uid)
    second.sign(uid, since="0-0")
    second.expect_delivery(body, sender.uid)
    fence_devices(first, second)
    bob.sign(bob.uid, since="0-0")
    bob.fence()


@pytest.mark.spec("HIST-12", "HIST-13", "HIST-14")
@pytest.mark.feature("history")
def test_a_broadcast_changes_nothing_of_what_is_confirmed(server: Server) -> None:
    """HIST-12: "After deliveries of msgs a server MUST send the device a ping whose payload is the id of the
    last of them, within a documented time; the reference server does within a second."

    HIST-13: "A pong with the payload of any such ping that is not answered yet, of the newest eight at
    least, MUST confirm every message of the uid up to that id, at the latest when a msg that the connection
    sends after it is answered: without `since` they do not come again, on any device."

    HIST-14: "A message that was delivered and not confirmed MUST come again after the next sign without
    `since` of another connection."
    """
    sender, bob = server.broadcaster(), silent(server, server.uid())
    id = send_stored(sender, bob.uid, body := fresh())
    expect_stored(bob, body, sender.uid)
    broadcast_to_all(sender, bob)
    await_ping(server, bob, id)
    broadcast_to_all(sender, bob)
    again = silent(server, bob.uid)
    assert expect_stored(again, body, sender.uid) == id
    bob.pong(id.encode())
    bob.msg(server.uid(), 0)
    fence_devices(bob, again, silent(server, bob.uid))


# CAST-10 and CAST-7: order.


@pytest.mark.spec("CAST-10")
def test_broadcasts_arrive_in_the_order_sent(server: Server) -> None:
    """CAST-10: "Broadcasts of one connection MUST arrive at each device in the order in which they were
    sent."

    All in one go, long and short, with msgs between them that may come sooner or later.
    """
    sender, bob, carol = server.broadcaster(), server.signed(), server.signed()
    bodies = [[fresh(), "x" * random.choice([0, 10, 130, 1100, 5000])] for _ in range(120)]
    for number, body in enumerate(bodies):
        sender.send(**({"type": "broadcast"} if number % 4 else {"type": "msg", "to": bob.uid}), body=body)
    broadcasts = [body for number, body in enumerate(bodies) if number % 4]
    expect_in_any_mixture(bob, bodies[::4], broadcasts)
    expect_in_any_mixture(carol, [], broadcasts)
    expect_in_any_mixture(sender, [], broadcasts, n_replies=len(bodies))
    for device in (sender, bob, carol):
        device.fence()


@pytest.mark.spec("CAST-7")
def test_broadcasts_and_msgs_arrive_in_the_order_sent(server: Server) -> None:
    """CAST-7: "While no server or link is in trouble, all that one connection sends, broadcasts and msgs,
    SHOULD arrive at each device in the order in which it was sent."

    All in one go, long and short: broadcasts, and msgs to two users of whom one has two devices.
    """
    sender, bobs, carol = server.broadcaster(), [server.signed()], server.signed()
    bobs.append(server.signed(bobs[0].uid))
    expected: dict[str, list[tuple[str, object]]] = {bobs[0].uid: [], carol.uid: []}
    for number in range(120):
        body = [fresh(), number, "x" * random.choice([0, 10, 130, 1100, 5000])]
        to = random.choice([None, None, bobs[0].uid, carol.uid])
        if to is None:
            sender.send(type="broadcast", body=body)
        else:
            sender.send(type="msg", to=to, body=body)
        for uid, bodies in expected.items():
            if to in (None, uid):
                bodies.append(("broadcast" if to is None else "msg", body))
    for device in (*bobs, carol):
        for kind, sent in expected[device.uid]:
            if kind == "broadcast":
                device.expect_broadcast(sent, sender.uid)
            else:
                assert "broadcast" not in device.expect_delivery(sent, sender.uid)
    fence_devices(*bobs)
    carol.fence()


@pytest.mark.spec("CAST-10", "CAST-2", "CAST-8")
@pytest.mark.feature("history")
def test_broadcasts_reach_who_is_still_given_what_waited(server: Server) -> None:
    """CAST-10: "Broadcasts of one connection MUST arrive at each device in the order in which they were
    sent."

    CAST-2: "Every device of every uid MUST get `{"body":B,"from":F,"broadcast":1}` exactly once, where B is
    the body and F the sender's uid; the sending connection is one of them."

    CAST-8: "The sending connection MUST get its broadcast before the reply."

    The sender signs as the user to whom it has sent more than a server hands out at once, and goes on in the
    same breath. Where its broadcasts come among what waited is the server's business. Twin: a device of that
    user that has been there all the time.
    """
    live, sender = server.broadcaster(), server.raw()
    sender.sign(server.uid())
    ids = send_many(sender, live.uid, waited := some(300))
    later = some(3)
    requests = [
        {"type": "sign", "uid": live.uid, "since": ids[0]},
        {"type": "broadcast", "body": later[0]},
        {"type": "msg", "to": live.uid, "body": later[1]},
        {"type": "broadcast", "body": later[2]},
    ]
    for request in requests:
        sender.own_words.add(request)
    send_in_one_write(sender, map(dump, requests))
    sender.expect_reply(1)
    sender.uid = live.uid
    msgs, broadcasts = [*waited, later[1]], [later[0], later[2]]
    got = expect_in_any_mixture(sender, msgs[1:], broadcasts, n_replies=3)
    first, _, last = (at for at, message in enumerate(got) if "status" in message)
    heard = [at for at, message in enumerate(got) if "broadcast" in message]
    assert heard[0] < first, "the reply came before the broadcast"
    assert heard[1] < last, "the reply came before the broadcast"
    expect_in_any_mixture(live, msgs, broadcasts)
    fence_devices(live, sender)


# CAST-9: who may.


@pytest.mark.spec("CAST-9")
def test_who_may_not_broadcast_is_denied_and_reaches_nobody(server: Server) -> None:
    """CAST-9: "A broadcast of a user whom the server, as it documents, does not let broadcast MUST be
    answered as `denied`, and reach nobody."

    Neither with a uid that is like the right one, nor once it has moved to another. What else is wrong is
    said first (REPLY-6). Twin: the same connection, signed as the one who may.
    """
    right = server.documented.broadcaster
    if right is None:
        untested("no --broadcaster, so everybody may broadcast")
    bob, moved = server.signed(), server.broadcaster()
    moved.sign(server.uid())
    others = [server.connect() for _ in range(4)]
    for client, uid in zip(
        others, (right + fresh(), fresh() + right, right.swapcase() + "x", server.uid()), strict=True
    ):
        client.sign(uid)
    for client in (*others, moved):
        cid = fresh()
        client.send(type="broadcast", body=fresh(), cid=cid, uid=right, **{"from": right})
        client.expect_reply(0, "denied", **echoed(cid))
        client.send(type="broadcast")
        client.expect_reply(0, "missing_body")
        client.send(type="broadcast", body=fresh())
        client.expect_reply(0, "denied")
        deliver_to_all(client, bob.uid, bob)
    for client in (bob, moved, *others):
        client.fence()
    moved.sign(right, **from_now_on())
    broadcast_to_all(moved, bob, *others)
    bob.fence()
