"""SPEC 5: the store in Redis, and what other programs do to it. Outages are in test_05_store_outage.py."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from chatcheck.claims import from_now_on, refuses
from chatcheck.target import Server
from chatcheck.tests.helpers import (
    check_traces,
    deliver_to_all,
    expect_fds,
    expect_gone,
    expect_in_redis,
    expect_soon,
    fd_of,
    fds_of,
    fence_devices,
    fresh,
    fresh_number,
    has_own_key,
    in_redis,
    set_key,
    signed_with_fd,
    uid_key,
    uid_of,
)

pytestmark = [pytest.mark.needs("redis"), pytest.mark.limit(60)]

# What is hard about a uid in a key, in a command, or in a pattern.
UID_SUFFIXES = {
    "plain": "",
    "spaces": " a  b ",
    "braces": "{a}{}",
    "percent": "%s%d%b%",
    "utf8": "用户😀é",
    "pattern": "*?[a-z]\\*",
    "quotes": "\"'`$(x)",
    "colon": ":chat_map_uid_fd:",
    "case": "AbÉ",
    "long": "x" * 112,
}


# STORE-1 to STORE-4: what is there.


@pytest.mark.spec("STORE-1", "STORE-3")
@pytest.mark.parametrize("suffix", UID_SUFFIXES)
def test_the_traces_of_a_device_are_there_with_the_reply(server: Server, suffix: str) -> None:
    """STORE-1: "While a uid has devices, `chat_map_uid_fd:<uid>` MUST be a set that has one fd for each of
    them, from the reply to the sign on."

    STORE-3: "For each device, `chat_map_fd_uid:<fd>` MUST be a string that is its uid, with a TTL of 1 to
    86,400 seconds."
    """
    uid = server.uid() + UID_SUFFIXES[suffix]
    key = set_key(uid)
    expect_gone(server, key)
    client, fd = signed_with_fd(server, uid)
    check_traces(server, uid, fd)
    client.fence()
    client.close()
    expect_gone(server, key, uid_key(fd), within=1.0)


@pytest.mark.spec("STORE-1")
def test_the_uid_of_a_sign_with_a_number_stands_in_its_digits(server: Server) -> None:
    """STORE-1: "While a uid has devices, `chat_map_uid_fd:<uid>` MUST be a set that has one fd for each of
    them, from the reply to the sign on."
    """
    number = fresh_number()
    client = server.connect()
    client.sign(number)
    check_traces(server, str(number), fd_of(server, str(number)))


@pytest.mark.spec("STORE-1")
def test_the_set_has_one_fd_for_each_device(server: Server) -> None:
    """STORE-1: "While a uid has devices, `chat_map_uid_fd:<uid>` MUST be a set that has one fd for each of
    them, from the reply to the sign on."
    """
    uid, other = server.uid(), server.uid()
    devices = [signed_with_fd(server, uid) for _ in range(5)]
    fds = [fd for _, fd in devices]
    check_traces(server, uid, *fds)
    devices[0][0].sign(uid)
    fds[0] = fd_of(server, uid, *fds[1:])  # which may be a new one
    check_traces(server, uid, *fds)

    devices[1][0].close()
    expect_fds(server, uid, fds[0], *fds[2:], within=1.0)
    devices[2][0].sign(other)
    check_traces(server, uid, fds[0], *fds[3:])
    assert len(fds_of(server, other)) == 1
    fence_devices(*(client for client, _ in [devices[0], *devices[3:]]))


@pytest.mark.spec("STORE-1")
def test_each_sign_of_many_is_in_the_store_when_it_is_answered(server: Server) -> None:
    """STORE-1: "While a uid has devices, `chat_map_uid_fd:<uid>` MUST be a set that has one fd for each of
    them, from the reply to the sign on."

    One connection moves to and fro; Redis is asked the moment the reply is there.
    """
    client = server.connect()
    uids = [server.uid(), server.uid()]
    for turn in range(30):
        here, gone = uids[turn % 2], uids[(turn + 1) % 2]
        client.sign(here)
        check_traces(server, here, fd_of(server, here))
        expect_gone(server, set_key(gone))


@pytest.mark.spec("STORE-2")
def test_without_devices_there_is_no_key(server: Server) -> None:
    """STORE-2: "When a uid has no devices any more, `chat_map_uid_fd:<uid>` MUST NOT exist." """
    bob, uid, other = server.signed(), server.uid(), server.uid()
    key = set_key(uid)
    bob.msg(uid, fresh())
    bob.send(type="sign", uid=uid, cid=7)
    bob.expect_reply(0, "invalid_cid")
    stranger = server.connect()
    stranger.send(type="msg", to=uid, body=1)
    stranger.expect_reply(0, "not_signed")
    expect_gone(server, key)

    mover = server.signed(uid)
    assert server.redis.exists(key) == 1
    mover.sign(other)
    expect_gone(server, key)

    mover.sign(uid, **from_now_on())
    last = server.signed(uid)
    mover.sign(other)
    assert server.redis.exists(key) == 1
    last.close()
    expect_gone(server, key, within=1.0)
    assert len(fds_of(server, other)) == 1


@pytest.mark.spec("STORE-2")
@pytest.mark.needs("start")
def test_a_server_that_is_stopped_leaves_no_key(server: Server) -> None:
    """STORE-2: "When a uid has no devices any more, `chat_map_uid_fd:<uid>` MUST NOT exist." """
    uids = [server.uid() for _ in range(40)]
    fds = [signed_with_fd(server, uid)[1] for uid in uids]
    keys = [set_key(uid) for uid in uids] + [uid_key(fd) for fd in fds]
    assert server.redis.exists(*keys) == len(keys)
    server.stop()
    try:
        expect_gone(server, *keys, within=1.0)
    finally:
        server.start()


@pytest.mark.spec("STORE-3")
def test_the_fds_own_key_follows_its_connection(server: Server) -> None:
    """STORE-3: "For each device, `chat_map_fd_uid:<fd>` MUST be a string that is its uid, with a TTL of 1 to
    86,400 seconds."
    """
    first, second = server.uid(), server.uid()
    client, fd = signed_with_fd(server, first)
    check_traces(server, first, fd)
    client.sign(second)
    check_traces(server, second, fd_of(server, second))
    if refuses("invalid_uid"):
        client.send(type="sign", uid="")
        client.expect_reply(0, "invalid_uid")
        check_traces(server, second, fd_of(server, second))


@pytest.mark.spec("STORE-4")
def test_an_fd_is_a_short_word_of_printable_ascii(server: Server) -> None:
    """STORE-4: "An fd MUST be 1 to 64 printable ASCII characters without space; it is opaque." """
    uid = server.uid()
    devices = [server.signed(uid) for _ in range(12)]
    fds = fds_of(server, uid)
    assert len(fds) == len(devices)
    for fd in fds:
        assert re.fullmatch(rb"[\x21-\x7e]{1,64}", fd), fd


# STORE-5: fds are never used again.


@pytest.mark.spec("STORE-5")
def test_an_fd_is_not_used_again_after_its_connection_closed(server: Server) -> None:
    """STORE-5: "An fd MUST name one connection in the whole deployment and never be used again, on no node
    and after no restart."
    """
    seen: list[bytes] = []
    for _ in range(20):
        client, fd = signed_with_fd(server, server.uid())
        seen.append(fd)
        client.close()
    assert len(set(seen)) == len(seen)


@pytest.mark.spec("STORE-5")
@pytest.mark.needs("start")
def test_an_fd_is_not_used_again_after_a_restart(server: Server) -> None:
    """STORE-5: "An fd MUST name one connection in the whole deployment and never be used again, on no node
    and after no restart."
    """
    seen = [signed_with_fd(server, server.uid())[1] for _ in range(10)]
    server.kill()
    server.start()
    seen += [signed_with_fd(server, server.uid())[1] for _ in range(10)]
    server.stop()
    server.start()
    seen += [signed_with_fd(server, server.uid())[1] for _ in range(10)]
    for _ in range(3):  # so fast that the clock may show the same second
        server.restart()
        seen.append(signed_with_fd(server, server.uid())[1])
    assert len(set(seen)) == len(seen)


@pytest.mark.spec("STORE-5")
@pytest.mark.needs("start")
def test_two_servers_never_use_the_same_fd(server: Server) -> None:
    """STORE-5: "An fd MUST name one connection in the whole deployment and never be used again, on no node
    and after no restart."
    """
    with server.another() as second, server.another() as third:  # started at almost the same time
        servers = (server, second, third)
        seen = [signed_with_fd(each, server.uid())[1] for each in servers for _ in range(10)]
    assert len(set(seen)) == len(seen), f"an fd was used twice: {sorted(seen)}"


# STORE-6, STORE-7 and STORE-12: stale fds.


def plant_stale_fds(server: Server, uid: str) -> list[bytes]:
    """Put fds of connections that no longer exist into a uid's set: used ones, and ones that never were."""
    used = []
    for _ in range(3):
        client, fd = signed_with_fd(server, server.uid())
        client.close()
        used.append(fd)
    expect_gone(server, *map(uid_key, used), within=1.0)
    foreign = [b"1", b"99999999", b"x" * 64, fresh().encode(), b"no-such-node." + fresh().encode() + b".1"]
    many = [fresh().encode() for _ in range(30)]
    stale = [*used, *foreign, *many]
    server.redis.sadd(set_key(uid), *stale)
    for fd in stale:
        server.redis.set(uid_key(fd), uid, ex=600)
    return stale


