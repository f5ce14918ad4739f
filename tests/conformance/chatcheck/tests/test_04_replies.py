"""SPEC 4.1: one reply to each request, and what it says."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from chatcheck.claims import claims, echoed, refuses
from chatcheck.conversation import dump, nfkc, same_json
from chatcheck.raw_client import TEXT, build_frame
from chatcheck.target import Server
from chatcheck.tests.helpers import fence_devices, fresh, send_in_one_write
from chatcheck.transcript import show_text
from chatcheck.verdict import Mismatch, not_applicable

Members = dict[str, Any]

# Each row of the table that a single client can bring about: is it signed, its request, the reply.
ROWS: dict[str, tuple[bool, Members, Members]] = {
    "sign": (False, {"type": "sign", "uid": "UID"}, {"status": 1, "msg": "注册成功"}),
    "msg": (True, {"type": "msg", "to": "UID", "body": 1}, {"status": 1, "msg": "sended"}),
    "not_signed": (
        False,
        {"type": "msg", "to": "UID", "body": 1},
        {"status": 0, "msg": "发送失败,未登入", "code": "not_signed"},
    ),
    "invalid_cid": (
        True,
        {"type": "msg", "to": "UID", "body": 1, "cid": 7},
        {"status": 0, "msg": "参数错误", "code": "invalid_cid"},
    ),
    "invalid_uid": (True, {"type": "sign"}, {"status": 0, "msg": "参数错误", "code": "invalid_uid"}),
    "invalid_to": (
        True,
        {"type": "msg", "body": 1},
        {"status": 0, "msg": "参数错误", "code": "invalid_to"},
    ),
    "missing_body": (
        True,
        {"type": "msg", "to": "UID"},
        {"status": 0, "msg": "参数错误", "code": "missing_body"},
    ),
    "illegal": (
        True,
        {"type": "hello"},
        {"status": 0, "msg": "非法请求", "disconnect": 1, "code": "illegal"},
    ),
}


def ask(server: Server, row: str) -> tuple[Members, Members]:
    """Send a row's request on a connection of its own; its reply, and what the table expects."""
    if not refuses(row):
        not_applicable(f"the code {row} is not claimed")
    signed, request, expected = ROWS[row]
    client = server.signed() if signed else server.connect()
    nobody = server.uid()
    client.send(**{name: nobody if value == "UID" else value for name, value in request.items()})
    return client.recv(), expected


@pytest.mark.spec("REPLY-1")
def test_each_request_has_one_reply_and_only_its_sender_gets_it(server: Server) -> None:
    """REPLY-1: "A server MUST send exactly one reply to each request, to the connection that sent it and to
    no other."
    """
    alice, bob, stranger = server.signed(), server.signed(), server.connect()
    alices_other = server.signed(alice.uid)
    body = fresh()
    requests: list[tuple[Members, int, str | None]] = [
        ({"type": "sign", "uid": alice.uid}, 1, None),
        ({"type": "msg", "to": bob.uid, "body": body}, 1, None),
        ({"type": "msg", "to": server.uid(), "body": body}, 1, None),
        ({"type": "sign", "uid": ""}, 0, "invalid_uid"),
        ({"type": "msg", "to": None, "body": body}, 0, "invalid_to"),
        ({"type": "msg", "to": bob.uid}, 0, "missing_body"),
        ({"type": "msg", "to": bob.uid, "body": body, "cid": 7}, 0, "invalid_cid"),
    ]
    for members, status, code in requests:
        if code and not refuses(code):
            continue
        alice.send(**members)
        alice.expect_reply(status, code)
        fence_devices(alice, alices_other)
    bob.expect_delivery(body, alice.uid)
    bob.fence()
    stranger.fence()


@pytest.mark.spec("REPLY-1")
def test_two_connections_asking_at_once_each_get_their_own_replies(server: Server) -> None:
    """REPLY-1: "A server MUST send exactly one reply to each request, to the connection that sent it and to
    no other."
    """
    alice, bob = server.signed(), server.signed()
    alices = [fresh() for _ in range(20)]
    bobs = [fresh() for _ in range(20)]
    for mine, yours in zip(alices, bobs, strict=True):
        alice.send(type="msg", to=server.uid(), body=0, cid=mine)
        bob.send(type="msg", to=server.uid(), body=0, cid=yours)
    for mine, yours in zip(alices, bobs, strict=True):
        alice.expect_reply(1, **echoed(mine))
        bob.expect_reply(1, **echoed(yours))
    alice.fence()
    bob.fence()


@pytest.mark.spec("REPLY-1")
@pytest.mark.parametrize("how", ["not_utf8", "without_mask"])
def test_a_request_right_before_a_broken_frame_has_its_reply(server: Server, how: str) -> None:
    """REPLY-1: "A server MUST send exactly one reply to each request, to the connection that sent it and to
    no other."

    Both are one write to the socket.
    """
    code, frame = BROKEN[how]
    if not claims("WS-6" if code == 1007 else "WS-15"):
        not_applicable("the close that the frame brings is not claimed")
    raw = server.raw()
    send_in_one_write(raw, [dump({"type": "sign", "uid": server.uid(), "cid": "c"})], frame)
    raw.expect_reply(1, **echoed("c"))
    raw.expect_closed(code)


