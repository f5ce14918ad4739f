"""SPEC 4.3: msg."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from chatcheck.claims import claims, refuses
from chatcheck.client import Client
from chatcheck.conversation import dump
from chatcheck.raw_client import TEXT, build_frame
from chatcheck.target import Server
from chatcheck.tests.helpers import deliver_to_all, fence_devices, fresh, send_in_one_write
from chatcheck.transcript import show_text
from chatcheck.verdict import Mismatch

INVALID_TOS = {
    "empty": "",
    "long": "x" * 129,
    "control": "10\n01",
    "null": None,
    "true": True,
    "fraction": 1.5,
    "array": ["1001"],
    "object": {"to": "1001"},
}


@pytest.mark.spec("MSG-1")
@pytest.mark.parametrize("body", ["hi", "", 0, None, False, [], {}, {"to": "x"}], ids=repr)
def test_a_msg_is_answered_with_status_1(server: Server, body: object) -> None:
    """MSG-1: "A msg of a signed connection with a valid `to` and a `body` MUST be
    answered with status 1."
    """
    alice, bob = server.signed(), server.signed()
    alice.msg(bob.uid, body)
    if claims("BODY-1"):
        bob.expect_delivery(body, alice.uid)
    alice.msg(server.uid(), body)
    alice.fence()


@pytest.mark.spec("MSG-1")
def test_msgs_are_answered_with_status_1_however_many_and_long(server: Server) -> None:
    """MSG-1: "A msg of a signed connection with a valid `to` and a `body` MUST be answered with status 1."

    Longer and longer ones on one connection, to another user, to nobody, and to itself.
    """
    alice, bob = server.signed(), server.signed()
    for number in range(40):
        body = "x" * number**3
        alice.msg(bob.uid, body)
        bob.expect_delivery(body, alice.uid)
        alice.msg(server.uid(), body)
        alice.send(type="msg", to=alice.uid, body=body)
        alice.expect_delivery(body, alice.uid)
        alice.expect_reply(1)
    alice.fence()


@pytest.mark.spec("MSG-2")
@pytest.mark.parametrize("n", [1, 2, 3, 7])
def test_each_device_gets_the_message_once(server: Server, n: int) -> None:
    """MSG-2: "Each device of `to` MUST get `{"body":B,"from":F}` exactly once, where B is the body and F the
    sender's uid."
    """
    alice, uid = server.signed(), server.uid()
    devices = [server.signed(uid) for _ in range(n)]
    for _ in range(5):
        deliver_to_all(alice, uid, *devices)
    fence_devices(*devices)
    alice.fence()


@pytest.mark.spec("MSG-2")
def test_each_device_gets_a_message_of_any_size(server: Server) -> None:
    """MSG-2: "Each device of `to` MUST get `{"body":B,"from":F}` exactly once, where B is the body and F the
    sender's uid."

    The sizes are those at which frames' headers, buffers and limits change, up to a request of 65,536 bytes.
    """
    alice, uid = server.signed(), server.uid()
    devices = [server.signed(uid) for _ in range(3)]
    for size in (0, 1, 90, 125, 126, 127, 1000, 1023, 1024, 1025, 4095, 4096, 4097, 16384, 60000):
        body = (fresh() * (size // 16 + 1))[:size]
        deliver_to_all(alice, uid, *devices, body=body)
    frame = '{"type":"msg","to":"%s","body":"%s"}'
    body = "x" * (65536 - len(frame % (uid, "")))
    alice.send_text(frame % (uid, body))
    for device in devices:
        device.expect_delivery(body, alice.uid)
    alice.expect_reply(1)
    fence_devices(*devices)


@pytest.mark.spec("MSG-2")
def test_each_device_gets_deliveries_of_every_length_at_which_frames_change(server: Server) -> None:
    """MSG-2: "Each device of `to` MUST get `{"body":B,"from":F}` exactly once, where B is the body and F the
    sender's uid."

    A server chooses how it writes a delivery, so the lengths of the bodies go up one by one: some make 125,
    126 and 127 bytes, or, with a sender whose uid is long, 65,535 and 65,536.
    """
    alice, wordy, bob = (
        server.signed(),
        server.signed(server.uid() + "x" * 112),
        server.signed(server.uid()[:8]),
    )
    for size in range(40, 128):
        deliver_to_all(alice, bob.uid, bob, body="b" * size)
    most = 65536 - len(dump({"type": "msg", "to": bob.uid, "body": ""}))
    empty = len(dump({"body": "", "from": wordy.uid}))
    for size in (65534 - empty, 65535 - empty, 65536 - empty, 65537 - empty, most):
        deliver_to_all(wordy, bob.uid, bob, body="b" * size)
    bob.fence()


@pytest.mark.spec("MSG-2")
@pytest.mark.limit(60)
def test_each_of_a_thousand_messages_in_one_breath_is_delivered_and_answered(server: Server) -> None:
    """MSG-2: "Each device of `to` MUST get `{"body":B,"from":F}` exactly once, where B is the body and F the
    sender's uid."

    All are one write to the socket, so a server finds many in what it has read. With history, no more
    than may be there before a device has confirmed any ([HIST-16]), with what fences them.
    """
    raw, bob = server.raw(), server.signed()
    raw.sign(server.uid())
    count = min(1030, server.documented.history_max - 1) if server.keeps_history else 1030
    texts = [dump({"type": "msg", "to": bob.uid, "body": number}) for number in range(count)]

    send_in_one_write(raw, texts)

    for number in range(count):
        bob.expect_delivery(number, raw.uid)
        raw.expect_reply(1)
    bob.fence()
    raw.fence()


@pytest.mark.spec("MSG-2")
def test_each_of_equal_messages_is_delivered(server: Server) -> None:
    """MSG-2: "Each device of `to` MUST get `{"body":B,"from":F}` exactly once, where B is the body and F the
    sender's uid."

    To say the same twice is to say two things, but with history a `cid` tells a retry ([HIST-18]).
    """
    alice, bob = server.signed(), server.signed()
    for members in ({},) if server.keeps_history else ({}, {"cid": fresh()}):
        for body in ("hello, are you there?", {"a": [1, 2, 3]}):
            for _ in range(3):
                alice.send(type="msg", to=bob.uid, body=body, **members)
            for _ in range(3):
                bob.expect_delivery(body, alice.uid)
                alice.expect_reply(1)
    bob.fence()


@pytest.mark.spec("MSG-2")
def test_a_device_that_is_gone_keeps_nothing_from_the_others(server: Server) -> None:
    """MSG-2: "Each device of `to` MUST get `{"body":B,"from":F}` exactly once, where B is the body and F the
    sender's uid."

    Messages come while devices that signed before, between and after the others break off.
    """
    alice, uid = server.signed(), server.uid()
    stays, breaks = [], []
    for _ in range(4):
        breaks.append(server.raw())
        breaks[-1].sign(uid)
        stays.append(server.signed(uid))
    for raw in breaks:
        raw.abort()
        for _ in range(3):
            deliver_to_all(alice, uid, *stays)
    fence_devices(*stays)
    alice.fence()


@pytest.mark.spec("MSG-2")
def test_each_device_gets_each_of_many_messages_of_many_senders(server: Server) -> None:
    """MSG-2: "Each device of `to` MUST get `{"body":B,"from":F}` exactly once, where B is the body and F the
    sender's uid."
    """
    uid = server.uid()
    devices = [server.signed(uid) for _ in range(3)]
    senders = [server.signed() for _ in range(4)]
    sent: dict[str, list[str]] = {sender.uid: [] for sender in senders}
    for _ in range(25):
        for sender in senders:
            body = fresh()
            sent[sender.uid].append(body)
            sender.send(type="msg", to=uid, body=body)
    for sender in senders:
        for _ in range(25):
            sender.expect_reply(1)
        sender.fence()
    for device in devices:
        got: dict[str, list[str]] = {sender.uid: [] for sender in senders}
        for _ in range(100):
            delivery = device.recv()
            got[delivery["from"]].append(delivery["body"])
        assert got == sent
    fence_devices(*devices)


N_BURST, BURST_SIZE = 20, 65000


@pytest.mark.spec("MSG-2")
@pytest.mark.limit(30)
def test_a_device_that_reads_gets_what_many_send_at_once(server: Server) -> None:
    """MSG-2: "Each device of `to` MUST get `{"body":B,"from":F}` exactly once, where B is the body and F the
    sender's uid."
    """
    reader, uid = server.raw(), server.uid()
    reader.sign(uid)
    senders = [server.raw() for _ in range(N_BURST)]
    filler = "x" * BURST_SIZE
    for i, sender in enumerate(senders):
        sender.sign(server.uid())
        frame = build_frame(TEXT, dump({"type": "msg", "to": uid, "body": [i, filler]}).encode())
        sender.send_raw(frame[:-1])

    for i, sender in enumerate(senders):
        last = dump({"type": "msg", "to": uid, "body": [i, filler]}).encode()
        sender.send_raw(build_frame(TEXT, last)[-1:])
    got = [reader.recv()["body"] for _ in senders]

    assert sorted(i for i, _ in got) == list(range(N_BURST))
    for sender in senders:
        sender.expect_reply(1)
    reader.fence()


def neighbours(uid: str) -> list[str]:
    """Uids that a careless comparison, pattern or key takes for 'uid', which has letters of both cases."""
    return [
        uid + "1",
        uid[:-1],
        "0" + uid,
        uid.swapcase(),
        uid + " ",
        " " + uid,
        uid + "*",
        "*" + uid[1:],
        "?" * len(uid),
        uid + "\u0301",
        "[" + uid + "]",
        uid + ":" + uid,
    ]


@pytest.mark.spec("MSG-3")
def test_nobody_with_a_similar_uid_gets_anything(server: Server) -> None:
    """MSG-3: "Nobody else MUST get anything: neither devices of other uids, nor the sender's own devices
    unless `to` is their uid, nor a connection that is not signed."
    """
    alice, uid = server.signed(), "aB" + server.uid()[:40]
    bob = server.signed(uid)
    others = [server.signed(neighbour) for neighbour in neighbours(uid)]
    deliver_to_all(alice, uid, bob)
    bob.fence()
    for other in others:
        other.fence()
    for other in others:
        deliver_to_all(alice, other.uid, other)
    bob.fence()
    for other in others:
        other.fence()


@pytest.mark.spec("MSG-3")
def test_neither_senders_devices_nor_strangers_get_anything(server: Server) -> None:
    """MSG-3: "Nobody else MUST get anything: neither devices of other uids, nor the sender's own devices
    unless `to` is their uid, nor a connection that is not signed."
    """
    alice, bob, carol, stranger = server.signed(), server.signed(), server.signed(), server.connect()
    alices_other = server.signed(alice.uid)
    tried_to_sign = server.connect()
    if refuses("invalid_uid"):
        tried_to_sign.send(type="sign", uid=[bob.uid])
        tried_to_sign.expect_reply(0, "invalid_uid")
    closed = server.signed(bob.uid)
    closed.close()
    for body in [fresh() for _ in range(10)] + ["x" * 5000, "x" * 60000]:
        deliver_to_all(alice, bob.uid, bob, body=body)
        deliver_to_all(alices_other, bob.uid, bob, body=body)
        alice.send(type="msg", to=bob.uid, body=body, cid=fresh())
        bob.expect_delivery(body, alice.uid)
        alice.expect_reply(1)
        alice.msg(server.uid(), body)
    fence_devices(alice, alices_other)
    for client in (bob, carol, stranger, tried_to_sign):
        client.fence()


@pytest.mark.spec("MSG-4")
def test_a_connection_that_is_not_signed_cannot_send(server: Server) -> None:
    """MSG-4: "A msg of a connection that is not signed MUST be answered as `not_signed`, and reach nobody."

    Nor can one whose only sign failed, nor one that says in the request who it would like to be.
    """
    bob, stranger = server.signed(), server.connect()
    stranger.send(type="msg", to=bob.uid, body=fresh())
    stranger.expect_reply(0, "not_signed")
    stranger.send(type="msg", to=bob.uid, body=fresh(), uid=bob.uid, **{"from": bob.uid})
    stranger.expect_reply(0, "not_signed")
    if refuses("invalid_uid"):
        stranger.send(type="sign", uid="")
        stranger.expect_reply(0, "invalid_uid")
    stranger.send(type="msg", to=bob.uid, body=fresh())
    stranger.expect_reply(0, "not_signed")
    bob.fence()

    stranger.sign(server.uid())
    deliver_to_all(stranger, bob.uid, bob)
    bob.fence()


@pytest.mark.spec("MSG-5")
def test_who_is_online_is_not_told(server: Server) -> None:
    """MSG-5: "A msg to a uid that nobody is signed as MUST be answered like any other: who is online is not
    told."
    """
    alice, bob, body = server.signed(), server.signed(), fresh()

    def reply(to: str) -> dict[str, Any]:
        alice.send(type="msg", to=to, body=body)
        return alice.expect_reply(1)

    first, second = reply(bob.uid), reply(bob.uid)
    bob.expect_delivery(body, alice.uid)
    bob.expect_delivery(body, alice.uid)
    bobs_other = server.signed(bob.uid)
    third = reply(bob.uid)
    bob.expect_delivery(body, alice.uid)
    bobs_other.expect_delivery(body, alice.uid)
    # A server may add members, such as an id. What does not change with each reply must not depend on bob.
    constant = {name: value for name, value in first.items() if value == second[name]}
    bobs_other.close()
    bob.close()
    for other in (third, reply(server.uid()), reply(bob.uid)):
        if other.keys() != first.keys() or {name: other[name] for name in constant} != constant:
            raise Mismatch(f"a reply like the first, {show_text(dump(first))}", show_text(dump(other)))
    alice.fence()


@pytest.mark.spec("MSG-6")
@pytest.mark.parametrize("invalid", INVALID_TOS)
def test_an_invalid_to_is_refused(server: Server, invalid: str) -> None:
    """MSG-6: "A msg whose `to` is missing or invalid MUST be answered as `invalid_to`, and reach nobody." """
    alice = server.signed()
    alice.send(type="msg", to=INVALID_TOS[invalid], body=fresh())
    alice.expect_reply(0, "invalid_to")
    alice.fence()
    alice.msg(server.uid(), fresh())


@pytest.mark.spec("MSG-6")
def test_a_missing_to_is_refused_and_nobody_gets_anything(server: Server) -> None:
    """MSG-6: "A msg whose `to` is missing or invalid MUST be answered as `invalid_to`, and reach nobody." """
    alice, bob, stranger = server.signed(), server.signed(), server.connect()
    for members in ({}, {"uid": bob.uid}, {"To": bob.uid}, {"to": [bob.uid]}, {"to": {"uid": bob.uid}}):
        alice.send(type="msg", body=fresh(), **members)
        alice.expect_reply(0, "invalid_to")
    alice.fence()
    stranger.fence()
    bob.fence()
    deliver_to_all(alice, bob.uid, bob)


@pytest.mark.spec("MSG-7")
def test_a_msg_without_body_is_refused_and_reaches_nobody(server: Server) -> None:
    """MSG-7: "A msg without `body` MUST be answered as `missing_body`, and reach nobody." """
    alice, bob = server.signed(), server.signed()
    for members in ({}, {"Body": fresh()}, {"msg": fresh()}, {"nested": {"body": fresh()}}):
        alice.send(type="msg", to=bob.uid, **members)
        alice.expect_reply(0, "missing_body")
        alice.send(type="msg", to=server.uid(), **members)
        alice.expect_reply(0, "missing_body")
        alice.send(type="msg", to=alice.uid, **members)
        alice.expect_reply(0, "missing_body")
    alice.fence()
    bob.fence()
    alice.msg(bob.uid, None)
    bob.expect_delivery(None, alice.uid)


@pytest.mark.spec("MSG-8")
def test_a_msg_to_the_own_uid_reaches_all_of_its_devices(server: Server) -> None:
    """MSG-8: "A msg to the sender's own uid MUST reach every device of that uid, the sending connection
    included."
    """
    alice, bob = server.signed(), server.signed()
    devices = [alice, server.signed(alice.uid), server.signed(alice.uid)]
    for sender, body in itertools.product(devices, [fresh(), "x" * 5000, "x" * 60000]):
        sender.send(type="msg", to=alice.uid, body=body)
        for device in devices:
            device.expect_delivery(body, alice.uid)
        sender.expect_reply(1)
    fence_devices(*devices)
    bob.fence()


@pytest.mark.spec("MSG-9")
def test_from_is_the_senders_uid_whatever_the_request_says(server: Server) -> None:
    """MSG-9: "`from` MUST be the uid that the sending connection is signed as,
    whatever the request says."
    """
    alice, bob, victim = server.signed(), server.signed(), server.signed()
    lies: list[dict[str, object]] = [
        {"from": victim.uid},
        {"uid": victim.uid},
        {"from": None, "fd": 1, "token": "0" * 32},
        {"from": {"uid": victim.uid}},
    ]
    for lie in lies:
        body = fresh()
        alice.send(type="msg", to=bob.uid, body=body, **lie)
        alice.expect_reply(1)
        bob.expect_delivery(body, alice.uid)
    moved = server.uid()
    alice.sign(moved)
    body = fresh()
    alice.msg(bob.uid, body)
    bob.expect_delivery(body, moved)
    victim.fence()
    bob.fence()


@pytest.mark.spec("MSG-9")
def test_from_is_right_with_many_senders_at_once(server: Server) -> None:
    """MSG-9: "`from` MUST be the uid that the sending connection is signed as, whatever the request says."

    Each connection messages itself and the next one without waiting: what shares a connection to its
    store among them without care mixes them up within a few messages.
    """
    clients = [server.signed() for _ in range(8)]
    for number in range(25):
        for client, following in zip(clients, clients[1:] + clients[:1], strict=True):
            client.send(type="msg", to=client.uid, body=[client.uid, client.uid, number])
            client.send(type="msg", to=following.uid, body=[client.uid, following.uid, number])
    for client in clients:
        check_what_arrived(client, deliveries=50, replies=50)
        client.fence()


def check_what_arrived(client: Client, deliveries: int, replies: int) -> None:
    """Each delivery's body says who sent it to whom."""
    for _ in range(deliveries + replies):
        message = client.recv()
        if "from" in message:
            sender, to, _number = message["body"]
            assert (message["from"], client.uid) == (sender, to)
            deliveries -= 1
        else:
            assert message["status"] == 1
            replies -= 1
    assert (deliveries, replies) == (0, 0)
