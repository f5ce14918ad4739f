"""SPEC 5: the store, while Redis is away: killed, or hung (it keeps its connections and answers nothing)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from chatcheck.claims import claims
from chatcheck.conversation import Conversation, dump
from chatcheck.redis_control import PrivateRedis
from chatcheck.target import Server
from chatcheck.tests.helpers import (
    deliver_to_all,
    expect_fds,
    expect_gone,
    expect_in_redis,
    expect_soon,
    fd_of,
    fds_of,
    fence_for_a_while,
    fresh,
    set_key,
    settle,
    signed_with_fd,
    uid_key,
    uid_of,
)
from chatcheck.timing import scaled
from chatcheck.verdict import Mismatch, not_applicable

pytestmark = [pytest.mark.needs("redis_control"), pytest.mark.limit(60)]

UNAVAILABLE_SECONDS = 3.0  # STORE-9
HEALED_SECONDS = 5.0  # STORE-10
WAYS = ["killed", "hung"]


class Outage:
    """Takes Redis away and gives it back, in one of two ways."""

    def __init__(self, redis: PrivateRedis, how: str) -> None:
        self._redis = redis
        self._how = how

    @property
    def leaves_doubts(self) -> bool:
        """May Redis get what it was asked meanwhile, when the outage is over? See REPLY-8."""
        return self._how == "hung"

    def begin(self) -> None:
        if self._how == "killed":
            self._redis.kill()
        else:
            self._redis.pause()

    def end(self) -> None:
        if self._how == "killed":
            self._redis.start()
        else:
            self._redis.resume()


@pytest.fixture(params=WAYS)
def outage(server: Server, request: pytest.FixtureRequest) -> Iterator[Outage]:
    """An outage for one test, which leaves Redis and the server well again for the next."""
    outage = Outage(server.redis_control, request.param)
    yield outage
    server.redis_control.heal()
    expect_soon("that the server recovers from the outage", lambda: works(server), HEALED_SECONDS)


def works(server: Server) -> bool:
    """Can one sign now?"""
    client = server.connect()
    client.send(type="sign", uid=server.uid())
    status = client.recv().get("status")
    client.close()
    return bool(status == 1)


def can_send(client: Conversation, to: str) -> bool:
    """Can this connection send now?"""
    client.send(type="msg", to=to, body=fresh())
    return bool(client.recv().get("status") == 1)


def expect_in_time(begin: float) -> None:
    """What was asked at this moment has been answered; not too late?"""
    took, limit = time.monotonic() - begin, scaled(UNAVAILABLE_SECONDS)
    if took > limit:
        raise Mismatch(f"all answers within {limit:g} s", f"the last one after {took:.1f} s")


@pytest.mark.spec("STORE-9", "REPLY-6", "CID-1")
def test_a_sign_and_a_msg_are_unavailable_within_3_s(server: Server, outage: Outage) -> None:
    """STORE-9: "While Redis cannot be reached or does not answer, a sign and a msg MUST be answered as
    `unavailable` within 3 s of their arrival, and connections stay open."

    What is wrong with a request is still said first (REPLY-6). Twin: afterwards the same requests succeed.

    REPLY-6: "When several things are wrong with a request, the reply MUST be the one for the first of:
    illegal, `invalid_cid`, `not_signed`, the other parameters in the order of the tables, `denied`, `full`,
    `unavailable`. Where section 2 asks for a close with 1002, 1007 or 1009, there is no reply at all."

    CID-1: "The reply to a legal request that carries `cid`, a string of 1 to 64 bytes of UTF-8, MUST carry
    the same `cid`."
    """
    alice, bob, stranger = server.signed(), server.signed(), server.connect()
    wanted = server.uid()
    outage.begin()
    requests: list[tuple[Conversation, dict[str, object]]] = [
        (alice, {"type": "msg", "to": bob.uid, "body": 1}),
        (alice, {"type": "msg", "to": alice.uid, "body": 2}),
        (alice, {"type": "msg", "to": server.uid(), "body": 3}),
        (bob, {"type": "sign", "uid": bob.uid}),
        (stranger, {"type": "sign", "uid": wanted}),
        (server.connect(), {"type": "sign", "uid": wanted}),
    ]
    for client, request in requests:
        cid, begin = fresh(), time.monotonic()
        client.send(**request, cid=cid)
        client.expect_reply(0, "unavailable", cid=cid)
        expect_in_time(begin)
    for members, code in (
        ({"type": "sign"}, "invalid_uid"),
        ({"type": "msg", "to": ""}, "invalid_to"),
        ({"type": "msg", "to": bob.uid}, "missing_body"),
        ({"type": "msg", "to": bob.uid, "body": 1, "cid": 7}, "invalid_cid"),
    ):
        alice.send(**members)
        alice.expect_reply(0, code)
    stranger.send(type="msg", to=bob.uid, body=1)
    stranger.expect_reply(0, "not_signed")
    for client in (alice, bob, stranger):
        client.ping(b"open")
    outage.end()
    expect_soon("that one can sign again", lambda: works(server), HEALED_SECONDS)
    if outage.leaves_doubts:
        settle(alice)
        settle(bob)
    deliver_to_all(alice, bob.uid, bob)
    stranger.sign(wanted)
    deliver_to_all(alice, wanted, stranger)


@pytest.mark.spec("STORE-9", "ORDER-1")
def test_many_requests_during_an_outage_are_each_answered_once_and_in_order(
    server: Server, outage: Outage
) -> None:
    """STORE-9: "While Redis cannot be reached or does not answer, a sign and a msg MUST be answered as
    `unavailable` within 3 s of their arrival, and connections stay open."

    200 at once on each of three connections, some of them invalid: nobody waits for the time limits of all.

    ORDER-1: "The requests of a connection MUST take effect and be answered in the order in which they were
    sent, also when many are sent without waiting for replies."
    """
    if not claims("STORE-9"):
        not_applicable("[STORE-9] is not claimed")
    clients = [server.signed() for _ in range(3)]
    bob = server.signed()
    outage.begin()
    begin = time.monotonic()
    texts: list[str] = []
    for number in range(200):
        request: dict[str, object] = {"type": "msg", "to": bob.uid, "body": number, "cid": f"n{number}"}
        if number % 5 == 2:
            request["to"] = ""
        if number % 5 == 4:
            request = {"type": "sign", "uid": server.uid(), "cid": f"n{number}"}
        texts.append(dump(request))
    for client in clients:
        for text in texts:
            client.send_text(text)
    for client in clients:
        for number in range(200):
            client.expect_reply(0, "invalid_to" if number % 5 == 2 else "unavailable", cid=f"n{number}")
    expect_in_time(begin)
    outage.end()
    expect_soon("that one can sign again", lambda: works(server), HEALED_SECONDS)
    if outage.leaves_doubts:
        settle(bob)
    for client in (*clients, bob):
        client.fence()


@pytest.mark.spec("REPLY-8")
def test_nothing_of_what_was_unavailable_is_done_later(server: Server, outage: Outage) -> None:
    """REPLY-8: "A request that the server cannot do now MUST be answered as `unavailable`, and nothing of it
    is done, now or later; only where the store broke before it said whether it had a msg or a broadcast
    may that still arrive, at each device once at most."

    A Redis that was killed has got nothing of what was asked after its death; one that hung may have.
    """
    alice, bob, stranger = server.signed(), server.signed(), server.connect()
    alices_fd = fd_of(server, alice.uid)
    wanted, elsewhere = server.uid(), server.uid()
    outage.begin()
    for number in range(5):
        alice.send(type="msg", to=bob.uid, body=number)
    stranger.send(type="sign", uid=wanted)
    alice.send(type="sign", uid=elsewhere)
    alice.send(type="msg", to=bob.uid, body="as whom?")
    for _ in range(7):
        alice.expect_reply(0, "unavailable")
    stranger.expect_reply(0, "unavailable")
    stranger.fence()
    bob.send(type="msg", to=bob.uid)
    bob.expect_reply(0, "missing_body")
    outage.end()

    expect_soon("that one can sign again", lambda: works(server), HEALED_SECONDS)
    if outage.leaves_doubts:
        settle(bob)
    sender = server.signed()
    sender.msg(wanted, fresh())
    sender.msg(elsewhere, fresh())
    fence_for_a_while(stranger, alice, bob)
    deliver_to_all(sender, alice.uid, alice)
    deliver_to_all(alice, bob.uid, bob)
    bob.fence()
    never = [set_key(uid) for uid in (wanted, elsewhere)]
    expect_gone(server, *never, within=HEALED_SECONDS)
    wait = server.documented.refresh_wait
    expect_fds(server, alice.uid, alices_fd, within=wait)
    own = uid_key(alices_fd)
    expect_in_redis(
        server, "her uid", lambda: uid_of(server, alices_fd) == alice.uid.encode(), own, within=wait
    )


@pytest.mark.spec("STORE-10")
def test_when_redis_is_back_all_connections_are_as_they_were(server: Server, outage: Outage) -> None:
    """STORE-10: "When Redis is back, a server MUST work again within 5 s, with all its connections and
    their traces as they were: no client has to sign again."

    A killed Redis comes back empty: the traces come back, too.
    """
    bob, uid = server.signed(), server.uid()
    devices = [signed_with_fd(server, uid) for _ in range(3)]
    outage.begin()
    assert not can_send(bob, server.uid())
    outage.end()
    expect_soon("that one can send again", lambda: can_send(bob, server.uid()), HEALED_SECONDS)
    deliver_to_all(bob, uid, *(client for client, _ in devices))
    for client, _ in devices:
        deliver_to_all(client, bob.uid, bob)
    fds = {fd for _, fd in devices}
    expect_in_redis(
        server,
        "all traces as they were",
        lambda: fds_of(server, uid) == fds and all(uid_of(server, fd) == uid.encode() for fd in fds),
        set_key(uid),
        *map(uid_key, fds),
        within=HEALED_SECONDS,
    )


@pytest.mark.spec("STORE-10")
def test_an_outage_that_nobody_noticed_is_healed_too(server: Server, outage: Outage) -> None:
    """STORE-10: "When Redis is back, a server MUST work again within 5 s, with all its connections and
    their traces as they were: no client has to sign again."

    Redis goes and comes at once, and no client asks for anything meanwhile.
    """
    bob, uid = server.signed(), server.uid()
    client, fd = signed_with_fd(server, uid)
    outage.begin()
    outage.end()
    expect_soon("that one can send again", lambda: can_send(bob, server.uid()), HEALED_SECONDS)
    deliver_to_all(bob, uid, client)
    expect_fds(server, uid, fd, within=HEALED_SECONDS)


@pytest.mark.spec("ID-3", "STORE-2")
def test_a_device_that_closes_during_an_outage_leaves_no_traces(server: Server, outage: Outage) -> None:
    """ID-3: "After a device closes, by the closing handshake or because TCP broke, its traces MUST be gone
    within a second: nothing names it any more. While the store is away, the second begins when the
    server works again ([STORE-10])."

    By a close frame and by a reset. Twin: who stays keeps its traces.

    STORE-2: "When a uid has no devices any more, `chat_map_uid_fd:<uid>` MUST NOT exist."
    """
    leavers = [signed_with_fd(server, server.uid()) for _ in range(2)]
    stays, stays_fd = signed_with_fd(server, other := server.uid())
    outage.begin()
    assert not can_send(stays, server.uid())
    leavers[0][0].close()
    leavers[1][0].abort()
    outage.end()
    gone = [key for client, fd in leavers for key in (set_key(client.uid), uid_key(fd))]
    expect_soon("that one can send again", lambda: can_send(stays, server.uid()), HEALED_SECONDS)
    expect_gone(server, *gone, within=1.0)
    expect_fds(server, other, stays_fd, within=HEALED_SECONDS)
    expect_gone(server, *gone)