SIGNS: dict[str, Callable[[Server, str], object]] = {
    "new_device": lambda server, uid: server.connect().sign(uid),
    "device_of_another_uid": lambda server, uid: server.signed().sign(uid),
}


@pytest.mark.spec("STORE-6")
@pytest.mark.parametrize("how", SIGNS)
def test_a_sign_removes_stale_fds_before_it_is_answered(server: Server, how: str) -> None:
    """STORE-6: "A sign MUST remove from its uid's set every fd whose connection no longer exists, with that
    fd's own key, before it is answered; of the fds of a server that died the documented time after its
    death may have to pass."

    The live devices of the uid stay.
    """
    uid = server.uid()
    live = [signed_with_fd(server, uid)[1] for _ in range(3)]
    stale = plant_stale_fds(server, uid)
    SIGNS[how](server, uid)
    new = fds_of(server, uid) - {*live, *stale}
    assert len(new) == 1, f"expected one new fd in {in_redis(server, set_key(uid))}"
    check_traces(server, uid, *live, *new)
    expect_gone(server, *map(uid_key, stale))


@pytest.mark.spec("STORE-6")
def test_signing_again_as_the_same_uid_removes_stale_fds(server: Server) -> None:
    """STORE-6: "A sign MUST remove from its uid's set every fd whose connection no longer exists, with that
    fd's own key, before it is answered; of the fds of a server that died the documented time after its
    death may have to pass."
    """
    uid = server.uid()
    client, fd = signed_with_fd(server, uid)
    stale = plant_stale_fds(server, uid)
    client.sign(uid)
    check_traces(server, uid, fd)
    expect_gone(server, *map(uid_key, stale))


