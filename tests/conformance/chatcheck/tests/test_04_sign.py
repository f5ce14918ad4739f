"""SPEC 4.2: sign."""

from __future__ import annotations

import hashlib
import re
import time

import pytest

from chatcheck.claims import from_now_on
from chatcheck.conversation import dump, same_json
from chatcheck.target import Server
from chatcheck.tests.helpers import deliver_to_all, fence_devices, fresh
from chatcheck.transcript import show_text
from chatcheck.verdict import Mismatch, not_applicable

INVALID_UIDS = {
    "empty": "",
    "long": "x" * 129,
    "control": "10\u000001",
    "delete": "1001\u007f",
    "null": None,
    "true": True,
    "false": False,
    "fraction": 1001.5,
    "too_big": 2**53,
    "array": ["1001"],
    "object": {"uid": "1001"},
}


@pytest.mark.spec("SIGN-1")
def test_a_valid_uid_is_signed_and_gets_a_token(server: Server) -> None:
    """SIGN-1: "A sign with a valid uid MUST be answered with status 1 and a `token`." """
    client, uid = server.connect(), server.uid()
    client.send(type="sign", uid=uid)
    reply = client.expect_reply(1)
    assert isinstance(reply.get("token"), str)
    client.uid = uid
    client.fence()


@pytest.mark.spec("SIGN-2")
def test_a_token_is_32_lower_case_hexadecimal_digits(server: Server) -> None:
    """SIGN-2: "A token MUST be 32 lower-case hexadecimal digits." """
    client = server.connect()
    for _ in range(20):
        client.send(type="sign", uid=server.uid())
        token = client.expect_reply(1).get("token")
        assert re.fullmatch("[0-9a-f]{32}", str(token)), token


@pytest.mark.spec("SIGN-3")
def test_every_sign_gets_a_new_token_that_nobody_can_foresee(server: Server) -> None:
    """SIGN-3: "A token MUST come from a secure random source, a new one for each sign."

    200 signs on two connections at once, some as the same uid, all within the same second or two: no token
    comes twice, none is the hash of a clock, and next to no digit is predictable. (Two fixed digits are
    allowed for, as in a UUID of version 4.)
    """
    alice, bob, same = server.connect(), server.connect(), server.uid()
    begin = int(time.time())
    for number in range(100):
        uid = same if number % 2 else server.uid()
        alice.send(type="sign", uid=uid)
        bob.send(type="sign", uid=uid)
    tokens = [str(client.expect_reply(1).get("token")) for _ in range(100) for client in (alice, bob)]
    end = int(time.time())

    assert len(set(tokens)) == len(tokens), "a token came twice"
    clock = {hashlib.md5(str(second).encode()).hexdigest() for second in range(begin - 5, end + 6)}
    assert not clock & set(tokens), "a token is the MD5 of the clock"
    columns = {tuple(token[place : place + 1] for token in tokens) for place in range(32)}
    vivid = sum(len(set(column)) >= 8 for column in columns)  # a place that repeats another's counts once
    assert vivid >= 30, f"only {vivid} of the 32 digits vary as random ones do, each on its own"


@pytest.mark.spec("SIGN-3")
@pytest.mark.needs("start")
def test_tokens_do_not_come_again_after_a_restart(server: Server) -> None:
    """SIGN-3: "A token MUST come from a secure random source, a new one for each sign." """
    runs = []
    for _ in range(2):
        server.restart()  # also before the first, so that a server that counts has counted as far each time
        runs.append({server.connect().sign(server.uid())["token"] for _ in range(10)})
    before, after = runs
    assert len(before) == len(after) == 10
    assert not before & after, f"tokens came again after the restart: {before & after}"


@pytest.mark.spec("SIGN-4")
def test_from_the_reply_on_messages_reach_the_device(server: Server) -> None:
    """SIGN-4: "From the reply on, every message to the uid MUST reach this device."

    The message leaves the moment the reply is there, again and again, and from a connection that has
    sent to the uid before, when nobody was signed as it.
    """
    bob = server.signed()
    for _ in range(10):
        uid, body = server.uid(), fresh()
        bob.msg(uid, fresh())
        alice = server.connect()
        alice.sign(uid, **from_now_on())
        bob.send(type="msg", to=uid, body=body)
        alice.expect_delivery(body, bob.uid)
        bob.expect_reply(1)
        second = server.signed(uid)
        deliver_to_all(bob, uid, alice, second)
        fence_devices(alice, second)


@pytest.mark.spec("SIGN-4")
def test_what_is_sent_right_behind_a_sign_reaches_the_device(server: Server) -> None:
    """SIGN-4: "From the reply on, every message to the uid MUST reach this device." """
    client, uid, body = server.connect(), server.uid(), fresh()
    client.send(type="sign", uid=uid)
    client.send(type="msg", to=uid, body=body)
    client.expect_reply(1)
    client.expect_delivery(body, uid)
    client.expect_reply(1)


