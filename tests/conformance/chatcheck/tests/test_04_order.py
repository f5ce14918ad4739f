"""SPEC 4.4: order."""

from __future__ import annotations

import contextlib
import random
from typing import Any

import pytest

from chatcheck.claims import claims, echoed, from_now_on, refuses, serves_history
from chatcheck.conversation import Conversation, dump
from chatcheck.raw_client import CLOSE, TEXT, RawClient, build_frame
from chatcheck.target import Server
from chatcheck.tests.helpers import deliver_to_all, fence_devices, fresh, send_in_one_write
from chatcheck.verdict import Mismatch, not_applicable

NORMAL_CLOSURE = (1000).to_bytes(2, "big")
# In one write a server finds many requests in what it has read; in many it may have one before the next.
AT_ONCE = pytest.mark.parametrize("writes", ["one_write", "many_writes"])


def send_at_once(raw: RawClient, texts: list[str], writes: str) -> None:
    """Send these requests without waiting for replies."""
    if writes == "one_write":
        send_in_one_write(raw, texts)
    else:
        for text in texts:
            raw.send_text(text)


@pytest.mark.spec("ORDER-1")
@AT_ONCE
def test_requests_sent_at_once_take_effect_and_are_answered_in_order(server: Server, writes: str) -> None:
    """ORDER-1: "The requests of a connection MUST take effect and be answered in the order in which they were
    sent, also when many are sent without waiting for replies."

    In one go: a msg before the sign, then sign as A, msg, sign as B, msg, and so on. Each message has the
    sender that its connection was at that point, and the replies tell signs, msgs and refusals apart.
    """
    client, bob = server.raw(), server.signed()
    signs = [(server.uid(), fresh()) for _ in range(20)]
    requests: list[dict[str, object]] = [{"type": "msg", "to": bob.uid, "body": "too early"}]
    for uid, body in signs:
        requests += [{"type": "sign", "uid": uid}, {"type": "msg", "to": bob.uid, "body": body}]
    send_at_once(client, [dump(request) for request in requests], writes)

    client.expect_reply(0, "not_signed")
    for uid, body in signs:
        assert "token" in client.expect_reply(1)
        assert "token" not in client.expect_reply(1)
        bob.expect_delivery(body, uid)
    client.uid = signs[-1][0]
    client.fence()
    bob.fence()


@pytest.mark.spec("ORDER-1")
@AT_ONCE
def test_200_requests_of_all_kinds_are_answered_in_order(server: Server, writes: str) -> None:
    """ORDER-1: "The requests of a connection MUST take effect and be answered in the order in which they were
    sent, also when many are sent without waiting for replies."
    """
    client, bob = server.raw(), server.signed()
    client.sign(server.uid())
    homes = [client.uid, server.uid(), server.uid()]
    expected: list[tuple[str, int, str | None]] = []
    delivered: list[tuple[str, str]] = []
    now = client.uid
    texts = []
    for number in range(200):
        cid = fresh()
        kinds = ["msg", "msg", "nobody", "sign", "invalid_to", "missing_body", "invalid_uid"]
        kind = random.choice(list(filter(refuses, kinds)))
        members: dict[str, object] = {"type": "msg", "to": bob.uid, "body": number, "cid": cid}
        if kind == "msg":
            delivered.append((now, str(number)))
        elif kind == "nobody":
            members["to"] = server.uid()
        elif kind == "sign":
            now = random.choice(homes)
            members = {"type": "sign", "uid": now, "cid": cid}
        elif kind == "invalid_to":
            del members["to"]
        elif kind == "missing_body":
            del members["body"]
        else:
            members = {"type": "sign", "uid": "", "cid": cid}
        code = kind if "_" in kind else None
        expected.append((cid, 0 if code else 1, code))
        texts.append(dump(members))
    send_at_once(client, texts, writes)

    for cid, status, code in expected:
        client.expect_reply(status, code, **echoed(cid))
    for sender, number_text in delivered:
        bob.expect_delivery(int(number_text), sender)
    client.uid = now
    client.fence()
    bob.fence()


@pytest.mark.spec("ORDER-1")
def test_a_reply_does_not_overtake_one_that_takes_longer(server: Server) -> None:
    """ORDER-1: "The requests of a connection MUST take effect and be answered in the order in which they were
    sent, also when many are sent without waiting for replies."

    Requests that need the store (sign, msg) stand before ones that are refused without it, in one write.
    """
    if not refuses("missing_body"):
        not_applicable("nothing is claimed to be refused without the store")
    client = server.raw()
    client.sign(server.uid())
    several = [server.signed() for _ in range(3)]
    big = fresh() * 3750
    requests = [
        {"type": "msg", "to": several[0].uid, "body": big},
        {"type": "msg", "to": several[0].uid},
        {"type": "sign", "uid": client.uid},
        {"type": "msg", "body": 1},
    ]
    for _ in range(10):
        send_in_one_write(client, map(dump, requests))
    for _ in range(10):
        client.expect_reply(1)
        client.expect_reply(0, "missing_body")
        assert "token" in client.expect_reply(1)
        client.expect_reply(0, "invalid_to")
        several[0].expect_delivery(big, client.uid)
    client.fence()
    for other in several:
        other.fence()


