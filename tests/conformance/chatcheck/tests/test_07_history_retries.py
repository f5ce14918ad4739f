"""SPEC 7.4: a retry is not a second message."""

from __future__ import annotations

import itertools

import pytest

from chatcheck.conversation import Conversation, dump
from chatcheck.target import Server
from chatcheck.tests.helpers import fence_devices, fresh
from chatcheck.tests.history import (
    confirm,
    expect_stored,
    id_in,
    reader,
    send_many,
    send_stored,
    silent,
    some,
)
from chatcheck.verdict import Mismatch

pytestmark = pytest.mark.feature("history")


def expect_dup(reply: dict[str, object], id: str, cid: str) -> None:
    """The reply to a retry: with the first one's id, and its own cid."""
    if reply.get("dup") != 1 or isinstance(reply["dup"], bool) or reply.get("id") != id:
        raise Mismatch(dump({"status": 1, "msg": "sended", "id": id, "dup": 1, "cid": cid}), dump(reply))
    assert reply.get("cid") == cid


def expect_new(reply: dict[str, object], *ids: str) -> str:
    """The reply to a message of its own; its id."""
    if "dup" in reply or id_in(reply) in ids:
        raise Mismatch("a message of its own, with a new id and without dup", dump(reply))
    return id_in(reply)


@pytest.mark.spec("HIST-18")
def test_a_retry_is_stored_once_and_has_the_id_of_the_first(server: Server) -> None:
    """HIST-18: "A msg with the `cid` of a msg that was answered with status 1, from the same uid to the
    same uid, in the last 5 minutes, MUST NOT be stored again, whatever its body: the reply has the `id` of
    the first, and `"dup":1`."

    On the same connection, another device, and after the sender has come back; with another body, which
    counts for nothing; for a recipient who is there and one who is away. Twin: without the cid it is new.
    """
    alice, bob, away = server.signed(), silent(server, server.uid()), server.uid()
    for to in (bob.uid, away):
        cid, body = fresh(), fresh()
        id = expect_new(alice.msg(to, body, cid=cid))
        if to == bob.uid:
            assert expect_stored(bob, body, alice.uid) == id
        expect_dup(alice.msg(to, body, cid=cid), id, cid)
        second = server.signed(alice.uid)
        expect_dup(second.msg(to, fresh(), cid=cid), id, cid)
        second.close()
        for number in range(30):
            alice.msg(server.uid(), number, cid=fresh())
        back = server.signed()
        back.sign(alice.uid)
        expect_dup(back.msg(to, None, cid=cid), id, cid)
        new = expect_new(back.msg(to, body), id)
        back.close()
        if to == bob.uid:
            assert expect_stored(bob, body, alice.uid) == new
            bob.fence()
        else:
            late = silent(server, to)
            assert [expect_stored(late, body, alice.uid) for _ in range(2)] == [id, new]
            late.fence()


@pytest.mark.spec("HIST-18")
def test_retries_that_do_not_wait_are_recognised(server: Server) -> None:
    """HIST-18: "A msg with the `cid` of a msg that was answered with status 1, from the same uid to the
    same uid, in the last 5 minutes, MUST NOT be stored again, whatever its body: the reply has the `id` of
    the first, and `"dup":1`."

    Three devices of the sender send the same at once, each of it twice: one is the first, and the others are
    retries of it. To oneself, too.
    """
    alice, uid, cid, body = server.signed(), server.uid(), fresh(), fresh()
    devices = [alice, server.signed(alice.uid), server.signed(alice.uid)]
    for to in (uid, alice.uid):
        for _ in range(2):
            for device in devices:
                device.send(type="msg", to=to, body=body, cid=cid)
        replies = []
        for device in devices:
            n_deliveries = 1 if to == alice.uid else 0
            n_replies = 2
            while n_deliveries or n_replies:
                message = device.recv()
                if "status" in message:
                    replies.append(message)
                    n_replies -= 1
                else:
                    n_deliveries -= 1
        assert [reply["status"] for reply in replies] == [1] * 6
        assert len({id_in(reply) for reply in replies}) == 1
        assert sum("dup" not in reply for reply in replies) == 1
    fence_devices(*devices)
    bob = silent(server, uid)
    expect_stored(bob, body, alice.uid)
    bob.fence()


