"""SPEC 4.6: identity."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from chatcheck.claims import from_now_on
from chatcheck.client import Client
from chatcheck.raw_client import RawClient
from chatcheck.target import Server
from chatcheck.tests.helpers import (
    deliver_to_all,
    expect_fds,
    expect_gone,
    fd_of,
    fence_devices,
    fresh,
    set_key,
    signed_with_fd,
    uid_key,
    uid_of,
)


def strangers_are_nobody(bob: Client, uid: str, strangers: list[Client]) -> None:
    """None of them receives what bob sends to `uid`, or can send; the first can do both once it signs."""
    for stranger in strangers:
        bob.msg(uid, fresh())
        stranger.send(type="msg", to=bob.uid, body=fresh())
        stranger.expect_reply(0, "not_signed")
        stranger.fence()
    bob.fence()
    strangers[0].sign(uid, **from_now_on())
    deliver_to_all(bob, uid, strangers[0])
    strangers[1].fence()


@pytest.mark.spec("ID-1")
@pytest.mark.limit(30)  # a server may take its time to close a connection
def test_a_new_connection_is_not_signed_as_the_one_that_closed(server: Server) -> None:
    """ID-1: "Identity belongs to the connection: a new connection MUST NOT be signed before its own sign is
    answered, whatever a crash, a restart or another program has left in a store."

    Numbers of sockets are used again at once: as many new connections as there were devices would inherit
    them.
    """
    bob, uid = server.signed(), server.uid()
    devices = [server.signed(uid) for _ in range(10)]
    deliver_to_all(bob, uid, *devices)
    for device in devices:
        device.close()
    strangers = [server.connect() for _ in range(10)]
    strangers_are_nobody(bob, uid, strangers)


@pytest.mark.spec("ID-1")
@pytest.mark.needs("start")
@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_new_connection_is_not_signed_after_a_restart(server: Server, how: str) -> None:
    """ID-1: "Identity belongs to the connection: a new connection MUST NOT be signed before its own sign is
    answered, whatever a crash, a restart or another program has left in a store."

    The server is killed or stopped with devices open; if it has a store, that keeps their traces after a
    kill.
    """
    server.restart()  # so that the fds of a server that numbers them are the same before and after
    uid = server.uid()
    devices = [server.signed(uid) for _ in range(10)]
    fence_devices(*devices)
    if how == "killed":
        server.kill()
    else:
        server.stop()
    server.start()

    bob = server.signed()
    strangers = [server.connect() for _ in range(15)]
    strangers_are_nobody(bob, uid, strangers)


@pytest.mark.spec("ID-1")
@pytest.mark.needs("redis")
def test_what_another_program_left_in_the_store_signs_nobody(server: Server) -> None:
    """ID-1: "Identity belongs to the connection: a new connection MUST NOT be signed before its own sign is
    answered, whatever a crash, a restart or another program has left in a store."

    Redis says of the fds of connections that have closed, of small numbers, and of the fds that seem to come
    next, that they are the victim's.
    """
    bob, victim = server.signed(), server.uid()
    used = []
    for _ in range(3):
        client, fd = signed_with_fd(server, server.uid())
        used.append(fd)
        client.close()
        expect_gone(server, uid_key(fd), within=1.0)
    planted = {*used, *(str(number).encode() for number in range(64)), *fds_after(used[-1])}
    for fd in planted:
        server.redis.set(uid_key(fd), victim, ex=60, nx=True)
    server.redis.sadd(set_key(victim), *planted)
    strangers = [server.connect() for _ in range(10)]
    for stranger in strangers:
        bob.msg(victim, fresh())
        stranger.send(type="msg", to=bob.uid, body=fresh())
        stranger.expect_reply(0, "not_signed")
        stranger.fence()
    bob.fence()
    rightful = server.signed(victim)
    deliver_to_all(bob, victim, rightful)
    for stranger in strangers:
        stranger.fence()
    left = [fd for fd in planted if uid_of(server, fd) == victim.encode()]
    server.redis.delete(set_key(victim), *map(uid_key, left))


def fds_after(fd: bytes) -> list[bytes]:
    """The fds that come next if fds end in a number that counts."""
    counted = re.fullmatch(rb"(.*?)([0-9]{1,15})", fd, re.DOTALL)
    if counted is None:
        return []
    return [counted[1] + str(int(counted[2]) + n).encode() for n in range(1, 40)]


@pytest.mark.spec("ID-2")
def test_a_connection_stays_signed_whatever_it_asks(server: Server) -> None:
    """ID-2: "A signed connection MUST stay signed for as long as it is open, whatever becomes of the traces
    it has in a store."
    """
    alice, bob = server.signed(), server.signed()
    for _ in range(15):
        alice.send(type="sign", uid="")
        alice.expect_reply(0, "invalid_uid")
        alice.send(type="msg", to="", body=1)
        alice.expect_reply(0, "invalid_to")
        other = server.signed(alice.uid)
        other.send(type="hello")
        other.expect_reply(0, "illegal")
        other.expect_closed(1008)
        alice.ping(b"still here")
        deliver_to_all(alice, bob.uid, bob)
        deliver_to_all(bob, alice.uid, alice)
    alice.fence()


@pytest.mark.spec("ID-2")
@pytest.mark.needs("redis")
def test_a_connection_stays_signed_when_its_traces_are_gone(server: Server) -> None:
    """ID-2: "A signed connection MUST stay signed for as long as it is open, whatever becomes of the traces
    it has in a store."
    """
    bob, uid = server.signed(), server.uid()
    alice, fd = signed_with_fd(server, uid)
    index, own = set_key(uid), uid_key(fd)
    meddling: list[Callable[[], object]] = [
        lambda: server.redis.delete(own),
        lambda: server.redis.delete(index),
        lambda: server.redis.delete(index, own),
        lambda: server.redis.pexpire(own, 1),
        lambda: server.redis.srem(index, fd),
        lambda: server.redis.set(own, ""),
    ]
    for meddle in meddling:
        meddle()
        deliver_to_all(alice, bob.uid, bob)
        deliver_to_all(bob, uid, alice)
        alice.fence()


def close_handshake(raw: RawClient) -> None:
    raw.send_close(1000)
    raw.expect_closed(1000)


def reset_within_a_frame(raw: RawClient) -> None:
    raw.send_raw(b"\x81\xfe\x01", "the beginning of a frame")
    raw.abort()


ENDS: dict[str, Callable[[RawClient], None]] = {
    "close_handshake": close_handshake,
    "close_frame_only": lambda raw: raw.send_close(1000),
    "fin": RawClient.half_close,
    "rst": RawClient.abort,
    "rst_within_a_frame": reset_within_a_frame,
}


@pytest.mark.spec("ID-3")
@pytest.mark.parametrize("how", ENDS)
def test_a_device_that_ended_is_no_device_any_more(server: Server, how: str) -> None:
    """ID-3: "After a device closes, by the closing handshake or because TCP broke, its traces MUST be gone
    within a second: nothing names it any more. While the store is away, the second begins when the
    server works again ([STORE-10])."

    What can be seen without a store: the devices that are left get everything once, a new connection nothing.
    """
    bob, uid = server.signed(), server.uid()
    stays = server.signed(uid)
    raw = server.raw()
    raw.sign(uid)
    deliver_to_all(bob, uid, stays, raw)
    ENDS[how](raw)
    stranger = server.connect()
    for _ in range(5):
        deliver_to_all(bob, uid, stays)
        stranger.fence()
    stays.fence()
    bob.fence()


@pytest.mark.spec("ID-3")
@pytest.mark.needs("redis")
@pytest.mark.parametrize("how", ENDS)
def test_the_traces_of_a_device_that_ended_are_gone_within_a_second(server: Server, how: str) -> None:
    """ID-3: "After a device closes, by the closing handshake or because TCP broke, its traces MUST be gone
    within a second: nothing names it any more. While the store is away, the second begins when the
    server works again ([STORE-10])."
    """
    uid = server.uid()
    stays, stays_fd = signed_with_fd(server, uid)
    raw = server.raw()
    raw.sign(uid)
    fd = fd_of(server, uid, stays_fd)
    assert uid_of(server, fd) == uid.encode()

    ENDS[how](raw)

    expect_fds(server, uid, stays_fd, within=1.0)
    expect_gone(server, uid_key(fd), within=1.0)
    assert uid_of(server, stays_fd) == uid.encode()
    stays.close()
    expect_gone(server, set_key(uid), uid_key(stays_fd), within=1.0)


@pytest.mark.spec("ID-3")
@pytest.mark.needs("redis")
def test_the_traces_of_a_device_that_has_moved_are_gone_from_both_uids(server: Server) -> None:
    """ID-3: "After a device closes, by the closing handshake or because TCP broke, its traces MUST be gone
    within a second: nothing names it any more. While the store is away, the second begins when the
    server works again ([STORE-10])."
    """
    old, new = server.uid(), server.uid()
    raw = server.raw()
    raw.sign(old)
    raw.sign(new)
    fd = fd_of(server, new)
    raw.abort()
    keys = (set_key(old), set_key(new), uid_key(fd))
    expect_gone(server, *keys, within=1.0)