@pytest.mark.spec("ORDER-2")
def test_messages_arrive_at_each_device_in_the_order_sent(server: Server) -> None:
    """ORDER-2: "What one connection sends to one uid MUST arrive at each of its devices in the order in which
    it was sent."

    One connection sends, without waiting, big and small messages in turn to three uids with two devices each.
    """
    alice = server.signed()
    uids = [server.uid() for _ in range(3)]
    devices = {uid: [server.signed(uid), server.signed(uid)] for uid in uids}
    sent: dict[str, list[list[object]]] = {uid: [] for uid in uids}
    for number in range(150):
        uid = random.choice(uids)
        body = [number, "x" * random.choice([0, 10, 130, 1100, 5000, 5000, 20000, 60000])]
        sent[uid].append(body)
        alice.send(type="msg", to=uid, body=body)
    for _ in range(150):
        alice.expect_reply(1)
    for uid in uids:
        for body in sent[uid]:
            for device in devices[uid]:
                device.expect_delivery(body, alice.uid)
        fence_devices(*devices[uid])


@pytest.mark.spec("ORDER-2")
def test_order_survives_the_senders_moving_to_another_uid(server: Server) -> None:
    """ORDER-2: "What one connection sends to one uid MUST arrive at each of its devices in the order in which
    it was sent."
    """
    alice, bob = server.signed(), server.signed()
    moves = [server.uid() for _ in range(20)]
    for number, uid in enumerate(moves):
        alice.send(type="msg", to=bob.uid, body=[number, "before"])
        alice.send(type="sign", uid=uid)
        alice.send(type="msg", to=bob.uid, body=[number, "after"])
    was = alice.uid
    for number, uid in enumerate(moves):
        bob.expect_delivery([number, "before"], was)
        bob.expect_delivery([number, "after"], uid)
        was = uid
    for _ in range(60):
        alice.expect_reply(1)
    alice.uid = moves[-1]
    alice.fence()
    bob.fence()


@pytest.mark.spec("ORDER-3")
def test_to_oneself_the_delivery_comes_before_the_reply(server: Server) -> None:
    """ORDER-3: "A connection that sends to its own uid MUST get the delivery before the reply." """
    alice = server.signed()
    for _ in range(10):
        body = fresh()
        alice.send(type="msg", to=alice.uid, body=body)
        alice.expect_delivery(body, alice.uid)
        alice.expect_reply(1)
    alice.fence()


@pytest.mark.spec("ORDER-3")
def test_to_oneself_each_delivery_comes_before_its_reply_when_many_are_sent(server: Server) -> None:
    """ORDER-3: "A connection that sends to its own uid MUST get the delivery before the reply." """
    alice = server.signed()
    others = [server.signed(alice.uid) for _ in range(2)]
    for number in range(50):
        alice.send(type="msg", to=alice.uid, body=number, cid=f"n{number}")
    delivered = replied = 0
    while replied < 50:
        message = alice.recv()
        if "from" in message:
            assert (message["body"], message["from"]) == (delivered, alice.uid)
            delivered += 1
            continue
        assert message["status"] == 1
        if claims("CID-1"):
            assert message.get("cid") == f"n{replied}"
        assert delivered > replied, "the reply came before the delivery"
        replied += 1
    assert delivered == 50
    for other in others:
        for number in range(50):
            other.expect_delivery(number, alice.uid)
    fence_devices(alice, *others)


@pytest.mark.spec("ORDER-4")
@pytest.mark.parametrize("signs", [False, True], ids=["signed_before", "sign_in_the_same_breath"])
def test_requests_right_before_a_close_frame_take_effect(server: Server, signs: bool) -> None:
    """ORDER-4: "The requests that a connection sent before its close frame MUST take effect."

    Requests and close frame are one write to the socket, and nobody reads the replies.
    """
    bob = server.signed()
    for count in (1, 2, 30):
        raw, uid = server.raw(), server.uid()
        texts = [dump({"type": "msg", "to": bob.uid, "body": [uid, n]}) for n in range(count)]
        if signs:
            texts.insert(0, dump({"type": "sign", "uid": uid}))
        else:
            raw.sign(uid)
        send_in_one_write(raw, texts, build_frame(CLOSE, NORMAL_CLOSURE))
        for n in range(count):
            bob.expect_delivery([uid, n], uid)
        deliver_to_all(server.signed(), bob.uid, bob)
    bob.fence()


