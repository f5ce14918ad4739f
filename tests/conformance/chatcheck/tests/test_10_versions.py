"""SPEC 10: versions, features and profiles."""

from __future__ import annotations

import json
from typing import Any

import pytest

from chatcheck.claims import echoed
from chatcheck.client import Client
from chatcheck.target import Server
from chatcheck.tests.helpers import deliver_to_all, fence_devices, fresh, fresh_number
from chatcheck.timing import eventually
from chatcheck.verdict import not_applicable

# Request types that a feature might have, and the feature; None: of no feature that is known yet.
FEATURES_TYPES = {
    "broadcast": "broadcast",
    "history": "history",
    "since": "history",
    "auth": "auth",
    "confirm": None,
    "subscribe": None,
}


def has_members(message: dict[str, Any], **types: type) -> None:
    """The message has these members, with these types; true and false are no numbers, but 1.0 is one."""
    for name, kind in types.items():
        kinds = (int, float) if kind is int else (kind,)
        assert type(message.get(name)) in kinds, f"{name} of {message} is no {kind.__name__}"


@pytest.mark.spec("COMPAT-1")
def test_the_originals_client_is_served(server: Server) -> None:
    """COMPAT-1: "A client that was written for the original service MUST be served: requests with just the
    members that it knows get replies and deliveries that have all the members which the original's have,
    with their names, types and meaning."

    The requests are the original's, byte for byte but for the uid.
    """
    client, uid = server.connect(), server.uid()
    client.send_text(f'{{"type":"msg","to":"{uid}","body":"hi"}}')
    refused = client.recv()
    has_members(refused, status=int, msg=str)
    assert refused["status"] == 0
    assert "disconnect" not in refused

    client.send_text(f'{{"type":"sign","uid":"{uid}"}}')
    signed = client.recv()
    has_members(signed, status=int, msg=str, token=str)
    assert (signed["status"], signed["msg"]) == (1, "注册成功")

    client.send_text(f'{{"type":"msg","to":"{uid}","body":"hi"}}')
    delivery = client.recv()
    has_members(delivery, **{"body": str, "from": str})
    assert (delivery["body"], delivery["from"]) == ("hi", uid)
    sent = client.recv()
    has_members(sent, status=int, msg=str)
    assert (sent["status"], sent["msg"]) == (1, "sended")

    client.send_text('{"type":"hello"}')
    illegal = client.recv()
    has_members(illegal, status=int, msg=str, disconnect=int)
    assert (illegal["status"], illegal["msg"], illegal["disconnect"]) == (0, "非法请求", 1)


@pytest.mark.spec("COMPAT-1")
def test_the_originals_client_may_write_uids_as_numbers(server: Server) -> None:
    """COMPAT-1: "A client that was written for the original service MUST be served: requests with just the
    members that it knows get replies and deliveries that have all the members which the original's have,
    with their names, types and meaning."
    """
    client, bob, number = server.connect(), server.signed(), fresh_number()
    client.send_text(f'{{"type":"sign","uid":{number}}}')
    has_members(client.expect_reply(1), token=str)
    body = fresh()
    bob.send_text(f'{{"type":"msg","to":{number},"body":"{body}"}}')
    bob.expect_reply(1)
    client.expect_delivery(body, bob.uid)


@pytest.mark.spec("COMPAT-2")
@pytest.mark.parametrize("kind", FEATURES_TYPES)
def test_a_type_of_a_feature_that_is_not_served_is_illegal(server: Server, kind: str) -> None:
    """COMPAT-2: "A request type of a feature that a server does not serve MUST be treated like any unknown
    type: as illegal."
    """
    if FEATURES_TYPES[kind] in server.documented.features:
        not_applicable(f"the feature {FEATURES_TYPES[kind]} is declared")
    alice, bob, stranger = server.signed(), server.signed(), server.connect()
    alice.send(type=kind, body=fresh(), to=bob.uid, since="0-0")
    alice.expect_illegal(disconnect=1)
    bob.fence()
    stranger.fence()
    deliver_to_all(server.signed(), bob.uid, bob)


@pytest.mark.spec("COMPAT-3")
def test_a_client_of_the_original_sees_nothing_of_features(server: Server) -> None:
    """COMPAT-3: "A client that uses none of the members and types of a feature MUST NOT get messages that
    only the feature has."

    Beside it others use members and types of features; it gets the five shapes that it knows and nothing
    else.
    """
    plain, modern, uid = server.connect(), server.connect(), server.uid()
    modern.send(type="sign", uid=uid, since="0-0", auth="x.y.z", cid=fresh())
    modern.expect_reply(1)
    modern.send(type="msg", to=server.uid(), body=1, cid=fresh())
    modern.recv()
    plain.send_text(json.dumps({"type": "sign", "uid": uid}))
    assert "cid" not in plain.expect_reply(1)
    body, cid = fresh(), fresh()
    modern.send(type="msg", to=uid, body=body, cid=cid, since="0-0", broadcast=1, id="1-1", time=0)
    for client in (modern, plain):
        delivery = client.expect_delivery(body, uid)
        assert "cid" not in delivery
        assert "broadcast" not in delivery
    modern.expect_reply(1, **echoed(cid))

    bob = server.signed()  # comes, gets something from the plain client, and goes
    plain.send_text(json.dumps({"type": "msg", "to": bob.uid, "body": body}))
    assert "cid" not in plain.expect_reply(1)
    bob.expect_delivery(body, uid)
    bob.fence()
    bob.close()
    expect_only_own_things(plain, uid)

    late, absent = server.connect(), server.uid()
    server.signed(bob.uid).msg(absent, body)
    late.send_text(json.dumps({"type": "sign", "uid": absent}))
    late.expect_reply(1)
    if "history" in server.documented.features:  # also for a client that knows nothing of it (HIST-7)
        late.expect_delivery(body, bob.uid)
    expect_only_own_things(late, absent)
    expect_only_own_things(plain, uid)


@pytest.mark.spec("COMPAT-3")
def test_without_history_there_is_nothing_of_it(server: Server) -> None:
    """COMPAT-3: "A client that uses none of the members and types of a feature MUST NOT get messages that
    only the feature has."

    Twin: with the feature, the same sign with a `since` that is no id is refused (HIST-9). A server without
    it ignores the member, as any that it does not know, and recognises no retry.
    """
    if "history" in server.documented.features:
        not_applicable("the feature history is declared")
    alice, uid, cid, body = server.connect(), server.uid(), fresh(), fresh()
    for since in ("yesterday", "0-0", 7):
        alice.send(type="sign", uid=uid, since=since)
        assert "gap" not in alice.expect_reply(1)
    alice.uid = uid
    for _ in range(2):
        alice.send(type="msg", to=uid, body=body, cid=cid)
        assert not {"id", "time"} & alice.expect_delivery(body, uid).keys()
        assert not {"id", "dup"} & alice.expect_reply(1).keys()
    later = server.connect()
    later.send(type="sign", uid=uid, since="0-0")
    later.expect_reply(1)
    fence_devices(alice, later)


def expect_only_own_things(client: Client, uid: str) -> None:
    """A message to the own uid: its delivery and its reply come next, also when it is sent again and again.

    For what a feature sends on its own may come a little later.
    """

    def only_own() -> bool:
        body = fresh()
        client.send_text(json.dumps({"type": "msg", "to": uid, "body": body}))
        client.expect_delivery(body, uid)
        assert "cid" not in client.expect_reply(1)
        return False

    eventually(only_own, within=0.2, every=0.02)