@pytest.mark.spec("STORE-6")
@pytest.mark.needs("start")
def test_the_fds_of_a_server_that_was_killed_are_gone_with_a_later_sign(server: Server) -> None:
    """STORE-6: "A sign MUST remove from its uid's set every fd whose connection no longer exists, with that
    fd's own key, before it is answered; of the fds of a server that died the documented time after its
    death may have to pass."

    Signs go on until the documented time after the death is over; the last of them has to remove everything.
    """
    uid = server.uid()
    dead = [signed_with_fd(server, uid)[1] for _ in range(4)]
    server.kill()
    assert fds_of(server, uid) == set(dead)
    server.start()

    client = server.connect()

    def signed_and_clean() -> bool:
        client.sign(uid)
        return len(fds_of(server, uid)) == 1

    wait = server.documented.death_wait
    expect_soon("that a sign removes the fds of the dead server", signed_and_clean, wait, every=0.25)
    check_traces(server, uid, fd_of(server, uid))
    expect_gone(server, *map(uid_key, dead))


@pytest.mark.spec("STORE-7")
def test_a_sign_keeps_the_fds_of_live_devices(server: Server) -> None:
    """STORE-7: "A sign MUST NOT remove the fd of a live device of this server."

    Even where another program has put the fd of somebody's live device into a foreign set.
    """
    uid, other = server.uid(), server.uid()
    _, others_fd = signed_with_fd(server, other)
    server.redis.sadd(set_key(uid), others_fd)
    live: list[bytes] = []
    for _ in range(5):
        server.signed(uid)
        live.append(fd_of(server, uid, others_fd, *live))
        assert fds_of(server, uid) >= set(live)
        assert all(uid_of(server, fd) == uid.encode() for fd in live)
    check_traces(server, other, others_fd)
    server.redis.srem(set_key(uid), others_fd)


@pytest.mark.spec("STORE-12")
def test_a_msg_reaches_the_live_devices_among_stale_fds(server: Server) -> None:
    """STORE-12: "A msg to a uid whose set has stale fds MUST reach its live devices all the same." """
    bob, uid = server.signed(), server.uid()
    devices = [server.signed(uid) for _ in range(3)]
    deliver_to_all(bob, uid, *devices)
    plant_stale_fds(server, uid)
    for _ in range(3):
        deliver_to_all(bob, uid, *devices)
    fence_devices(*devices)
    bob.fence()


# STORE-8 and STORE-11: what is deleted comes back, what ages is renewed.