@pytest.mark.spec("ORDER-4")
def test_requests_before_a_close_take_effect_when_the_client_library_closes(server: Server) -> None:
    """ORDER-4: "The requests that a connection sent before its close frame MUST take effect." """
    bob = server.signed()
    for _ in range(5):
        alice = server.signed()
        bodies = [fresh() for _ in range(10)]
        for body in bodies:
            alice.send(type="msg", to=bob.uid, body=body)
        alice.close()
        for body in bodies:
            bob.expect_delivery(body, alice.uid)
    bob.fence()


@pytest.mark.spec("ORDER-4")
def test_requests_behind_a_close_frame_are_none(server: Server) -> None:
    """ORDER-4: "The requests that a connection sent before its close frame MUST take effect."

    Those that stand behind it in the same write were not sent before it.
    """
    bob, raw = server.signed(), server.raw()
    raw.sign(server.uid())
    before, behind = (dump({"type": "msg", "to": bob.uid, "body": body}) for body in ("before", "behind"))

    send_in_one_write(raw, [before], build_frame(CLOSE, NORMAL_CLOSURE), build_frame(TEXT, behind.encode()))

    bob.expect_delivery("before", raw.uid)
    deliver_to_all(server.signed(), bob.uid, bob)
    bob.fence()


@pytest.mark.spec("ORDER-6")
@pytest.mark.parametrize("count", [1, 2, 30, 100])
def test_replies_come_before_the_close_is_answered(server: Server, count: int) -> None:
    """ORDER-6: "Replies to the requests that a connection sent before its close frame SHOULD be sent before
    the close is answered."

    Requests and close frame are one write to the socket; the twin's close frame comes after the replies.
    """
    raw, twin, bob = server.raw(), server.raw(), server.signed()
    texts = [dump({"type": "msg", "to": bob.uid, "body": n}) for n in range(count)]
    for client in (raw, twin):
        client.sign(server.uid())
    send_in_one_write(twin, texts)
    for _ in range(count):
        twin.expect_reply(1)
    twin.send_close(1000)
    twin.expect_closed(1000)

    send_in_one_write(raw, texts, build_frame(CLOSE, NORMAL_CLOSURE))

    for _ in range(count):
        raw.expect_reply(1)
    raw.expect_closed(1000)


# ORDER-5: what is on its way while a device signs, moves or ends.