@pytest.mark.spec("SIGN-4", "MSG-3")
def test_until_the_reply_nothing_reaches_the_device(server: Server) -> None:
    """SIGN-4: "From the reply on, every message to the uid MUST reach this device."

    MSG-3: "Nobody else MUST get anything: neither devices of other uids, nor the sender's own devices
    unless `to` is their uid, nor a connection that is not signed."

    Messages to the uid come all the while it signs. The reply is the first thing that its new device gets;
    from then on it gets each message, in order.
    """
    bob = server.signed()
    for _ in range(5):
        uid, alice = server.uid(), server.connect()
        for number in range(20):
            bob.send(type="msg", to=uid, body=number)
        alice.send(type="sign", uid=uid)
        for number in range(20, 40):
            bob.send(type="msg", to=uid, body=number)
        first = alice.recv()
        if "from" in first:
            raise Mismatch("the reply to the sign before the first delivery", show_text(dump(first)))
        assert same_json(first.get("status"), 1), f"expected status 1: {first}"
        alice.uid = uid
        for _ in range(40):
            bob.expect_reply(1)
        last = fresh()
        bob.msg(uid, last)
        numbers = []
        while (delivery := alice.recv())["body"] != last:
            assert delivery["from"] == bob.uid, delivery
            numbers.append(delivery["body"])
        assert numbers == list(range(40 - len(numbers), 40)), f"of 0 to 39 only these came: {numbers}"


@pytest.mark.spec("SIGN-5")
def test_signing_again_as_the_same_uid_keeps_one_copy(server: Server) -> None:
    """SIGN-5: "After another sign with the same uid, the device MUST still receive one
    copy of each message."
    """
    alice, bob = server.signed(), server.signed()
    alices_other = server.signed(alice.uid)
    uid = alice.uid
    for _ in range(3):
        alice.sign(uid)
        deliver_to_all(bob, uid, alice, alices_other)
    alice.sign(server.uid())
    alice.sign(uid, **from_now_on())
    for _ in range(3):
        alice.sign(uid)
        deliver_to_all(bob, uid, alice, alices_other)
    for _ in range(260):
        alice.send(type="sign", uid=uid)
    for _ in range(260):
        alice.expect_reply(1)
    deliver_to_all(bob, uid, alice, alices_other)
    fence_devices(alice, alices_other)


@pytest.mark.spec("SIGN-6")
def test_a_device_that_moves_gets_and_sends_as_the_new_uid_only(server: Server) -> None:
    """SIGN-6: "After a sign with another uid the device MUST be one of the new uid only: from the reply on it
    gets nothing that is sent to the old one, and sends as the new one."
    """
    mover, bob = server.signed(), server.signed()
    old, new = mover.uid, server.uid()
    stays = server.signed(old)
    deliver_to_all(bob, old, mover, stays)

    mover.sign(new)

    deliver_to_all(bob, old, stays)
    deliver_to_all(bob, new, mover)
    body = fresh()
    mover.msg(bob.uid, body)
    bob.expect_delivery(body, new)
    mover.fence()
    stays.fence()


@pytest.mark.spec("SIGN-6")
def test_a_device_that_moves_while_messages_come_gets_none_to_the_old_uid_after_the_reply(
    server: Server,
) -> None:
    """SIGN-6: "After a sign with another uid the device MUST be one of the new uid only: from the reply on it
    gets nothing that is sent to the old one, and sends as the new one."
    """
    bob, mover = server.signed(), server.signed()
    for _ in range(5):
        old, new = mover.uid, server.uid()
        for number in range(40):
            bob.send(type="msg", to=old, body=number)
            if number == 20:
                mover.send(type="sign", uid=new)
        while "from" in (message := mover.recv()):
            assert message["from"] == bob.uid, message
        assert message.get("status") == 1, message
        mover.uid = new
        for _ in range(40):
            bob.expect_reply(1)
        for _ in range(3):
            deliver_to_all(bob, new, mover)
            mover.fence()


@pytest.mark.spec("SIGN-6")
@pytest.mark.parametrize("lengthen", ["1", " ", ":", "\u0301"], ids=["digit", "space", "colon", "accent"])
def test_a_device_moves_between_uids_of_which_one_begins_with_the_other(
    server: Server, lengthen: str
) -> None:
    """SIGN-6: "After a sign with another uid the device MUST be one of the new uid only: from the reply on it
    gets nothing that is sent to the old one, and sends as the new one."
    """
    bob, short = server.signed(), server.uid()
    for old, new in ((short, short + lengthen), (short + lengthen, short)):
        mover = server.signed(old)
        mover.sign(new, **from_now_on())
        bob.msg(old, fresh())
        deliver_to_all(bob, new, mover)
        mover.fence()
        mover.close()