@pytest.mark.spec("REPLY-2")
@pytest.mark.parametrize("row", ROWS)
def test_status_is_the_number_one_or_zero(server: Server, row: str) -> None:
    """REPLY-2: "`status` MUST be the number 1 if the request was done, and the number
    0 if nothing was done."
    """
    reply, expected = ask(server, row)
    assert same_json(reply.get("status"), expected["status"]), f"the reply is {dump(reply)}"
    if "disconnect" in expected:
        assert same_json(reply.get("disconnect"), 1), f"the reply is {dump(reply)}"
    else:
        assert "disconnect" not in reply, f"the reply is {dump(reply)}"
    server.signed().fence()


@pytest.mark.spec("REPLY-2")
def test_status_one_was_done_and_status_zero_did_nothing(server: Server) -> None:
    """REPLY-2: "`status` MUST be the number 1 if the request was done, and the number
    0 if nothing was done."
    """
    alice, bob, stranger = server.signed(), server.signed(), server.connect()
    nothing_done: list[Members] = [
        {"type": "msg", "to": bob.uid},
        {"type": "msg", "to": [bob.uid], "body": fresh()},
        {"type": "msg", "to": bob.uid, "body": fresh(), "cid": ""},
        {"type": "sign", "uid": {"uid": bob.uid}},
        {"type": "sign", "uid": bob.uid, "cid": 7},
    ]
    for members in nothing_done if claims("UID-3") else ():
        alice.send(**members)
        alice.expect_reply(0)
    stranger.send(type="msg", to=bob.uid, body=fresh())
    stranger.expect_reply(0, "not_signed")
    done = fresh()
    alice.msg(bob.uid, done)
    bob.expect_delivery(done, alice.uid)
    bob.fence()
    alice.fence()


@pytest.mark.spec("REPLY-3")
@pytest.mark.parametrize("row", ROWS)
def test_msg_is_the_text_of_the_table(server: Server, row: str) -> None:
    """REPLY-3: "`msg` MUST be the text that the table gives, compared after Unicode normalisation NFKC." """
    reply, expected = ask(server, row)
    if nfkc(str(reply.get("msg"))) != nfkc(expected["msg"]):
        raise Mismatch(f"a reply whose msg is {expected['msg']}", show_text(dump(reply)))
    if not same_json(reply.get("status"), expected["status"]):
        raise Mismatch(f"a reply with status {expected['status']}", show_text(dump(reply)))


@pytest.mark.spec("REPLY-4")
@pytest.mark.parametrize("row", [row for row in ROWS if row not in ("sign", "msg")])
def test_a_refusal_carries_its_code(server: Server, row: str) -> None:
    """REPLY-4: "A reply with status 0 SHOULD carry the `code` that the table gives." """
    reply, expected = ask(server, row)
    if not same_json(reply.get("status"), 0) or reply.get("code") != expected["code"]:
        raise Mismatch(f"a reply with status 0 and code {expected['code']}", show_text(dump(reply)))


@pytest.mark.spec("REPLY-5")
def test_replies_have_no_from_and_deliveries_no_status(server: Server) -> None:
    """REPLY-5: "A reply MUST NOT have the member `from`, and a delivery MUST NOT have
    the member `status`."
    """
    alice, bob = server.signed(), server.signed()
    confusing = {"from": bob.uid, "status": 1, "msg": "sended", "token": "0" * 32}
    body = {"status": 0, "from": fresh()}

    alice.send(type="sign", uid=alice.uid, **confusing)
    assert "from" not in alice.expect_reply(1)
    alice.send(type="msg", to=bob.uid, body=body, **confusing)
    assert "from" not in alice.expect_reply(1)
    delivery = bob.expect_delivery(body, alice.uid)
    assert "status" not in delivery
    if refuses("invalid_to"):
        alice.send(type="msg", body=body, **confusing)
        assert "from" not in alice.expect_reply(0, "invalid_to")
    alice.send(type="unknown", **confusing)
    assert "from" not in alice.expect_illegal()


# What can be wrong with a request, in the order in which it is said.
MSG_FAULTS = ("invalid_cid", "not_signed", "invalid_to", "missing_body")
SIGN_FAULTS = ("invalid_cid", "invalid_uid")