@pytest.mark.spec("STORE-8")
def test_what_another_program_deletes_comes_back(server: Server) -> None:
    """STORE-8: "What another program deletes from these keys or flushes MUST come back within a documented
    time, at most 30 s for the reference server, without any client noticing: meanwhile, too, messages
    reach every device."

    One uid for each way of deleting, and one that is left alone; all wait for the same refresh.
    """
    bob = server.signed()
    deletions: list[Callable[[str, bytes], object]] = [
        lambda uid, fd: None,
        lambda uid, fd: server.redis.delete(set_key(uid)),
        lambda uid, fd: server.redis.delete(uid_key(fd)),
        lambda uid, fd: server.redis.delete(set_key(uid), uid_key(fd)),
        lambda uid, fd: server.redis.srem(set_key(uid), fd),
        lambda uid, fd: server.redis.persist(uid_key(fd)),
    ]
    devices = [signed_with_fd(server, server.uid()) for _ in deletions]
    gone, gone_fd = signed_with_fd(server, server.uid())
    for (client, fd), delete in zip(devices, deletions, strict=True):
        delete(client.uid, fd)
    server.redis.delete(set_key(gone.uid), uid_key(gone_fd))
    gone.close()
    for client, _ in devices:
        deliver_to_all(bob, client.uid, client)

    def are_back() -> bool:
        return all(
            fds_of(server, client.uid) == {fd} and has_own_key(server, client.uid, fd)
            for client, fd in devices
        )

    keys = [key for client, fd in devices for key in (set_key(client.uid), uid_key(fd))]
    wait = server.documented.refresh_wait
    expect_in_redis(server, "the fd and the uid of each device again", are_back, *keys, within=wait)
    expect_gone(server, set_key(gone.uid), uid_key(gone_fd))
    for client, _ in devices:
        deliver_to_all(bob, client.uid, client)
        client.fence()


@pytest.mark.spec("STORE-8")
@pytest.mark.needs("redis_control")
def test_what_another_program_flushes_comes_back(server: Server) -> None:
    """STORE-8: "What another program deletes from these keys or flushes MUST come back within a documented
    time, at most 30 s for the reference server, without any client noticing: meanwhile, too, messages
    reach every device."

    Between the flush and the refresh everything works: messages, signs, moves, closes.
    """
    bob, uid, other = server.signed(), server.uid(), server.uid()
    devices = [signed_with_fd(server, uid) for _ in range(3)]
    mover, leaver = server.signed(uid), server.signed(uid)
    crowd = [server.raw() for _ in range(70)]
    for raw in crowd:
        raw.sign(server.uid())
    server.redis.flushall()
    deliver_to_all(bob, uid, *(client for client, _ in devices), mover, leaver)
    mover.sign(other)
    leaver.close()
    newcomer = server.signed(uid)
    deliver_to_all(bob, uid, *(client for client, _ in devices), newcomer)
    deliver_to_all(bob, other, mover)

    def are_back() -> bool:
        now = fds_of(server, uid)
        others = server.redis.exists(*(set_key(other.uid) for other in (bob, *crowd)))
        return len(now) == 4 and now >= {fd for _, fd in devices} and others == 1 + len(crowd)

    wait = server.documented.refresh_wait
    keys = [set_key(other) for other in (uid, bob.uid, *(raw.uid for raw in crowd))]
    expect_in_redis(server, "four fds again, and those of all others", are_back, *keys, within=wait)
    check_traces(server, uid, *fds_of(server, uid))
    check_traces(server, other, fd_of(server, other))
    fence_devices(*(client for client, _ in devices), newcomer)


@pytest.mark.spec("STORE-11")
def test_the_ttl_is_renewed_before_the_key_expires(server: Server) -> None:
    """STORE-11: "While the connection lives, the TTL of `chat_map_fd_uid:<fd>` MUST be renewed within the
    documented time of [STORE-8], so that the key does not expire."

    A day cannot be waited for: the key is made to expire soon after the documented time in which a server
    puts
    right what others did (STORE-8), and its TTL has to rise before.
    """
    client, fd = signed_with_fd(server, server.uid())
    soon = int(server.documented.refresh_wait) + 10
    server.redis.expire(uid_key(fd), soon)
    key, wait = uid_key(fd), server.documented.refresh_wait
    expect_in_redis(server, "a renewed TTL", lambda: server.redis.ttl(key) > soon, key, within=wait)
    check_traces(server, client.uid, fd)
    client.fence()


# STORE-13: what another program writes means nothing.