@pytest.mark.spec("SIGN-6")
def test_a_device_that_moves_there_and_back_is_there_once(server: Server) -> None:
    """SIGN-6: "After a sign with another uid the device MUST be one of the new uid only: from the reply on it
    gets nothing that is sent to the old one, and sends as the new one."
    """
    if server.keeps_history:
        not_applicable("with history what was sent to the old uid comes when the device is back")
    mover, bob = server.signed(), server.signed()
    home, away = mover.uid, server.uid()
    for _ in range(12):
        mover.sign(away)
        bob.msg(home, fresh())
        deliver_to_all(bob, away, mover)
        mover.sign(home)
        bob.msg(away, fresh())
        deliver_to_all(bob, home, mover)
    mover.fence()


@pytest.mark.spec("SIGN-6")
def test_a_device_that_moves_again_and_again_leaves_nothing_behind(server: Server) -> None:
    """SIGN-6: "After a sign with another uid the device MUST be one of the new uid only: from the reply on it
    gets nothing that is sent to the old one, and sends as the new one."

    All signs are sent at once; to some of the uids it comes back.
    """
    mover, bob = server.signed(), server.signed()
    uids = [server.uid() for _ in range(50)]
    for uid in (*uids, *uids[::3], *uids[:40]):
        mover.send(type="sign", uid=uid)
    for _ in range(50 + 17 + 40):
        mover.expect_reply(1)
    mover.uid = uids[39]
    for uid in uids:
        if uid != mover.uid:
            bob.msg(uid, fresh())
    deliver_to_all(bob, mover.uid, mover)
    mover.fence()


@pytest.mark.spec("SIGN-7")
@pytest.mark.parametrize("signed", [False, True], ids=["not_signed", "signed"])
def test_a_sign_that_fails_leaves_the_connection_as_it_was(server: Server, signed: bool) -> None:
    """SIGN-7: "A sign that is answered with status 0 MUST leave the connection as it was: not signed, or
    signed as before."
    """
    client = server.signed() if signed else server.connect()
    bob, wanted = server.signed(), server.uid()
    failures: list[tuple[dict[str, object], str]] = [
        ({}, "invalid_uid"),
        ({"uid": ""}, "invalid_uid"),
        ({"uid": [wanted]}, "invalid_uid"),
        ({"uid": wanted, "cid": 7}, "invalid_cid"),
        ({"uid": wanted, "cid": ""}, "invalid_cid"),
    ]
    for members, code in failures:
        client.send(type="sign", **members)
        client.expect_reply(0, code)
        bob.msg(wanted, fresh())
        if signed:
            deliver_to_all(bob, client.uid, client)
        client.fence()
    client.sign(wanted, **from_now_on())
    deliver_to_all(bob, wanted, client)
    client.fence()


@pytest.mark.spec("SIGN-8")
@pytest.mark.parametrize("invalid", INVALID_UIDS)
def test_an_invalid_uid_is_refused(server: Server, invalid: str) -> None:
    """SIGN-8: "A sign whose uid is missing or invalid MUST be answered as `invalid_uid`." """
    client = server.connect()
    client.send(type="sign", uid=INVALID_UIDS[invalid])
    assert "token" not in client.expect_reply(0, "invalid_uid")
    client.fence()
    client.sign(server.uid())
    client.fence()


@pytest.mark.spec("SIGN-8")
def test_a_missing_uid_is_refused(server: Server) -> None:
    """SIGN-8: "A sign whose uid is missing or invalid MUST be answered as `invalid_uid`." """
    client, uid = server.connect(), server.uid()
    for members in ({}, {"UID": uid}, {"to": uid}, {"uid ": uid}, {"user": {"uid": uid}}):
        client.send(type="sign", **members)
        assert "token" not in client.expect_reply(0, "invalid_uid")
        client.fence()
    client.sign(uid)
    client.fence()


@pytest.mark.spec("SIGN-9")
@pytest.mark.limit(30)  # a server may take its time to close a connection
def test_many_connections_sign_as_one_uid(server: Server) -> None:
    """SIGN-9: "Any number of connections, up to the server's documented limits, MUST be able to sign as one
    uid and be its devices at the same time."
    """
    bob, uid = server.signed(), server.uid()
    devices = []
    for _ in range(min(20, server.documented.device_limit or 20)):
        devices.append(server.signed(uid))
        deliver_to_all(bob, uid, *devices)
    fence_devices(*devices)
    left = devices[1:7] + devices[12:]
    for device in devices:
        if device not in left:
            device.close()
    deliver_to_all(bob, uid, *left)
    fence_devices(*left)


@pytest.mark.spec("SIGN-9")
def test_up_to_150_connections_sign_as_one_uid(server: Server) -> None:
    """SIGN-9: "Any number of connections, up to the server's documented limits, MUST be able to sign as one
    uid and be its devices at the same time."
    """
    bob, uid = server.signed(), server.uid()
    n = min(150, server.documented.device_limit or 150)
    devices = [server.raw() for _ in range(n)]
    for device in devices:
        device.send(type="sign", uid=uid)
    for device in devices:
        device.expect_reply(1)
        device.uid = uid
    for _ in range(2):
        deliver_to_all(bob, uid, *devices)
    fence_devices(*devices)
