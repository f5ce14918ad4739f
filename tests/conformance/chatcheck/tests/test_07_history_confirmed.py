"""SPEC 7.3: what a device has read, as its pongs say, does not come again."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from chatcheck.claims import LAST_ID
from chatcheck.client import Client
from chatcheck.target import Server
from chatcheck.tests.helpers import deliver_to_all, fence_devices, fresh
from chatcheck.tests.history import (
    await_ping,
    confirm,
    expect_all,
    expect_stored,
    order_of,
    reader,
    send_many,
    send_stored,
    silent,
    some,
)
from chatcheck.timing import eventually, scaled
from chatcheck.verdict import Mismatch

pytestmark = pytest.mark.feature("history")

GRACE_SECONDS = 0.5  # a ping that is sent in time may be that late here


# HIST-12: the ping.


@pytest.mark.spec("HIST-12")
def test_deliveries_are_followed_by_a_ping_with_the_last_id(server: Server) -> None:
    """HIST-12: "After deliveries of msgs a server MUST send the device a ping whose payload is the id of the
    last of them, within a documented time; the reference server does within a second."

    Of live ones and of ones that had waited, one and many, and to each device.
    """
    alice, uid = server.signed(), server.uid()
    ids = send_many(alice, uid, bodies := some(30))
    devices = [silent(server, uid), reader(server, uid, since=ids[9]), silent(server, uid, since="0-0")]
    for device, n in zip(devices, (0, 10, 0), strict=True):
        expect_all(device, bodies[n:], alice.uid)
    expect_pings(server, devices, ids[-1])
    for n in (1, 20):
        ids = send_many(alice, uid, bodies := some(n))
        for device in devices:
            expect_all(device, bodies, alice.uid)
        expect_pings(server, devices, ids[-1])


def expect_pings(server: Server, devices: list[Client], id: str) -> None:
    """Each device, which has just got its last delivery, gets the ping within the documented time."""
    for device in devices:
        device.expect_ping(id.encode(), server.documented.confirm_wait + GRACE_SECONDS)


@pytest.mark.spec("HIST-12")
@pytest.mark.waits
@pytest.mark.limit(60)
def test_a_ping_comes_in_time_also_when_deliveries_do_not_stop(server: Server) -> None:
    """HIST-12: "After deliveries of msgs a server MUST send the device a ping whose payload is the id of the
    last of them, within a documented time; the reference server does within a second."

    "The last of them" is then one of those that came before the ping.
    """
    alice, bob = server.signed(), silent(server, server.uid())
    wait = server.documented.confirm_wait
    server.allow(60 + 4 * wait)
    ids: dict[bytes, float] = {}

    def is_pinged() -> bool:
        id = send_stored(alice, bob.uid, body := fresh())
        expect_stored(bob, body, alice.uid)
        ids.setdefault(id.encode(), time.monotonic())
        return bool(ids.keys() & {*bob.pings})

    begin = time.monotonic()
    if not eventually(is_pinged, within=2 * wait + GRACE_SECONDS, every=0.02):
        raise Mismatch(f"a ping with the id of one of {len(ids)} deliveries", "pings with none of them")
    assert time.monotonic() - begin <= scaled(wait + GRACE_SECONDS), "the ping came late"
    await_ping(server, bob, list(ids)[-1].decode())


# HIST-13: what the pong does.


@pytest.mark.spec("HIST-13")
@pytest.mark.parametrize("waited", [False, True], ids=["live", "waited"])
def test_what_is_confirmed_does_not_come_again(server: Server, waited: bool) -> None:
    """HIST-13: "A pong with the payload of any such ping that is not answered yet, of the newest eight at
    least, MUST confirm every message of the uid up to that id, at the latest when a msg that the connection
    sends after it is answered: without `since` they do not come again, on any device."

    Neither on a new connection, nor on one of its other devices that has confirmed nothing and signs again.
    Twin: a later message does come, and with a `since` all do.
    """
    alice, uid, bodies = server.signed(), server.uid(), some(12)
    other = silent(server, uid)
    if waited:
        ids = send_many(alice, uid, bodies)
        bob = reader(server, uid)
    else:
        bob = reader(server, uid)
        ids = send_many(alice, uid, bodies)
    for device in (bob, other):
        assert expect_all(device, bodies, alice.uid) == ids
    confirm(server, bob, ids[-1])

    late = silent(server, uid)
    other.sign(server.uid())
    other.sign(uid)
    everything = silent(server, uid, since="0-0")
    expect_all(everything, bodies, alice.uid)
    fence_devices(bob, late, other, everything)
    for device in (bob, late, other, everything):
        device.close()
    new = send_stored(alice, uid, body := fresh())
    back = reader(server, uid)
    messages = [back.recv()]
    while messages[-1].get("id") != new:  # the fence has not been confirmed
        messages.append(back.recv())
    assert not {*ids} & {message["id"] for message in messages}
    assert messages[-1]["body"] == body


@pytest.mark.spec("HIST-13", "HIST-14")
def test_a_pong_confirms_up_to_its_id_and_no_further(server: Server) -> None:
    """HIST-13: "A pong with the payload of any such ping that is not answered yet, of the newest eight at
    least, MUST confirm every message of the uid up to that id, at the latest when a msg that the connection
    sends after it is answered: without `since` they do not come again, on any device."

    HIST-14: "A message that was delivered and not confirmed MUST come again after the next sign without
    `since` of another connection."

    The pong to the first of two pings, although the second has come, and then the pong to the second.
    """
    alice, bob = server.signed(), silent(server, server.uid())
    first, second = some(3), some(3)
    first_ids = send_many(alice, bob.uid, first)
    expect_all(bob, first, alice.uid)
    await_ping(server, bob, first_ids[-1])
    second_ids = send_many(alice, bob.uid, second)
    expect_all(bob, second, alice.uid)
    await_ping(server, bob, second_ids[-1])

    devices = [bob, silent(server, bob.uid)]
    assert expect_all(devices[-1], [*first, *second], alice.uid) == first_ids + second_ids
    bob.pong(first_ids[-1].encode())
    bob.msg(server.uid(), 0)
    devices.append(silent(server, bob.uid))
    assert expect_all(devices[-1], second, alice.uid) == second_ids
    bob.pong(second_ids[-1].encode())
    bob.msg(server.uid(), 0)
    devices.append(silent(server, bob.uid))
    fence_devices(*devices)


@pytest.mark.spec("HIST-13")
@pytest.mark.waits
@pytest.mark.limit(60)
def test_any_of_eight_pings_that_are_not_answered_may_be(server: Server) -> None:
    """HIST-13: "A pong with the payload of any such ping that is not answered yet, of the newest eight at
    least, MUST confirm every message of the uid up to that id, at the latest when a msg that the connection
    sends after it is answered: without `since` they do not come again, on any device."

    The first of eight, one in the middle, the last; what came later stays unconfirmed each time. And the
    pong to one before those that were answered takes nothing back.
    """
    server.allow(60 + 8 * server.documented.confirm_wait)
    alice, bob = server.signed(), silent(server, server.uid())
    bodies, ids = some(8), list[str]()
    for body in bodies:
        ids.append(send_stored(alice, bob.uid, body))
        expect_stored(bob, body, alice.uid)
        await_ping(server, bob, ids[-1])
    devices = [bob]
    for answered, n_confirmed in ((0, 1), (4, 5), (2, 5), (7, 8)):
        bob.pong(ids[answered].encode())
        bob.msg(server.uid(), 0)
        devices.append(silent(server, bob.uid))
        assert expect_all(devices[-1], bodies[n_confirmed:], alice.uid) == ids[n_confirmed:]
    fence_devices(*devices)


@pytest.mark.spec("HIST-13")
def test_any_device_confirms_for_all_and_none_takes_it_back(server: Server) -> None:
    """HIST-13: "A pong with the payload of any such ping that is not answered yet, of the newest eight at
    least, MUST confirm every message of the uid up to that id, at the latest when a msg that the connection
    sends after it is answered: without `since` they do not come again, on any device."

    The second of three devices, while the first never answers, and the third answers a ping that is older.
    """
    alice, uid = server.signed(), server.uid()
    devices = [silent(server, uid) for _ in range(3)]
    old = send_stored(alice, uid, body := fresh())
    for device in devices:
        expect_stored(device, body, alice.uid)
        await_ping(server, device, old)
    ids = send_many(alice, uid, bodies := some(4))
    for device in devices:
        expect_all(device, bodies, alice.uid)
    await_ping(server, devices[1], ids[-1])
    devices[1].pong(ids[-1].encode())
    devices[1].msg(server.uid(), 0)
    devices[2].pong(old.encode())
    devices[2].msg(server.uid(), 0)
    devices.append(silent(server, uid))
    fence_devices(*devices)
    devices[1].close()
    deliver_to_all(alice, uid, devices[0], devices[2], devices[3])


@pytest.mark.spec("HIST-13")
def test_the_msg_behind_the_pong_may_be_to_oneself(server: Server) -> None:
    """HIST-13: "A pong with the payload of any such ping that is not answered yet, of the newest eight at
    least, MUST confirm every message of the uid up to that id, at the latest when a msg that the connection
    sends after it is answered: without `since` they do not come again, on any device."

    That message is not confirmed by the pong that was sent before it.
    """
    alice, bob = server.signed(), silent(server, server.uid())
    ids = send_many(alice, bob.uid, bodies := some(3))
    expect_all(bob, bodies, alice.uid)
    await_ping(server, bob, ids[-1])
    body = fresh()
    bob.pong(ids[-1].encode())
    bob.send(type="msg", to=bob.uid, body=body)
    own = expect_stored(bob, body, bob.uid)
    bob.expect_reply(1)
    late = silent(server, bob.uid)
    assert expect_stored(late, body, bob.uid) == own
    fence_devices(bob, late)


# HIST-14: what was not confirmed.

ENDS: dict[str, Callable[[Client], object]] = {
    "open": lambda client: None,
    "close": Client.close,
    "reset": Client.abort,
}


@pytest.mark.spec("HIST-14")
@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("is_pinged", [False, True], ids=["at_once", "after_the_ping"])
def test_what_was_delivered_and_not_confirmed_comes_again(server: Server, how: str, is_pinged: bool) -> None:
    """HIST-14: "A message that was delivered and not confirmed MUST come again after the next sign without
    `since` of another connection."

    Whether the first connection is still open or how it ended. Twin: once it is confirmed it does not.
    """
    alice, uid, bodies = server.signed(), server.uid(), some(5)
    bob = silent(server, uid)
    ids = send_many(alice, uid, bodies)
    expect_all(bob, bodies, alice.uid)
    if is_pinged:
        await_ping(server, bob, ids[-1])
    ENDS[how](bob)
    again = reader(server, uid)
    assert expect_all(again, bodies, alice.uid) == ids
    confirm(server, again, ids[-1])
    last = silent(server, uid)
    fence_devices(again, last, *([bob] if how == "open" else []))


# HIST-22: pongs that answer nothing.


@pytest.mark.spec("HIST-22")
def test_a_pong_that_answers_no_such_ping_confirms_nothing(server: Server) -> None:
    """HIST-22: "A pong that answers no ping of this kind MUST NOT confirm anything."

    On the device itself with other payloads; with the right one, on connections that were not pinged with
    it: a stranger's, another user's, and one of the same user that has not got the message. Twin: the right
    payload on the right connection.
    """
    alice, bob = server.signed(), silent(server, server.uid())
    id = send_stored(alice, bob.uid, body := fresh())
    expect_stored(bob, body, alice.uid)
    await_ping(server, bob, id)
    stranger, carol, unread = server.connect(), server.signed(), silent(server, bob.uid, since=LAST_ID)
    ms, n = order_of(id)
    wrong = [b"", b"0-0", LAST_ID.encode(), f"{ms}-{n + 1}".encode(), f"{ms + 1}-0".encode()]
    wrong += [
        f"{id} ".encode(),
        f" {id}".encode(),
        f"0{id}".encode(),
        str(ms).encode(),
        b"\xff" + id.encode(),
    ]
    for payload in wrong:
        bob.pong(payload)
    for client in (stranger, carol, unread):
        client.pong(id.encode())
    stranger.fence()
    for client in (bob, carol, unread):
        client.msg(server.uid(), 0)
    again = silent(server, bob.uid)
    expect_stored(again, body, alice.uid)

    bob.pong(id.encode())
    bob.msg(server.uid(), 0)
    devices = [bob, unread, again, silent(server, bob.uid)]
    fence_devices(*devices)
    carol.fence()


@pytest.mark.spec("HIST-22")
def test_no_other_frame_confirms_anything(server: Server) -> None:
    """HIST-22: "A pong that answers no ping of this kind MUST NOT confirm anything."

    Nor does a request, the client's own ping with that payload, a close, or another sign.
    """
    alice, bob = server.signed(), silent(server, server.uid())
    id = send_stored(alice, bob.uid, body := fresh())
    expect_stored(bob, body, alice.uid)
    await_ping(server, bob, id)
    bob.ping(id.encode())
    bob.send(type="msg", to=server.uid(), body=0, id=id, since=id)
    bob.expect_reply(1)
    bob.sign(bob.uid)
    bob.sign(bob.uid, since=id)
    again = silent(server, bob.uid)
    assert expect_stored(again, body, alice.uid) == id
    bob.close()
    last = silent(server, again.uid)
    assert expect_stored(last, body, alice.uid) == id
    fence_devices(again, last)


@pytest.mark.spec("HIST-14")
def test_a_late_pong_confirms_nothing_of_the_next_uid(server: Server) -> None:
    """HIST-14: "A message that was delivered and not confirmed MUST come again after the next sign without
    `since` of another connection."

    The device was pinged as one user and answers as another, whose message is older. Twin: the right pong.
    """
    alice, old, new = server.signed(), server.uid(), server.uid()
    waiting = send_stored(alice, new, body := fresh())
    mover = silent(server, old)
    last = send_many(alice, old, bodies := some(3))[-1]
    expect_all(mover, bodies, alice.uid)
    await_ping(server, mover, last)
    mover.sign(new)
    assert expect_stored(mover, body, alice.uid) == waiting
    mover.pong(last.encode())
    mover.msg(server.uid(), 0)
    again = silent(server, new)
    assert expect_stored(again, body, alice.uid) == waiting
    await_ping(server, mover, waiting)
    mover.pong(waiting.encode())
    mover.msg(server.uid(), 0)
    fence_devices(mover, again, silent(server, new))


SIGNS_BETWEEN: dict[str, dict[str, str]] = {
    "again": {},
    "since": {"since": LAST_ID},
    "refused": {"since": "x"},
}


@pytest.mark.spec("HIST-12", "HIST-13", "HIST-9")
@pytest.mark.parametrize("how", SIGNS_BETWEEN)
def test_a_sign_between_takes_neither_ping_nor_pong_away(server: Server, how: str) -> None:
    """HIST-12: "After deliveries of msgs a server MUST send the device a ping whose payload is the id of the
    last of them, within a documented time; the reference server does within a second."

    HIST-13: "A pong with the payload of any such ping that is not answered yet, of the newest eight at
    least, MUST confirm every message of the uid up to that id, at the latest when a msg that the connection
    sends after it is answered: without `since` they do not come again, on any device."

    HIST-9: "A sign whose `since` is not an id MUST be answered as `invalid_since`, and changes nothing."

    A sign as the same uid: between the deliveries and their ping, and between that and its pong.
    """
    alice, bob = server.signed(), silent(server, server.uid())

    def sign_between() -> None:
        if how == "refused":
            bob.send(type="sign", uid=server.uid(), **SIGNS_BETWEEN[how])
            bob.expect_reply(0, "invalid_since")
        else:
            bob.sign(bob.uid, **SIGNS_BETWEEN[how])

    ids = send_many(alice, bob.uid, bodies := some(3))
    expect_all(bob, bodies, alice.uid)
    sign_between()
    await_ping(server, bob, ids[-1])
    sign_between()
    bob.pong(ids[-1].encode())
    bob.msg(server.uid(), 0)
    fence_devices(bob, silent(server, bob.uid))