@pytest.mark.spec("STORE-13")
def test_a_written_identity_changes_nothing(server: Server) -> None:
    """STORE-13: "What another program writes into these keys MUST NOT make a connection a device of a uid
    that it has not signed as, nor end a server; a value of another type is healed like a deletion
    ([STORE-8])."
    """
    bob, victim = server.signed(), server.signed()
    thief, fd = signed_with_fd(server, server.uid())
    server.redis.set(uid_key(fd), victim.uid, ex=600)
    server.redis.sadd(set_key(victim.uid), fd)
    try:
        for _ in range(3):
            deliver_to_all(bob, victim.uid, victim)
            deliver_to_all(bob, thief.uid, thief)
            deliver_to_all(thief, bob.uid, bob)
        thief.fence()
        late = server.signed(victim.uid)
        deliver_to_all(bob, victim.uid, victim, late)
        thief.fence()
        thief.close()
        deliver_to_all(bob, victim.uid, victim, late)
    finally:
        server.redis.srem(set_key(victim.uid), fd)


@pytest.mark.spec("STORE-13")
def test_the_fd_of_a_connection_that_never_signed_is_no_device(server: Server) -> None:
    """STORE-13: "What another program writes into these keys MUST NOT make a connection a device of a uid
    that it has not signed as, nor end a server; a value of another type is healed like a deletion
    ([STORE-8])."

    The connection has an fd only once it signs; so it signs, and then moves: its fd in the old set is a lie.
    """
    bob, old, new = server.signed(), server.uid(), server.uid()
    mover, _ = signed_with_fd(server, old)
    mover.sign(new)
    fd = fd_of(server, new)
    server.redis.sadd(set_key(old), fd)
    bob.msg(old, fresh())
    mover.fence()
    stays = server.signed(old)
    deliver_to_all(bob, old, stays)
    deliver_to_all(bob, new, mover)
    mover.fence()
    server.redis.srem(set_key(old), fd)


@pytest.mark.spec("STORE-13")
@pytest.mark.parametrize(
    "member", [b"", b"abc", b"-1", b"0", b"1 2", b"\xff\x00\r\n", b"9" * 40, b"x" * 5000, b".", b"%s"]
)
def test_an_odd_member_of_a_set_disturbs_nobody(server: Server, member: bytes) -> None:
    """STORE-13: "What another program writes into these keys MUST NOT make a connection a device of a uid
    that it has not signed as, nor end a server; a value of another type is healed like a deletion
    ([STORE-8])."
    """
    bob, uid = server.signed(), server.uid()
    client = server.signed(uid)
    server.redis.sadd(set_key(uid), member)
    deliver_to_all(bob, uid, client)
    second = server.signed(uid)
    deliver_to_all(bob, uid, client, second)
    client.close()
    deliver_to_all(bob, uid, second)
    second.fence()
    bob.fence()
    server.redis.srem(set_key(uid), member)


@pytest.mark.spec("STORE-13", "STORE-8")
@pytest.mark.parametrize("kind", ["string", "hash", "list"])
def test_a_key_of_another_type_disturbs_nobody_for_long(server: Server, kind: str) -> None:
    """STORE-13: "What another program writes into these keys MUST NOT make a connection a device of a uid
    that it has not signed as, nor end a server; a value of another type is healed like a deletion
    ([STORE-8])."

    STORE-8: "What another program deletes from these keys or flushes MUST come back within a documented
    time, at most 30 s for the reference server, without any client noticing: meanwhile, too, messages reach
    every device."

    A value of another type takes the place of the set, which is thereby deleted. Until it is back the user
    whose key it is may be refused as 'unavailable'; nobody else notices anything.
    """
    bob, carol, client = server.signed(), server.signed(), server.signed()
    fd = fd_of(server, client.uid)
    for key in (set_key(client.uid), uid_key(fd)):
        server.redis.delete(key)
        if kind == "string":
            server.redis.set(key, "x")
        elif kind == "hash":
            server.redis.hset(key, "a", "b")
        else:
            server.redis.rpush(key, "a")
    newcomer = server.connect()

    def is_served() -> bool:
        newcomer.send(type="sign", uid=client.uid)
        reply = newcomer.recv()
        newcomer.uid = client.uid if reply["status"] == 1 else ""
        assert newcomer.uid or reply.get("code", "unavailable") == "unavailable", reply
        deliver_to_all(bob, carol.uid, carol)
        deliver_to_all(carol, bob.uid, bob)
        return bool(newcomer.uid)

    wait = server.documented.refresh_wait
    expect_soon("that one can sign as the uid again", is_served, wait, every=0.25)
    deliver_to_all(bob, client.uid, client, newcomer)
    key = set_key(client.uid)
    expect_in_redis(server, "both fds", lambda: len(fds_of(server, client.uid)) == 2, key, within=wait)
    fence_devices(client, newcomer)
    carol.fence()
