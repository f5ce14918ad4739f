"""SPEC 8: nodes that die, and nodes that cannot reach Redis while others can."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest

from chatcheck.client import Client
from chatcheck.target import Server
from chatcheck.tests.helpers import (
    deliver_to_all,
    expect_fds,
    expect_gone,
    expect_in_any_mixture,
    fds_of,
    fence_devices,
    fresh,
    set_key,
    signed_with_fd,
    uid_key,
)
from chatcheck.tests.history import (
    expect_stored,
    id_in,
    order_of,
    reader,
    send_many,
    silent,
    some,
)
from chatcheck.timing import eventually, scaled
from chatcheck.wire import Wire

pytestmark = [
    pytest.mark.feature("nodes"),
    pytest.mark.needs("start"),
    pytest.mark.waits,
    pytest.mark.limit(120),
]

GONE_SECONDS = 30.0  # NODE-6
UNAVAILABLE_SECONDS = 3.0  # STORE-9
HEALED_SECONDS = 5.0  # STORE-10


# A node dies.


@pytest.mark.spec("NODE-5", "NODE-6")
def test_the_devices_of_a_node_that_died_are_stale_and_then_gone(server: Server) -> None:
    """NODE-5: "When a node has died, within a documented time, 12 s for the reference server, its devices'
    fds MUST count as stale on every other node ([STORE-6])."

    NODE-6: "When a node has died, the traces of its devices MUST be gone within 30 s, without any sign."

    A sign removes them once they count as stale; those of users who do not sign go by themselves. Twin: the
    traces of the devices of nodes that live stay all the while, and these go on. Then another one dies.
    """
    signs, waits = server.uid(), [server.uid() for _ in range(3)]
    with server.node() as node, server.node() as third:
        dead = [signed_with_fd(node, uid)[1] for uid in (signs, signs, *waits)]
        mine = [signed_with_fd(server, uid) for uid in (signs, waits[0])]
        there, fd_there = signed_with_fd(third, waits[0])
        node.kill()
        begin = time.monotonic()
        client = mine[0][0]

        def signed_and_clean() -> bool:
            client.sign(signs)
            return fds_of(server, signs) == {mine[0][1]}

        assert eventually(signed_and_clean, within=server.documented.death_wait, every=0.25)
        keys = [set_key(uid) for uid in waits[1:]] + [uid_key(fd) for fd in dead]
        left = GONE_SECONDS - (time.monotonic() - begin)

        def only_live_ones_are_left() -> bool:
            fds = fds_of(server, waits[0])
            assert fds >= {mine[1][1], fd_there}
            return len(fds) == 2 and server.redis.exists(*keys) == 0

        assert eventually(only_live_ones_are_left, within=left, every=0.1)
        assert fds_of(server, signs) == {mine[0][1]}
        for _, fd in (*mine, (there, fd_there)):
            assert server.redis.exists(uid_key(fd)) == 1
        for sender in (client, third.signed()):
            deliver_to_all(sender, waits[0], mine[1][0], there)
        third.kill()
        expect_fds(server, waits[0], mine[1][1], within=GONE_SECONDS)
        expect_gone(server, uid_key(fd_there), within=GONE_SECONDS)


@pytest.mark.spec("NODE-9")
@pytest.mark.feature("history")
def test_the_death_of_a_node_loses_nothing(server: Server) -> None:
    """NODE-9: "With the feature `history`, the death of a node MUST NOT lose a message that was answered with
    status 1: the device gets it when it signs on another node."

    The recipient was signed on the node that died, or nowhere, and the sender on that node or on the one
    that lives; it dies the moment the last of them is answered.
    """
    away = server.uid()
    with server.node() as node:
        bob, alice, carol = silent(node, server.uid()), node.signed(), server.signed()
        sent: dict[str, list[tuple[str, str, str]]] = {bob.uid: [], away: []}
        for sender in (alice, carol):
            for uid in sent:
                bodies = some(20)
                ids = send_many(sender, uid, bodies)
                sent[uid] += [(id, body, sender.uid) for id, body in zip(ids, bodies, strict=True)]
        node.kill()
        for uid, messages in sent.items():
            device = reader(server, uid)
            for id, body, sender_uid in messages:
                assert expect_stored(device, body, sender_uid) == id
            carol.msg(uid, body := fresh())
            expect_stored(device, body, carol.uid)
            device.fence()


@pytest.mark.spec("NODE-9", "NODE-12")
@pytest.mark.feature("history")
def test_who_was_not_answered_by_a_node_that_died_asks_another(server: Server) -> None:
    """NODE-9: "With the feature `history`, the death of a node MUST NOT lose a message that was answered with
    status 1: the device gets it when it signs on another node."

    Many are on the way when the node dies. All that were answered arrive, and those that were not do after
    they were sent again with their cids: each once.

    NODE-12: "With the feature `history`, a retry ([HIST-18]) MUST be recognised on every node."
    """
    bob, bodies = silent(server, server.uid()), some(300)
    with server.node() as node:
        alice = node.signed()
        for body in bodies:
            alice.send(type="msg", to=bob.uid, body=body, cid=body)
        answered = [id_in(alice.expect_reply(1)) for _ in range(20)]
        node.kill()
    again = server.signed(alice.uid)
    got = {}
    for body in bodies:
        again.send(type="msg", to=bob.uid, body=body, cid=body)
    for body in bodies:
        got[body] = id_in(again.expect_reply(1, cid=body))
    assert [got[body] for body in bodies[:20]] == answered
    messages = [bob.recv() for _ in bodies]
    assert {message["body"]: message["id"] for message in messages} == got
    ids = [order_of(message["id"]) for message in messages]
    assert ids == sorted(ids)
    bob.fence()


@pytest.mark.spec("NODE-1", "STORE-1")
@pytest.mark.parametrize("end", [Server.stop, Server.kill], ids=["stopped", "killed"])
def test_nodes_come_and_go_and_change_nothing_for_others(
    server: Server, end: Callable[[Server], None]
) -> None:
    """NODE-1: "Each device of `to` on every node MUST get a message exactly once."

    STORE-1: "While a uid has devices, `chat_map_uid_fd:<uid>` MUST be a set that has one fd for each of them,
    from the reply to the sign on."

    Right after a node has started, and right after it has ended. Twin: while it is there, it takes part.
    """
    uid = server.uid()
    with server.node() as node:
        devices = [server.signed(uid), node.signed(uid)]
        senders = [server.signed(), node.signed()]
        fds = fds_of(server, uid)
        assert len(fds) == len(devices)
        for _ in range(2):
            with server.node() as third:
                assert fds_of(server, uid) >= fds
                for sender in senders:
                    deliver_to_all(sender, uid, *devices)
                guest = third.signed(uid)
                for sender in senders:
                    deliver_to_all(sender, uid, guest, *devices)
                end(third)
            assert fds_of(server, uid) >= fds
            for sender in senders:
                deliver_to_all(sender, uid, *devices)
        fence_devices(*devices)


# A node is cut off.

CUTS: dict[str, Callable[[Wire], None]] = {
    "silent": Wire.cut,
    "severed": Wire.sever,
    "requests_lost": lambda wire: wire.cut(replies=False),
    "replies_lost": lambda wire: wire.cut(requests=False),
}


def is_available(client: Client, to: str) -> bool:
    """Can this connection send now? If not, it has to be told so."""
    client.send(type="msg", to=to, body=fresh())
    reply = client.recv()
    if reply.get("status") == 1:
        return True
    assert reply.get("code", "unavailable") == "unavailable", reply
    return False


@pytest.mark.spec("NODE-7", "NODE-8")
@pytest.mark.parametrize("how", CUTS)
def test_a_node_that_is_cut_off_says_so_and_catches_up(server: Server, how: str) -> None:
    """NODE-7: "A node that cannot reach Redis MUST answer a msg as `unavailable`, and keep its connections
    open, also while other nodes can reach it."

    Within 3 s, as STORE-9 says. Twin: the other node goes on, and this one does once it is back.

    NODE-8: "When a node reaches Redis again within a documented time, 120 s for the reference server, its
    devices MUST get the msgs and the broadcasts that were sent to them meanwhile, in order and once, unless
    more than a documented number waits for the node."
    """
    uid = server.uid()
    with server.node_on_a_wire() as (node, wire):
        alice, carol = server.signed(), node.signed()
        devices = [node.signed(uid), node.signed(uid), server.signed(uid)]
        deliver_to_all(alice, uid, *devices)
        deliver_to_all(carol, uid, *devices)
        CUTS[how](wire)
        try:
            for _ in range(3):
                begin = time.monotonic()
                carol.send(type="msg", to=server.uid(), body=fresh())
                carol.expect_reply(0, "unavailable")
                assert time.monotonic() - begin <= scaled(UNAVAILABLE_SECONDS)
            carol.send(type="msg", to=uid)
            carol.expect_reply(0, "missing_body")
            bodies = some(40)
            for body in bodies:
                deliver_to_all(alice, uid, devices[2], body=body)
            for client in (carol, *devices[:2]):
                client.ping(b"open")
        finally:
            wire.mend()
        assert eventually(lambda: is_available(carol, node.uid()), within=HEALED_SECONDS, every=0.1)
        for device in devices[:2]:
            for body in bodies:
                device.expect_delivery(body, alice.uid)
        for sender in (alice, carol):
            deliver_to_all(sender, uid, *devices)
        fence_devices(*devices)


@pytest.mark.spec("NODE-13", "NODE-8", "CAST-10")
@pytest.mark.feature("broadcast")
def test_a_node_that_was_cut_off_catches_up_with_broadcasts(server: Server) -> None:
    """NODE-13: "With the feature `broadcast`, a broadcast MUST reach every device on every node exactly
    once."

    NODE-8: "When a node reaches Redis again within a documented time, 120 s for the reference server, its
    devices MUST get the msgs and the broadcasts that were sent to them meanwhile, in order and once, unless
    more than a documented number waits for the node."

    CAST-10: "Broadcasts of one connection MUST arrive at each device in the order in which they were sent."
    """
    uid = server.uid()
    with server.node_on_a_wire() as (node, wire):
        alice, carol, device = server.broadcaster(), node.signed(), node.signed(uid)
        wire.cut()
        try:
            carol.send(type="msg", to=server.uid(), body=fresh())
            carol.expect_reply(0, "unavailable")
            bodies = some(12)
            for number, body in enumerate(bodies):
                if number % 3:
                    alice.broadcast(body)
                else:
                    alice.msg(uid, body)
        finally:
            wire.mend()
        broadcasts = [body for number, body in enumerate(bodies) if number % 3]
        expect_in_any_mixture(device, bodies[::3], broadcasts)
        expect_in_any_mixture(carol, [], broadcasts)
        assert eventually(lambda: is_available(carol, node.uid()), within=HEALED_SECONDS, every=0.1)
        for client in (device, carol):
            client.fence()


@pytest.mark.spec("REPLY-8", "NODE-13")
@pytest.mark.feature("broadcast")
@pytest.mark.parametrize("how", ["silent", "severed"])
def test_a_broadcast_of_a_node_that_is_cut_off_is_not_done(server: Server, how: str) -> None:
    """REPLY-8: "A request that the server cannot do now MUST be answered as `unavailable`, and nothing of it
    is done, now or later; only where the store broke before it said whether it had a msg or a broadcast
    may that still arrive, at each device once at most."

    Neither on its own node nor on others, and not when it is back; but for what flows on in a network that
    was silent.

    NODE-13: "With the feature `broadcast`, a broadcast MUST reach every device on every node exactly
    once."

    Twin: before the cut, and once the node is back.
    """
    with server.node_on_a_wire() as (node, wire):
        sender, devices = node.broadcaster(), [node.signed(), server.signed()]
        got: list[Counter[str]] = [Counter() for _ in (sender, *devices)]
        asked: list[str] = []

        def is_broadcast() -> bool:
            asked.append(fresh())
            sender.send(type="broadcast", body=asked[-1])
            while "broadcast" in (message := sender.recv()):
                got[0][message["body"]] += 1
            assert message.get("status") == 1 or message.get("code", "unavailable") == "unavailable", message
            return message.get("status") == 1

        def has_come(body: str, n_in_doubt: int) -> None:
            """This one has, to everybody; those before it to nobody, or where in doubt once."""
            for client, counted in zip(devices, got[1:], strict=True):
                while not counted[body]:
                    counted[client.recv()["body"]] += 1
            for counted in got:
                assert counted[body] == 1
                assert all(counted[each] <= n_in_doubt for each in asked if each != body), counted
            for client in (sender, *devices):
                client.fence()
            asked.clear()

        assert is_broadcast()
        has_come(asked[-1], 0)
        CUTS[how](wire)
        try:
            for _ in range(3):
                begin = time.monotonic()
                assert not is_broadcast()
                assert time.monotonic() - begin <= scaled(UNAVAILABLE_SECONDS)
            for client in (sender, *devices):
                client.send(type="msg", to=client.uid)
                client.expect_reply(0, "missing_body")
        finally:
            wire.mend()
        assert eventually(is_broadcast, within=HEALED_SECONDS, every=0.1)
        has_come(asked[-1], 1 if how == "silent" else 0)


@pytest.mark.spec("CAST-6", "NODE-13")
@pytest.mark.feature("broadcast")
@pytest.mark.parametrize("how", ["silent", "severed"])
def test_who_signs_on_a_node_that_comes_back_hears_no_earlier_broadcast(server: Server, how: str) -> None:
    """CAST-6: "A broadcast MUST NOT be kept for later: a connection that signs on the same server after the
    reply does not get it, nor one that signs on another server when a documented time has passed since the
    reply; the reference server's is 2 s."

    Nor from a node that has still to tell it to those who are there. Twin: one of them gets it.

    NODE-13: "With the feature `broadcast`, a broadcast MUST reach every device on every node exactly
    once."
    """
    with server.node_on_a_wire() as (node, wire):
        alice, carol = server.broadcaster(), node.signed()
        CUTS[how](wire)
        try:
            carol.send(type="msg", to=node.uid(), body=fresh())
            carol.expect_reply(0, "unavailable")
            bodies = some(300)
            for body in bodies:
                alice.broadcast(body)
            time.sleep(scaled(server.documented.broadcast_wait))
        finally:
            wire.mend()
        late, uid = node.connect(), server.uid()

        def signs() -> bool:
            late.send(type="sign", uid=uid)
            return bool(late.recv()["status"] == 1)

        assert eventually(signs, within=HEALED_SECONDS, every=0.001)
        late.uid = uid
        late.fence()
        for body in bodies:
            carol.expect_broadcast(body, alice.uid)
        late.fence()
        carol.fence()


@pytest.mark.spec("NODE-8", "NODE-1")
def test_a_node_that_was_cut_off_for_longer_than_a_death_is_no_other(server: Server) -> None:
    """NODE-8: "When a node reaches Redis again within a documented time, 120 s for the reference server,
    its devices MUST get the msgs and the broadcasts that were sent to them meanwhile, in order and once,
    unless more than a documented number waits for the node."

    The others take it for dead by then (NODE-5), and remove the traces of its devices, which come back.

    NODE-1: "Each device of `to` on every node MUST get a message exactly once."
    """
    uid = server.uid()
    with server.node_on_a_wire() as (node, wire):
        alice, stays, carol = server.signed(), server.signed(uid), node.signed()
        device, fd = signed_with_fd(node, uid)
        wire.cut()
        try:

            def counts_as_dead() -> bool:
                stays.sign(uid)
                return fd not in fds_of(server, uid)

            assert eventually(counts_as_dead, within=server.documented.death_wait, every=0.25)
            bodies = some(30)
            for body in bodies:
                deliver_to_all(alice, uid, stays, body=body)
        finally:
            wire.mend()
        assert eventually(lambda: is_available(carol, node.uid()), within=HEALED_SECONDS, every=0.1)
        for body in bodies:
            device.expect_delivery(body, alice.uid)
        assert eventually(lambda: fd in fds_of(server, uid), within=server.documented.refresh_wait)
        deliver_to_all(alice, uid, device, stays)
        fence_devices(device, stays)


@pytest.mark.spec("NODE-8", "NODE-12")
@pytest.mark.feature("history")
@pytest.mark.parametrize("how", CUTS)
def test_what_a_cut_left_in_doubt_is_settled_by_a_retry(server: Server, how: str) -> None:
    """NODE-8: "When a node reaches Redis again within a documented time, 120 s for the reference server,
    its devices MUST get the msgs and the broadcasts that were sent to them meanwhile, in order and once,
    unless more than a documented number waits for the node."

    Whoever was told `unavailable` sends the same again, with its cid, until it is answered: it is stored
    once, whether or not the first attempt was (see HIST-18).

    NODE-12: "With the feature `history`, a retry ([HIST-18]) MUST be recognised on every node."
    """
    uid = server.uid()
    with server.node_on_a_wire() as (node, wire):
        carol, devices = node.signed(), [silent(node, uid), silent(server, uid)]
        bodies = some(5)
        CUTS[how](wire)
        try:
            for body in bodies:
                carol.send(type="msg", to=uid, body=body, cid=body)
            for body in bodies:
                carol.expect_reply(0, "unavailable", cid=body)
        finally:
            wire.mend()
        assert eventually(lambda: is_available(carol, node.uid()), within=HEALED_SECONDS, every=0.1)
        second = server.signed(carol.uid)
        ids = {}
        for number, body in enumerate(bodies):
            ids[body] = id_in((second if number % 2 else carol).msg(uid, body, cid=body))
        devices += [silent(node, uid), silent(server, uid, since="0-0")]
        for device in devices:
            got = [device.recv() for _ in bodies]
            assert {message["body"]: message["id"] for message in got} == ids
            assert [order_of(id_in(message)) for message in got] == sorted(map(order_of, ids.values()))
        fence_devices(*devices)