class Stream:
    """Msgs of two senders, to one uid and another in turns, of which a test sends some at a time."""

    def __init__(self, server: Server, *uids: str) -> None:
        self.uids = uids
        self._senders = [server.signed(), server.signed()]
        self._sent: list[tuple[str, list[object]]] = []  # to whom, and what
        self._mark = fresh()

    def send(self, n: int) -> None:
        """Send so many with each sender, without waiting for a reply."""
        for _ in range(n):
            to = self.uids[len(self._sent) // len(self._senders) % len(self.uids)]
            for number, sender in enumerate(self._senders):
                body: list[object] = [self._mark, number, len(self._sent)]
                sender.send(type="msg", to=to, body=body)
                self._sent.append((to, body))

    def end(self) -> None:
        """See the replies; then one more message to each uid, which comes last."""
        for sender in self._senders:
            for _ in range(len(self._sent) // len(self._senders)):
                sender.expect_reply(1)
        for uid in self.uids:
            self._senders[0].msg(uid, self._mark)

    def expect_all(self, device: Conversation, uid: str) -> None:
        """The device, which stayed, gets all that was sent to its uid, once, and what each sent in order."""
        assert self.rest_of(device) == [self.of(number, uid) for number in range(len(self._senders))]

    def of(self, number: int, uid: str) -> list[object]:
        """What this sender has sent to the uid."""
        return [body for to, body in self._sent if to == uid and body[1] == number]

    def rest_of(self, device: Conversation) -> list[list[object]]:
        """What a device gets until the last message, of each sender."""
        got: list[list[object]] = [[] for _ in self._senders]
        while (body := device.recv()["body"]) != self._mark:
            got[body[1]].append(body)
        return got

    def until_reply(self, device: Conversation) -> list[list[object]]:
        """What a device gets before the reply to its sign, of each sender."""
        got: list[list[object]] = [[] for _ in self._senders]
        while "from" in (message := device.recv()):
            got[message["body"][1]].append(message["body"])
        assert message["status"] == 1, message
        return got


@pytest.mark.spec("ORDER-5", "SIGN-6")
@pytest.mark.limit(60)
def test_a_device_that_moves_misses_nothing_of_either_uid(server: Server) -> None:
    """ORDER-5: "Signs, msgs and the ends of connections on one server MUST take effect one after the other,
    each at one moment, a request between its arrival and its reply: a msg reaches exactly those connections
    that are devices of `to` at its moment, each before the reply to its next sign."

    To each of two uids in turns, while a device moves from the one to the other: of each sender it gets what
    was sent to the old uid up to some point, then the reply, and then what was sent to the new uid from that
    point on. Twin: who stays gets everything.

    SIGN-6: "After a sign with another uid the device MUST be one of the new uid only: from the reply on it
    gets nothing that is sent to the old one, and sends as the new one."
    """
    for number in range(20):
        old, new = server.uid(), server.uid()
        mover, *stay = (server.signed(uid) for uid in (old, old, new))
        stream = Stream(server, old, new)
        stream.send(number)
        mover.send(type="sign", uid=new, **from_now_on())
        stream.send(30)
        stream.end()

        before = stream.until_reply(mover)
        mover.uid = new
        after = stream.rest_of(mover)
        for sender in range(2):
            to_old, to_new = stream.of(sender, old), stream.of(sender, new)
            n, first = len(before[sender]), len(to_new) - len(after[sender])
            assert before[sender] == to_old[:n], "before the reply: not the first ones to the old uid"
            assert after[sender] == to_new[first:], "after the reply: not the last ones to the new uid"
            begins = range(n + 1) if serves_history() else (n - 1, n)  # HIST-8: perhaps earlier
            assert first in begins, f"{n} of the old uid, but then {first} of the new one are missing"
        for device, uid in zip(stay, (old, new), strict=True):
            stream.expect_all(device, uid)
        fence_devices(stay[0])
        fence_devices(stay[1], mover)
        for client in (mover, *stay):
            client.close()


@pytest.mark.spec("ORDER-5", "SIGN-4")
@pytest.mark.limit(60)
def test_a_device_that_signs_gets_all_from_its_moment_on(server: Server) -> None:
    """ORDER-5: "Signs, msgs and the ends of connections on one server MUST take effect one after the other,
    each at one moment, a request between its arrival and its reply: a msg reaches exactly those connections
    that are devices of `to` at its moment, each before the reply to its next sign."

    A connection that signs amid many messages gets the reply first, and then the last so many. Twin: who is
    there already gets everything.

    SIGN-4: "From the reply on, every message to the uid MUST reach this device."
    """
    for number in range(20):
        uid = server.uid()
        stays, comer = server.signed(uid), server.connect()
        stream = Stream(server, uid)
        stream.send(number)
        comer.send(type="sign", uid=uid, **from_now_on())
        stream.send(30)
        stream.end()

        assert stream.until_reply(comer) == [[], []]
        comer.uid = uid
        for sender, got in enumerate(stream.rest_of(comer)):
            sent = stream.of(sender, uid)
            assert got == sent[len(sent) - len(got) :], "after the reply: not the last ones"
        stream.expect_all(stays, uid)
        fence_devices(stays, comer)
        for client in (stays, comer):
            client.close()


def rest_of(device: Conversation) -> list[dict[str, Any]]:
    """What a device whose connection has ended got before that."""
    got = []
    with contextlib.suppress(Mismatch):
        while True:
            got.append(device.recv())
    return got


@pytest.mark.spec("ORDER-5")
@pytest.mark.parametrize("how", ["close", "abort"])
@pytest.mark.limit(60)
def test_the_end_of_a_device_takes_nothing_from_the_others(server: Server, how: str) -> None:
    """ORDER-5: "Signs, msgs and the ends of connections on one server MUST take effect one after the other,
    each at one moment, a request between its arrival and its reply: a msg reaches exactly those connections
    that are devices of `to` at its moment, each before the reply to its next sign."

    A device ends amid many messages: those that stay get everything, and it has got the first so many.
    """
    for number in range(20):
        uid = server.uid()
        devices = [server.signed(uid) for _ in range(3)]
        stream = Stream(server, uid)
        stream.send(number)
        getattr(devices[1], how)()
        stream.send(20)
        stream.end()

        for device in (devices[0], devices[2]):
            stream.expect_all(device, uid)
        got: list[list[object]] = [[], []]
        for message in rest_of(devices[1]):
            got[message["body"][1]].append(message["body"])
        for sender in range(2):
            assert got[sender] == stream.of(sender, uid)[: len(got[sender])], "not the first ones"
        fence_devices(devices[0], devices[2])
        for device in (devices[0], devices[2]):
            device.close()
