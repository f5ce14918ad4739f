"""SPEC 8: several nodes on one Redis. Nodes that die or are cut off are in test_08_nodes_lost.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from chatcheck.claims import from_now_on
from chatcheck.client import Client
from chatcheck.target import Server
from chatcheck.tests.bodies import BODIES
from chatcheck.tests.helpers import (
    broadcast_as_written,
    check_traces,
    deliver_to_all,
    expect_fds,
    expect_in_any_mixture,
    expect_soon,
    fds_of,
    fence_devices,
    fence_for_a_while,
    fresh,
    fresh_number,
    signed_with_fd,
)
from chatcheck.tests.history import (
    confirm,
    expect_all,
    expect_stored,
    id_in,
    order_of,
    reader,
    send_many,
    send_stored,
    silent,
    some,
)
from chatcheck.timing import eventually

pytestmark = [pytest.mark.feature("nodes"), pytest.mark.limit(60)]


LONG = 65_400  # so that the message has nearly the length that every server accepts: WS-7
ACQUAINTED_SECONDS = 3.0  # then even in a Redis that is empty nothing is new: the nodes know each other


@pytest.fixture
def node(server: Server) -> Iterator[Server]:
    """A second node."""
    with server.node() as node:
        yield node


@pytest.fixture
def flush(server: Server, node: Server) -> Iterator[Callable[[], object]]:
    """Empties Redis; at the end both nodes have found that out."""
    traces = [signed_with_fd(each, each.uid()) for each in (server, node)]
    yield server.redis.flushall
    for client, fd in traces:
        expect_fds(server, client.uid, fd, within=server.documented.refresh_wait)


@pytest.mark.spec("NODE-1", "NODE-2")
def test_each_device_on_each_node_gets_a_message_once(server: Server, node: Server) -> None:
    """NODE-1: "Each device of `to` on every node MUST get a message exactly once."

    NODE-2: "Nobody else on any node MUST get it."
    """
    uid = server.uid()
    senders, others = [server.signed(), node.signed()], [server.signed(uid + "0"), node.signed(uid[:-1])]
    devices = [each.signed(uid) for each in (server, node, node, server)]
    strangers = [server.connect(), node.connect()]
    siblings = [server.signed(senders[1].uid), node.signed(senders[0].uid)]
    bodies: list[object] = [fresh(), {}, [fresh()] * 300, "x" * LONG]
    for sender in senders:
        for body in bodies:
            deliver_to_all(sender, uid, *devices, body=body)
    fence_devices(*devices)
    fence_devices(senders[0], siblings[1])
    fence_devices(senders[1], siblings[0])
    for client in (*others, *strangers):
        client.fence()
    for sender in devices[:2]:
        sender.send(type="msg", to=uid, body=(to_all := fresh()))
        for device in devices:
            device.expect_delivery(to_all, uid)
        sender.expect_reply(1)
    devices.pop(1).close()
    deliver_to_all(senders[0], uid, *devices)
    fence_devices(*devices)


@pytest.mark.spec("NODE-1", "BODY-1")
def test_whatever_a_body_is_it_reaches_the_other_node_as_that(server: Server, node: Server) -> None:
    r"""NODE-1: "Each device of `to` on every node MUST get a message exactly once."

    BODY-1: "A body MUST arrive as the same value, for every value of I-JSON (RFC 7493): numbers equal as
    binary64, strings code point for code point with `\u0000` and characters beyond U+FFFF, `{}` and `[]` as
    they were, with nothing added or dropped at any level."
    """
    alice, uid = server.signed(), server.uid()
    devices = [node.signed(uid), server.signed(uid)]
    for body in BODIES:
        alice.send_text(f'{{"type":"msg","to":"{uid}","body":{body}}}')
    for body in map(json.loads, BODIES):
        for device in devices:
            device.expect_delivery(body, alice.uid)
        alice.expect_reply(1)
    fence_devices(*devices)


@pytest.mark.spec("NODE-2", "NODE-1")
def test_uids_that_are_alike_are_kept_apart_on_every_node(server: Server, node: Server) -> None:
    """NODE-2: "Nobody else on any node MUST get it."

    NODE-1: "Each device of `to` on every node MUST get a message exactly once."

    Uids that a channel or a pattern of Redis might take for one, or that nodes might cut (UID-4), or decode
    again. Each of them answers, too, and its name arrives as it is.
    """
    alice, mark, number = server.signed(), "m" + fresh(), fresh_number()
    tails = ["", "*", "?", "m", "[m]", "{m}", "{}", ":", ":m", ",", "|", " ", "+", '"', "'", "\\", "\\n"]
    tails += ["%", "%41", "A", "&lt;", "\u00e5", "a\u030a", "\u65e5", "\U0001f642"]
    uids = [mark + tail for tail in tails] + [
        mark.upper(),
        "*" + mark,
        " " + mark,
        *(mark + "m" * 100 + last for last in "12"),
        *(f"{zeros}{number}" for zeros in ("", "0")),
    ]
    devices = [node.signed(uid) for uid in uids]
    for uid, device in zip(uids, devices, strict=True):
        deliver_to_all(alice, uid, device)
        deliver_to_all(device, alice.uid, alice)
    for device in (*devices, alice):
        device.fence()


@pytest.mark.spec("NODE-1", "MSG-9")
def test_a_message_is_on_every_node_from_whom_its_sender_was_then(server: Server, node: Server) -> None:
    """NODE-1: "Each device of `to` on every node MUST get a message exactly once."

    MSG-9: "`from` MUST be the uid that the sending connection is signed as, whatever the request says."

    The sender signs as somebody else right behind each message, and does not wait.
    """
    sender, uid, bodies = server.connect(), server.uid(), some(8)
    devices = [node.signed(uid), server.signed(uid)]
    names = [server.uid() for _ in bodies]
    for name, body in zip(names, bodies, strict=True):
        sender.send(type="sign", uid=name)
        sender.send(type="msg", to=uid, body=body)
    for name, body in zip(names, bodies, strict=True):
        for device in devices:
            device.expect_delivery(body, name)
        for _ in range(2):
            sender.expect_reply(1)
    fence_devices(*devices)


@pytest.mark.spec("NODE-1", "NODE-3")
def test_three_nodes_are_one_service(server: Server, node: Server) -> None:
    """NODE-1: "Each device of `to` on every node MUST get a message exactly once."

    NODE-3: "What one connection sends to one uid MUST arrive at each of its devices on every node in the
    order in which it was sent."

    The third has just been started, and the first that it and the others have of each other are messages.
    Where there are only two, the second stands for the third.
    """
    uid = server.uid()
    with server.node() as third:
        devices = [each.signed(uid) for each in (third, node, server)]
        for sender in (each.signed() for each in (server, third, node)):
            bodies = some(6)
            for body in bodies:
                sender.send(type="msg", to=uid, body=body)
            for device in devices:
                for body in bodies:
                    device.expect_delivery(body, sender.uid)
            for _ in bodies:
                sender.expect_reply(1)
        fence_devices(*devices)


@pytest.mark.spec("NODE-1")
def test_who_signs_on_one_node_gets_what_another_sends_from_then_on(server: Server, node: Server) -> None:
    """NODE-1: "Each device of `to` on every node MUST get a message exactly once."

    From the reply to the sign on (SIGN-4), and none that was answered before it; from a node that has
    already sent to the uid when nobody was signed as it.
    """
    alice = server.signed()
    for _ in range(10):
        uid, before, body = server.uid(), fresh(), fresh()
        alice.msg(uid, before)
        bob = node.connect()
        bob.sign(uid, **from_now_on())
        alice.send(type="msg", to=uid, body=body)
        bob.expect_delivery(body, alice.uid)
        alice.expect_reply(1)
        bob.fence()


@pytest.mark.spec("NODE-3")
def test_messages_arrive_on_every_node_in_the_order_sent(server: Server, node: Server) -> None:
    """NODE-3: "What one connection sends to one uid MUST arrive at each of its devices on every node in the
    order in which it was sent."

    Long and short ones in turn, without waiting, from both nodes at once.
    """
    uid = server.uid()
    devices = [server.signed(uid), node.signed(uid), node.signed(uid)]
    senders = [server.signed(), node.signed()]
    for number in range(80):
        for sender in senders:
            body = [number, "x" * (5000 if number % 7 == 3 else number)]
            sender.send(type="msg", to=uid, body=body)
    for sender in senders:
        for _ in range(80):
            sender.expect_reply(1)
    for device in devices:
        got: dict[str, list[int]] = {sender.uid: [] for sender in senders}
        for _ in range(160):
            message = device.recv()
            got[message["from"]].append(message["body"][0])
        assert list(got.values()) == [list(range(80))] * 2
    fence_devices(*devices)


@pytest.mark.spec("NODE-4")
def test_a_sign_on_one_node_changes_nothing_on_the_other(server: Server, node: Server) -> None:
    """NODE-4: "A sign on one node MUST NOT change anything for the uid's devices on other nodes: they
    get every message as before, and their fds stay in Redis."

    Signs, again and as somebody else, and closes: the other's devices stay, get everything once, and their
    fds stay in Redis.
    """
    alice, uid = node.signed(), server.uid()
    stays = [node.signed(uid), node.signed(uid)]
    fds = fds_of(server, uid)
    assert len(fds) == len(stays)
    for _ in range(4):
        comer = server.signed(uid)
        comer.sign(uid)
        assert fds_of(server, uid) > fds
        deliver_to_all(alice, uid, *stays, comer)
        comer.sign(server.uid())
        deliver_to_all(alice, uid, *stays)
        assert fds_of(server, uid) == fds
        comer.sign(uid, **from_now_on())
        comer.close()
        other = server.signed(uid)
        deliver_to_all(alice, uid, *stays, other)
        other.sign(server.uid())
    fence_devices(*stays)


@pytest.mark.spec("NODE-4")
@pytest.mark.needs("start")
def test_a_sign_keeps_the_fds_of_live_devices_of_another_node(server: Server) -> None:
    """NODE-4: "A sign on one node MUST NOT change anything for the uid's devices on other nodes: they
    get every message as before, and their fds stay in Redis."

    Twin: once the other node has been killed for the documented time, the sign removes them.
    """
    uid = server.uid()
    with server.another() as second:
        theirs = [signed_with_fd(second, uid)[1] for _ in range(3)]
        mine = [signed_with_fd(server, uid)[1] for _ in range(3)]
        check_traces(server, uid, *theirs, *mine)
        theirs.append(signed_with_fd(second, uid)[1])
        check_traces(server, uid, *theirs, *mine)
        client, fd = signed_with_fd(server, uid)
        mine.append(fd)
        signs_keep_everything(server, client, uid, *theirs, *mine)
        second.kill()

        def signed_and_clean() -> bool:
            client.sign(uid)
            return fds_of(server, uid) == set(mine)

        wait = server.documented.death_wait
        expect_soon("that a sign removes the fds of the dead node", signed_and_clean, wait, every=0.25)
        check_traces(server, uid, *mine)


def signs_keep_everything(server: Server, client: Client, uid: str, *fds: bytes) -> None:
    """Sign again and again: the other node may tell only now and then that it is alive."""

    def is_complete() -> bool:
        client.sign(uid)
        check_traces(server, uid, *fds)
        return False

    eventually(is_complete, within=3.0, every=0.1)


@pytest.mark.spec("STORE-8", "NODE-1")
@pytest.mark.needs("redis_control")
def test_what_is_sent_after_a_flush_reaches_every_node(
    server: Server, node: Server, flush: Callable[[], object]
) -> None:
    """STORE-8: "What another program deletes from these keys or flushes MUST come back within a documented
    time, at most 30 s for the reference server, without any client noticing: meanwhile, too, messages reach
    every device."

    NODE-1: "Each device of `to` on every node MUST get a message exactly once."

    What either node sends right after a flush, when the nodes have known each other for some seconds.
    """
    senders = [server.signed(), node.signed()]
    fence_for_a_while(*senders, seconds=ACQUAINTED_SECONDS)
    for sender in (*senders, *senders):
        uid = server.uid()
        devices = [server.signed(uid), node.signed(uid)]
        flush()
        bodies = some(5)
        for body in bodies:
            sender.send(type="msg", to=uid, body=body)
        for _ in bodies:
            sender.expect_reply(1)
        for device in devices:
            for body in bodies:
                device.expect_delivery(body, sender.uid)
        fence_devices(*devices)


@pytest.mark.spec("NODE-4", "NODE-1")
@pytest.mark.needs("redis_control")
def test_signs_on_two_nodes_after_a_flush_leave_each_other_alone(
    server: Server, node: Server, flush: Callable[[], object]
) -> None:
    """NODE-4: "A sign on one node MUST NOT change anything for the uid's devices on other nodes: they
    get every message as before, and their fds stay in Redis."

    NODE-1: "Each device of `to` on every node MUST get a message exactly once."

    Redis has forgotten who lives, but whoever signs now has been answered that it is a device.
    """
    alice = server.signed()
    for first, second in ((server, node), (node, server)):
        uid = server.uid()
        flush()
        devices = [first.signed(uid)]
        fds = fds_of(server, uid)
        devices.append(second.signed(uid))
        assert fds_of(server, uid) > fds, "the sign has removed the fd of the other node's device"
        deliver_to_all(alice, uid, *devices)
        fence_devices(*devices)


# With the feature broadcast.


@pytest.mark.spec("NODE-13", "CAST-10")
@pytest.mark.feature("broadcast")
def test_a_broadcast_reaches_every_device_on_every_node_once(server: Server, node: Server) -> None:
    """NODE-13: "With the feature `broadcast`, a broadcast MUST reach every device on every node exactly
    once."

    And no stranger (CAST-3).

    CAST-10: "Broadcasts of one connection MUST arrive at each device in the order in which they were sent."

    Whatever comes between.
    """
    senders = [server.broadcaster(), node.broadcaster()]
    uids = [server.uid(), server.uid()]
    devices = [each.signed(uid) for uid in uids for each in (server, node, node)]
    strangers = [server.connect(), node.connect()]
    for sender, other in (senders, senders[::-1]):
        bodies = some(12)
        for number, body in enumerate(bodies):
            if number % 3:
                sender.send(type="broadcast", body=body)
            else:
                sender.send(type="msg", to=uids[0], body=body)
        broadcasts = [body for number, body in enumerate(bodies) if number % 3]
        for device in devices:
            expect_in_any_mixture(device, bodies[::3] if device.uid == uids[0] else [], broadcasts)
        expect_in_any_mixture(other, [], broadcasts)
        expect_in_any_mixture(sender, [], broadcasts, n_replies=len(bodies))
    for uid in uids:
        fence_devices(*(device for device in devices if device.uid == uid))
    for client in (*senders, *strangers):
        client.fence()


@pytest.mark.spec("CAST-7")
@pytest.mark.feature("broadcast")
def test_broadcasts_and_msgs_arrive_on_the_other_node_in_the_order_sent(server: Server, node: Server) -> None:
    """CAST-7: "While no server or link is in trouble, all that one connection sends, broadcasts and msgs,
    SHOULD arrive at each device in the order in which it was sent."

    On either node, when both are well.
    """
    for here, there in ((server, node), (node, server)):
        sender, bob = here.broadcaster(), there.signed()
        bodies = some(60)
        for number, body in enumerate(bodies):
            request = {"type": "broadcast"} if number % 3 else {"type": "msg", "to": bob.uid}
            sender.send(**request, body=body)
        for number, body in enumerate(bodies):
            assert ("broadcast" in bob.expect_delivery(body, sender.uid)) == bool(number % 3)
        bob.fence()


@pytest.mark.spec("CAST-11")
@pytest.mark.feature("broadcast")
def test_who_signs_on_the_other_node_after_the_reply_gets_no_broadcast(server: Server, node: Server) -> None:
    """CAST-11: "With the feature `nodes`, a connection that signs on another server after the reply SHOULD
    NOT get the broadcast."

    Twin: it gets the next one.
    """
    for here, there in ((server, node), (node, server)):
        sender, devices = here.broadcaster(), [there.signed()]
        for _ in range(5):
            sender.broadcast(body := fresh())
            late = there.signed()
            late.fence()
            for device in devices:
                device.expect_broadcast(body, sender.uid)
            devices.append(late)
        for device in devices:
            device.fence()
            device.close()


@pytest.mark.spec("NODE-13")
@pytest.mark.feature("broadcast")
def test_a_broadcast_is_the_first_that_nodes_have_of_each_other(server: Server, node: Server) -> None:
    """NODE-13: "With the feature `broadcast`, a broadcast MUST reach every device on every node exactly
    once."

    Of nodes that have just been started and were told nothing yet. Where there are only two, the second
    stands for the third.
    """
    with server.node() as third:
        devices = [each.broadcaster() for each in (server, node, third)]
        for number in (0, 2, 1, 0):
            sender, body = devices[number], fresh()
            sender.send(type="broadcast", body=body)
            for device in devices:
                device.expect_broadcast(body, sender.uid)
            sender.expect_reply(1)
        for device in devices:
            device.fence()


@pytest.mark.spec("NODE-13", "STORE-8")
@pytest.mark.feature("broadcast")
@pytest.mark.needs("redis_control")
def test_what_is_broadcast_after_a_flush_reaches_every_node(
    server: Server, node: Server, flush: Callable[[], object]
) -> None:
    """NODE-13: "With the feature `broadcast`, a broadcast MUST reach every device on every node exactly
    once."

    STORE-8: "What another program deletes from these keys or flushes MUST come back within a documented
    time, at most 30 s for the reference server, without any client noticing: meanwhile, too, messages reach
    every device."
    """
    senders, devices = [server.broadcaster(), node.broadcaster()], [server.signed(), node.signed()]
    fence_for_a_while(*devices, seconds=ACQUAINTED_SECONDS)
    for sender, other in (senders, senders[::-1], senders):
        devices += [server.signed(), node.signed()]
        flush()
        bodies = some(5)
        for body in bodies:
            sender.send(type="broadcast", body=body)
        for body in bodies:
            sender.expect_broadcast(body, sender.uid)
            sender.expect_reply(1)
        for device in (*devices, other):
            for body in bodies:
                device.expect_broadcast(body, sender.uid)
    for client in (*devices, *senders):
        client.fence()


@pytest.mark.spec("NODE-13", "CAST-2", "BODY-1")
@pytest.mark.feature("broadcast")
def test_whatever_a_body_is_it_is_broadcast_on_the_other_node_as_that(server: Server, node: Server) -> None:
    r"""NODE-13: "With the feature `broadcast`, a broadcast MUST reach every device on every node exactly
    once."

    CAST-2: "Every device of every uid MUST get `{"body":B,"from":F,"broadcast":1}` exactly once, where B is
    the body and F the sender's uid; the sending connection is one of them."

    BODY-1: "A body MUST arrive as the same value, for every value of I-JSON (RFC 7493): numbers equal as
    binary64, strings code point for code point with `\u0000` and characters beyond U+FFFF, `{}` and `[]` as
    they were, with nothing added or dropped at any level."
    """
    sender, bob = server.broadcaster(), node.signed()
    bodies = [f'["{fresh()}",{body}]' for body in (*BODIES, f'"{"x" * LONG}"')]
    broadcast_as_written(sender, bodies, bob)
    bob.fence()


@pytest.mark.spec("NODE-13", "CAST-2")
@pytest.mark.feature("broadcast")
def test_who_signs_as_others_sends_and_gets_broadcasts_on_every_node(server: Server, node: Server) -> None:
    """NODE-13: "With the feature `broadcast`, a broadcast MUST reach every device on every node exactly
    once."

    CAST-2: "Every device of every uid MUST get `{"body":B,"from":F,"broadcast":1}` exactly once, where B is
    the body and F the sender's uid; the sending connection is one of them."

    The sender is who it was when it sent, however odd its uid, and a device that signs as others meanwhile
    gets each broadcast once.
    """
    sender, moves, stays = server.broadcaster(), node.signed(), node.signed()
    number = fresh_number()
    odd = [f"{fresh()}{tail}" for tail in ("", ":", ' "{m}"', " \u65e5\U0001f642 ", "\\n%41")]
    odd += [f"0{number}", str(number)]
    names = [server.documented.broadcaster or name for name in odd]
    bodies = some(len(names))
    for name, body in zip(names, bodies, strict=True):
        sender.send(type="sign", uid=name)
        sender.send(type="broadcast", body=body)
        moves.send(type="sign", uid=(moves_to := server.uid()))
    for name, body in zip(names, bodies, strict=True):
        sender.expect_reply(1)
        for device in (sender, stays):
            device.expect_broadcast(body, name)
        sender.expect_reply(1)
    messages = [moves.recv() for _ in range(2 * len(names))]
    heard = [(message["from"], message["body"]) for message in messages if "broadcast" in message]
    assert heard == list(zip(names, bodies, strict=True))
    assert [message["status"] for message in messages if "status" in message] == [1] * len(names)
    moves.uid = moves_to
    for device in (moves, stays):
        device.fence()


# With the feature history.


@pytest.mark.spec("CAST-10", "NODE-13", "NODE-10")
@pytest.mark.feature("broadcast")
@pytest.mark.feature("history")
def test_who_reads_what_waited_gets_msgs_and_broadcasts_each_in_their_order(
    server: Server, node: Server
) -> None:
    """CAST-10: "Broadcasts of one connection MUST arrive at each device in the order in which they were
    sent."

    On another node than the sender's, and while the device is given msgs that have waited: those that are new
    are among them, and the broadcasts come another way.

    NODE-10: "With the feature `history`, all devices of a uid on all nodes MUST get its messages in the same
    order, with the same ids."

    NODE-13: "With the feature `broadcast`, a broadcast MUST reach every device on every node exactly
    once."

    From the first that a device gets none is missing.
    """
    sender, uid, n = server.broadcaster(), server.uid(), 240
    bodies = [[number, "x" * (5000 if number % 16 == 9 else number)] for number in range(n)]
    send_many(sender, uid, some(150))
    devices = []
    for number, body in enumerate(bodies):
        sender.send(**({"type": "msg", "to": uid} if number % 3 else {"type": "broadcast"}), body=body)
        if number % 20 == 10:
            devices.append(silent(node, uid, since="0-0"))
    for device in devices:
        got: list[int] = []
        while not {n - 3, n - 1} <= set(got):
            message = device.recv()
            assert message["from"] == sender.uid
            if isinstance(message["body"], list):
                got.append(message["body"][0])
        heard = [number for number in got if number % 3 == 0]
        assert heard == [*range(heard[0], n, 3)]
        assert [number for number in got if number % 3] == [number for number in range(n) if number % 3]


@pytest.mark.spec("NODE-10", "HIST-3")
@pytest.mark.feature("history")
def test_all_devices_on_all_nodes_get_the_same_in_the_same_order(server: Server, node: Server) -> None:
    """NODE-10: "With the feature `history`, all devices of a uid on all nodes MUST get its messages in the
    same order, with the same ids."

    HIST-3: "The delivery of a msg MUST carry its `id`, and `time`, the number of milliseconds since 1970 at
    which it was stored."

    Two senders on each node, who do not wait; devices that are there, and that come meanwhile and later.
    """
    uid = server.uid()
    devices = [silent(server, uid), silent(node, uid)]
    senders = [each.signed() for each in (server, node, node, server)]
    for number in range(40):
        for sender in senders:
            sender.send(type="msg", to=uid, body=[sender.uid, number])
        if number == 20:
            devices += [silent(node, uid), silent(server, uid, since="0-0")]
    replied: dict[str, list[str]] = {}
    for sender in senders:
        replied[sender.uid] = [id_in(sender.expect_reply(1)) for _ in range(40)]
    devices += [silent(node, uid, since="0-0"), silent(server, uid)]
    got = [[device.recv() for _ in range(160)] for device in devices]
    ids = [id_in(message) for message in got[0]]
    assert sorted({*map(order_of, ids)}) == [*map(order_of, ids)], "ids do not rise"
    for messages in got[1:]:
        assert [(m["id"], m["from"], m["body"], m["time"]) for m in messages] == [
            (m["id"], m["from"], m["body"], m["time"]) for m in got[0]
        ]
    for sender in senders:
        assert [message["id"] for message in got[0] if message["from"] == sender.uid] == replied[sender.uid]
    fence_devices(*devices)


@pytest.mark.spec("NODE-11", "HIST-12")
@pytest.mark.feature("history")
def test_what_is_confirmed_on_one_node_does_not_come_again_on_another(server: Server, node: Server) -> None:
    """NODE-11: "With the feature `history`, a pong to one node MUST confirm for all: what it confirms does
    not come again after a sign without `since` on another node."

    Twin: what was not confirmed does come, on either node (HIST-14).

    HIST-12: "After deliveries of msgs a server MUST send the device a ping whose payload is the id of the
    last of them, within a documented time; the reference server does within a second."

    Whether they waited or are live, and whichever node they come from.
    """
    alice = server.signed()
    for here, there in ((server, node), (node, server)):
        uid, bodies, later = server.uid(), some(5), some(3)
        ids = send_many(alice, uid, bodies)
        bob = reader(here, uid)
        assert expect_all(bob, bodies, alice.uid) == ids
        confirm(here, bob, ids[-1])
        bob.withhold_pongs()
        more = send_many(alice, uid, later)
        assert expect_all(bob, later, alice.uid) == more
        devices = [silent(there, uid), silent(here, uid)]
        for device in devices:
            assert expect_all(device, later, alice.uid) == more
        last = reader(there, uid)
        expect_all(last, later, alice.uid)
        confirm(there, last, more[-1])
        live = send_stored(alice, uid, body := fresh())
        for device in (bob, *devices, last):
            assert expect_stored(device, body, alice.uid) == live
        confirm(there, last, live)
        devices += [silent(here, uid), silent(there, uid)]
        fence_devices(bob, *devices, last)


@pytest.mark.spec("HIST-20", "NODE-1")
@pytest.mark.feature("history")
def test_signing_again_brings_nothing_again_that_came_from_another_node(server: Server, node: Server) -> None:
    """HIST-20: "A sign as the uid that the connection is signed as already, without `since`, MUST NOT bring
    messages again that this connection has got since it signed as that uid, nor those up to the `since` that
    it signed with last."

    NODE-1: "Each device of `to` on every node MUST get a message exactly once."

    Twin: a sign with `since` brings them again, and from then on new ones.
    """
    senders, uid = [node.signed(), server.signed()], server.uid()
    bob = silent(server, uid)
    for sender in senders:
        ids = send_many(sender, uid, bodies := some(3))
        assert expect_all(bob, bodies, sender.uid) == ids
        bob.sign(uid)
        bob.sign(uid, since=ids[0])
        assert expect_all(bob, bodies[1:], sender.uid) == ids[1:]
        bob.sign(uid)
        bob.fence()
    for sender in senders:
        deliver_to_all(sender, uid, bob)
    bob.fence()


@pytest.mark.spec("NODE-11", "HIST-16", "HIST-10")
@pytest.mark.feature("history")
def test_a_history_is_full_on_every_node_and_has_room_again_on_every_node(
    server: Server, node: Server
) -> None:
    """NODE-11: "With the feature `history`, a pong to one node MUST confirm for all: what it confirms does
    not come again after a sign without `since` on another node."

    HIST-16: "A msg to a uid that has as many messages which are not confirmed as the server's documented
    limit MUST be answered as `full`, and is not stored."

    HIST-10: "The reply to a sign MUST carry `"gap":1` if a message that this device has not got was
    dropped: one after `since`, or, without `since`, one that is neither confirmed nor was given to this
    connection since it signed as that uid."

    Half of the messages come by one node, and half by the other. Whichever made room, both know what is
    missing.
    """
    senders, uid, n_max = [server.signed(), node.signed()], server.uid(), server.documented.history_max
    first = send_many(senders[0], uid, some(n_max // 2))[0]
    last = send_many(senders[1], uid, some(n_max - n_max // 2))[-1]
    for sender in senders:
        sender.send(type="msg", to=uid, body=fresh())
        sender.expect_reply(0, "full")
    bob = reader(server, uid)
    while id_in(bob.recv()) != last:
        pass
    confirm(server, bob, last)
    for sender in senders[::-1]:
        deliver_to_all(sender, uid, bob)
        for each in (server, node):
            device = each.connect()
            device.withhold_pongs()
            reply = device.sign(uid, since="0-0")
            is_dropped = id_in(device.recv()) != first
            assert reply.get("gap") == (1 if is_dropped else None), reply
            device.close()
    bob.fence()


@pytest.mark.spec("NODE-12")
@pytest.mark.feature("history")
def test_a_retry_is_recognised_on_every_node(server: Server, node: Server) -> None:
    """NODE-12: "With the feature `history`, a retry ([HIST-18]) MUST be recognised on every node."

    Also when both nodes are asked at once. Twin: with another cid it is a message of its own.
    """
    alice, bob = server.signed(), silent(node, server.uid())
    second = node.signed(alice.uid)
    cid, body = fresh(), fresh()
    id = send_stored(alice, bob.uid, body, cid=cid)
    assert expect_stored(bob, body, alice.uid) == id
    assert second.msg(bob.uid, body, cid=cid).items() >= {"dup": 1, "id": id}.items()
    new = second.msg(bob.uid, body, cid=fresh())
    assert "dup" not in new
    assert expect_stored(bob, body, alice.uid) == id_in(new)
    for _ in range(10):
        cid, body = fresh(), fresh()
        for device in (alice, second):
            device.send(type="msg", to=bob.uid, body=body, cid=cid)
        replies = [device.expect_reply(1) for device in (alice, second)]
        assert sum("dup" in reply for reply in replies) == 1
        assert {id_in(reply) for reply in replies} == {expect_stored(bob, body, alice.uid)}
    bob.fence()


@pytest.mark.spec("NODE-9", "NODE-1")
@pytest.mark.feature("history")
def test_what_waits_comes_on_whatever_node(server: Server, node: Server) -> None:
    """NODE-9: "With the feature `history`, the death of a node MUST NOT lose a message that was answered with
    status 1: the device gets it when it signs on another node."

    Here nobody dies: a device goes from node to node, with the last id that it has seen, and misses nothing.

    NODE-1: "Each device of `to` on every node MUST get a message exactly once."
    """
    senders, uid, since = [server.signed(), node.signed()], server.uid(), "0-0"
    for turn in range(6):
        sender = senders[turn % 2]
        ids = send_many(sender, uid, bodies := some(4))
        device = (server if turn % 3 else node).connect()
        device.sign(uid, since=since)
        assert expect_all(device, bodies, sender.uid) == ids
        live = fresh()
        since = send_stored(senders[1 - turn % 2], uid, live)
        assert expect_stored(device, live, senders[1 - turn % 2].uid) == since
        device.close()
    last = silent(node, uid, since=since)
    last.fence()