@pytest.mark.spec("HIST-18")
def test_a_retry_is_recognised_after_the_message_was_confirmed(server: Server) -> None:
    """HIST-18: "A msg with the `cid` of a msg that was answered with status 1, from the same uid to the
    same uid, in the last 5 minutes, MUST NOT be stored again, whatever its body: the reply has the `id` of
    the first, and `"dup":1`."
    """
    alice, bob, cid, body = server.signed(), server.signed(), fresh(), fresh()
    id = send_stored(alice, bob.uid, body, cid=cid)
    send_many(alice, bob.uid, bodies := some(5))
    expect_stored(bob, body, alice.uid)
    confirm(server, bob, [expect_stored(bob, each, alice.uid) for each in bodies][-1])
    expect_dup(alice.msg(bob.uid, body, cid=cid), id, cid)
    again = reader(server, bob.uid)
    fence_devices(bob, again)


@pytest.mark.spec("HIST-18")
@pytest.mark.parametrize("cid", ["😀" * 16, "\u0000", " a b ", "x" * 64, "{}%s", "1-1"])
def test_cids_are_compared_after_escapes_are_decoded(server: Server, cid: str) -> None:
    """HIST-18: "A msg with the `cid` of a msg that was answered with status 1, from the same uid to the
    same uid, in the last 5 minutes, MUST NOT be stored again, whatever its body: the reply has the `id` of
    the first, and `"dup":1`."

    The uids as well, and `to` may be a number.
    """
    alice = server.signed()
    number = str(int(server.uid()[:12], 16) + 1)
    id = expect_new(alice.msg(number, 0, cid=cid))
    units = cid.encode("utf-16-be")
    escaped = "".join(f"\\u{units[i]:02x}{units[i + 1]:02X}" for i in range(0, len(units), 2))
    for to in (number, f'"\\u00{ord(number[0]):02x}{number[1:]}"'):
        alice.send_text(f'{{"cid":"{escaped}","body":0,"to":{to},"type":"msg"}}')
        expect_dup(alice.expect_reply(1), id, cid)
    bob = silent(server, number)
    expect_stored(bob, 0, alice.uid)
    bob.fence()


@pytest.mark.spec("HIST-19")
def test_what_is_no_retry_is_a_message_of_its_own(server: Server) -> None:
    """HIST-19: "A msg with another `cid`, from another uid, to another uid, or without `cid` MUST be stored
    as a message of its own, and its reply has no `dup`."

    Though all else is the same, the other is alike, or the two run into each other where they are joined.
    Twin: the same again is a retry.
    """
    uid, body = "aB" + server.uid(), fresh()
    alice, other = server.signed(uid), server.signed(uid + "c")
    to, cid = server.uid() + "x", "cD" + fresh()
    sent: list[tuple[Conversation, str, dict[str, str]]] = [
        (alice, to, {"cid": cid}),
        (alice, to, {"cid": cid + "1"}),
        (alice, to, {"cid": cid[:-1]}),
        (alice, to, {"cid": cid.swapcase()}),
        (alice, to, {"cid": cid + " "}),
        (alice, to, {"cid": "c" + cid}),
        (alice, to, {}),
        (alice, to, {}),
        (alice, to + "c", {"cid": cid}),
        (alice, to[:-1], {"cid": cid}),
        (alice, to[:-1], {"cid": "x" + cid}),
        (other, to, {"cid": cid}),
        (other, to, {"cid": cid[1:]}),
        (other, to, {}),
    ]
    ids: dict[str, list[str]] = {to: [], to + "c": [], to[:-1]: []}
    for sender, recipient, extra in sent:
        ids[recipient].append(expect_new(sender.msg(recipient, body, **extra), *ids[recipient]))
    expect_dup(alice.msg(to, body, cid=cid), ids[to][0], cid)
    for recipient, wanted in ids.items():
        client = silent(server, recipient)
        senders = [sender.uid for sender, each, _ in sent if each == recipient]
        assert [expect_stored(client, body, sender) for sender in senders] == wanted
        client.fence()