def subsets(faults: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every combination of faults, none of them included: the legal twin."""
    return [c for n in range(len(faults) + 1) for c in itertools.combinations(faults, n)]


def name_of(faults: tuple[str, ...]) -> str:
    return "+".join(faults) or "legal"


@pytest.mark.spec("REPLY-6")
@pytest.mark.parametrize("wrong", [7, "", "x" * 65, None], ids=["number", "empty", "long", "null"])
@pytest.mark.parametrize("faults", subsets(MSG_FAULTS), ids=name_of)
def test_of_several_faults_of_a_msg_the_first_is_said(
    server: Server, faults: tuple[str, ...], wrong: object
) -> None:
    """REPLY-6: "When several things are wrong with a request, the reply MUST be the one for the first of:
    illegal, `invalid_cid`, `not_signed`, the other parameters in the order of the tables, `denied`, `full`,
    `unavailable`. Where section 2 asks for a close with 1002, 1007 or 1009, there is no reply at all."
    """
    bob = server.signed()
    client = server.connect() if "not_signed" in faults else server.signed()
    cid, body = fresh(), fresh()
    members: Members = {"type": "msg", "cid": wrong if "invalid_cid" in faults else cid}
    members["to"] = {"no": "uid"} if "invalid_to" in faults else bob.uid
    if "missing_body" not in faults:
        members["body"] = body
    client.send(**members)
    if not faults:
        client.expect_reply(1, cid=cid)
        bob.expect_delivery(body, client.uid)
    else:
        reply = client.expect_reply(0, faults[0])
        assert reply.get("cid") == (None if "invalid_cid" in faults else cid)
    client.fence()
    bob.fence()


@pytest.mark.spec("REPLY-6")
@pytest.mark.parametrize("faults", subsets(SIGN_FAULTS), ids=name_of)
def test_of_several_faults_of_a_sign_the_first_is_said(server: Server, faults: tuple[str, ...]) -> None:
    """REPLY-6: "When several things are wrong with a request, the reply MUST be the one for the first of:
    illegal, `invalid_cid`, `not_signed`, the other parameters in the order of the tables, `denied`, `full`,
    `unavailable`. Where section 2 asks for a close with 1002, 1007 or 1009, there is no reply at all."
    """
    client = server.connect()
    cid = fresh()
    members: Members = {"type": "sign", "cid": [cid] if "invalid_cid" in faults else cid}
    members["uid"] = True if "invalid_uid" in faults else server.uid()
    client.send(**members)
    if not faults:
        client.expect_reply(1, cid=cid)
        return
    reply = client.expect_reply(0, faults[0])
    assert reply.get("cid") == (None if "invalid_cid" in faults else cid)
    client.fence()


@pytest.mark.spec("REPLY-6")
@pytest.mark.parametrize("faults", subsets(MSG_FAULTS), ids=name_of)
def test_illegal_is_said_before_everything_else(server: Server, faults: tuple[str, ...]) -> None:
    """REPLY-6: "When several things are wrong with a request, the reply MUST be the one for the first of:
    illegal, `invalid_cid`, `not_signed`, the other parameters in the order of the tables, `denied`, `full`,
    `unavailable`. Where section 2 asks for a close with 1002, 1007 or 1009, there is no reply at all."
    """
    bob = server.signed()
    client = server.connect() if "not_signed" in faults else server.signed()
    members: Members = {"cid": 7 if "invalid_cid" in faults else fresh()}
    members["to"] = "" if "invalid_to" in faults else bob.uid
    if "missing_body" not in faults:
        members["body"] = fresh()
    client.send(type="msgs", **members)
    reply = client.expect_reply(0, "illegal", disconnect=1)
    assert "cid" not in reply
    client.expect_closed(1008)
    bob.fence()


BROKEN: dict[str, tuple[int, bytes]] = {
    "not_utf8": (1007, build_frame(TEXT, b'{"type":"\xff"}')),
    "not_utf8_but_legal": (1007, build_frame(TEXT, b'{"type":"sign","uid":"1","x":"\xc0\x80"}')),
    "without_mask": (1002, build_frame(TEXT, b'{"type":"hello"}', mask=None)),
    "reserved_bit": (1002, build_frame(TEXT, b"[]", rsv=4)),
    "reserved_opcode": (1002, build_frame(0x3, b"{}")),
}


@pytest.mark.spec("REPLY-6")
@pytest.mark.parametrize("how", BROKEN)
def test_where_the_transport_closes_there_is_no_reply(server: Server, how: str) -> None:
    """REPLY-6: "When several things are wrong with a request, the reply MUST be the one for the first of:
    illegal, `invalid_cid`, `not_signed`, the other parameters in the order of the tables, `denied`, `full`,
    `unavailable`. Where section 2 asks for a close with 1002, 1007 or 1009, there is no reply at all."

    Twin: the request before it is answered.
    """
    code, frame = BROKEN[how]
    raw = server.raw()
    raw.sign(server.uid())
    raw.send_raw(frame, how)
    raw.expect_closed(code)


@pytest.mark.spec("REPLY-7")
@pytest.mark.parametrize("row", [row for row in ROWS if row != "illegal"])
def test_the_connection_stays_usable_after_a_reply(server: Server, row: str) -> None:
    """REPLY-7: "The connection MUST stay open and usable after a reply without `disconnect`." """
    if not refuses(row):
        not_applicable(f"the code {row} is not claimed")
    signed, request, expected = ROWS[row]
    bob = server.signed()
    client = server.signed() if signed else server.connect()
    nobody = server.uid()
    for _ in range(60):
        client.send(**{name: nobody if value == "UID" else value for name, value in request.items()})
        client.expect_reply(expected["status"], expected.get("code"))
    if not signed:
        client.sign(server.uid())
    body = fresh()
    client.msg(bob.uid, body)
    bob.expect_delivery(body, client.uid)
    client.fence()