@pytest.mark.spec("HIST-19")
@pytest.mark.parametrize("mark", [*":|,/- "])
def test_where_uids_and_cids_end_is_known(server: Server, mark: str) -> None:
    """HIST-19: "A msg with another `cid`, from another uid, to another uid, or without `cid` MUST be stored
    as a message of its own, and its reply has no `dup`."

    Whatever a server puts between them, for it may be part of them. Twin: the same again is a retry.
    """
    for order in itertools.permutations(range(3)):
        a, b, c, d = (fresh() for _ in range(4))
        for joined in ((f"{a}{mark}{b}", c, d), (a, f"{b}{mark}{c}", d), (a, b, f"{c}{mark}{d}")):
            sender, to, cid = (joined[place] for place in order)
            client = server.signed(sender)
            id = expect_new(client.msg(to, 0, cid=cid))
            expect_dup(client.msg(to, 0, cid=cid), id, cid)
            client.close()


ALIKE = [
    "m",
    "M",
    " m",
    "m ",
    "m\0",
    "m\0m",
    "m\n",
    "1",
    "01",
    "1.0",
    "\u00e5",
    "a\u030a",
    "\u65e5",
    "K",
    "\u212a",
]
ALIKE += ["null", "%6d", "\\u006d", *("m" * size + last for size in (16, 32, 63) for last in "12")]


@pytest.mark.spec("HIST-19", "HIST-18")
def test_cids_that_are_alike_are_kept_apart(server: Server) -> None:
    """HIST-19: "A msg with another `cid`, from another uid, to another uid, or without `cid` MUST be stored
    as a message of its own, and its reply has no `dup`."

    HIST-18: "A msg with the `cid` of a msg that was answered with status 1, from the same uid to the same
    uid, in the last 5 minutes, MUST NOT be stored again, whatever its body: the reply has the `id` of the
    first, and `"dup":1`."
    """
    alice, uid = server.signed(), server.uid()
    ids = [expect_new(alice.msg(uid, number, cid=cid)) for number, cid in enumerate(ALIKE)]
    for id, cid in zip(ids, ALIKE, strict=True):
        expect_dup(alice.msg(uid, 0, cid=cid), id, cid)
    bob = silent(server, uid)
    assert [expect_stored(bob, number, alice.uid) for number in range(len(ids))] == ids
    bob.fence()


@pytest.mark.spec("HIST-19")
def test_a_cid_of_something_else_makes_no_retry(server: Server) -> None:
    """HIST-19: "A msg with another `cid`, from another uid, to another uid, or without `cid` MUST be stored
    as a message of its own, and its reply has no `dup`."

    The cid of a sign, of a msg that was refused, and of one that the connection sent as somebody else.
    """
    alice, uid, cid = server.connect(), server.uid(), fresh()
    alice.send(type="msg", to=uid, body=0, cid=cid)
    alice.expect_reply(0, "not_signed", cid=cid)
    alice.sign(server.uid(), cid=cid)
    alice.send(type="msg", to=uid, cid=cid)
    alice.expect_reply(0, "missing_body", cid=cid)
    alice.send(type="msg", to="", body=0, cid=cid)
    alice.expect_reply(0, "invalid_to", cid=cid)
    first = expect_new(alice.msg(uid, 1, cid=cid))
    was = alice.uid
    alice.sign(server.uid(), cid=cid)
    second = expect_new(alice.msg(uid, 2, cid=cid), first)
    expect_dup(alice.msg(uid, 2, cid=cid), second, cid)
    bob = silent(server, uid)
    assert [expect_stored(bob, 1, was), expect_stored(bob, 2, alice.uid)] == [first, second]
    bob.fence()
