"""SPEC 4.5: illegal requests."""

from __future__ import annotations

import pytest

from chatcheck.claims import claims, echoed
from chatcheck.conversation import dump, same_json
from chatcheck.raw_client import BINARY, CONT, TEXT, build_frame
from chatcheck.target import Server
from chatcheck.tests.helpers import deliver_to_all, fresh, send_in_one_write

NOT_OBJECTS = [
    '"abc"',
    '"sign"',
    "1",
    "0",
    "-1.5e3",
    "true",
    "false",
    "null",
    "[]",
    '[{"type":"sign"}]',
    "",
    "hi",
]
TYPES_THAT_ARE_NONE: dict[str, dict[str, object]] = {
    "absent": {},
    "other_name": {"Type": "sign"},
    "null": {"type": None},
    "true": {"type": True},
    "number": {"type": 1},
    "array": {"type": ["sign"]},
    "object": {"type": {"type": "sign"}},
    "empty": {"type": ""},
    "case": {"type": "SIGN"},
    "space": {"type": "sign "},
    "nul": {"type": "sign\u0000"},
    "prefix": {"type": "sig"},
    "longer": {"type": "signs"},
    "unknown": {"type": "hello"},
}


@pytest.mark.spec("ILLEGAL-1")
@pytest.mark.parametrize("text", NOT_OBJECTS)
@pytest.mark.parametrize("signed", [False, True], ids=["not_signed", "signed"])
def test_a_text_that_is_not_an_object_is_illegal(server: Server, text: str, signed: bool) -> None:
    """ILLEGAL-1: "A text message that is not a JSON object, or whose `type` is absent, not a string, or none
    that the server knows, MUST be answered with `{"status":0,"msg":"非法请求","disconnect":1}`."
    """
    client = server.signed() if signed else server.connect()
    client.fence()
    client.send_text(text)
    reply = client.expect_reply(0, "illegal")
    assert same_json(reply.get("disconnect"), 1)
    client.expect_closed(1008)


@pytest.mark.spec("ILLEGAL-1")
@pytest.mark.parametrize("name", TYPES_THAT_ARE_NONE)
def test_an_object_without_a_known_type_is_illegal(server: Server, name: str) -> None:
    """ILLEGAL-1: "A text message that is not a JSON object, or whose `type` is absent, not a string, or none
    that the server knows, MUST be answered with `{"status":0,"msg":"非法请求","disconnect":1}`."
    """
    client, uid = server.connect(), server.uid()
    client.send(uid=uid, **TYPES_THAT_ARE_NONE[name])
    reply = client.expect_reply(0, "illegal")
    assert same_json(reply.get("disconnect"), 1)
    assert "token" not in reply
    client.expect_closed(1008)
    twin = server.connect()
    twin.send(uid=uid, type="sign")
    twin.expect_reply(1)


@pytest.mark.spec("ILLEGAL-2")
@pytest.mark.parametrize("signed", [False, True], ids=["not_signed", "signed"])
def test_a_binary_message_is_illegal_even_with_a_legal_request_in_it(server: Server, signed: bool) -> None:
    """ILLEGAL-2: "A binary message MUST be answered like any other illegal request, whatever is in it." """
    bob = server.signed()
    legal = dump(
        {"type": "msg", "to": bob.uid, "body": fresh()} if signed else {"type": "sign", "uid": server.uid()}
    )
    for content in (legal.encode(), b"", b"\xff\xfe\x00", b"abc"):
        client = server.signed() if signed else server.connect()
        client.send_bytes(content)
        reply = client.expect_reply(0, "illegal")
        assert same_json(reply.get("disconnect"), 1)
        assert "token" not in reply
        client.expect_closed(1008)
    bob.fence()
    twin = server.signed() if signed else server.connect()
    twin.send_text(legal)
    twin.expect_reply(1)


@pytest.mark.spec("ILLEGAL-2")
@pytest.mark.parametrize("size", [200, 5000, 65536])
def test_a_long_or_fragmented_binary_message_is_illegal_too(server: Server, size: int) -> None:
    """ILLEGAL-2: "A binary message MUST be answered like any other illegal request, whatever is in it." """
    bob = server.signed()
    empty = dump({"type": "msg", "to": bob.uid, "body": ""})
    legal = empty[:-2] + "x" * (size - len(empty)) + '"}'
    for pieces in (1, 2, 5):
        step = -(-size // pieces)
        fragments = [legal.encode()[i : i + step] for i in range(0, size, step)]
        for opcode in (TEXT, BINARY):
            raw = server.raw()
            raw.sign(server.uid())
            for i, fragment in enumerate(fragments):
                raw.send_frame(opcode if i == 0 else CONT, fragment, fin=i == pieces - 1)
            if opcode == TEXT:
                bob.expect_delivery("x" * (size - len(empty)), raw.uid)
                raw.expect_reply(1)
            else:
                raw.expect_illegal()
    bob.fence()


@pytest.mark.spec("ILLEGAL-3")
def test_the_connection_is_closed_with_1008_and_is_no_device_any_more(server: Server) -> None:
    """ILLEGAL-3: "After the reply to an illegal request the server MUST close the connection with 1008." """
    bob, client = server.signed(), server.signed()
    other = server.signed(client.uid)
    client.send_text("[1,2,3]")
    client.expect_reply(0, "illegal")
    client.expect_closed(1008)
    deliver_to_all(bob, other.uid, other)
    other.fence()
    bob.fence()


@pytest.mark.spec("ILLEGAL-3")
def test_every_other_refusal_leaves_the_connection_open(server: Server) -> None:
    """ILLEGAL-3: "After the reply to an illegal request the server MUST close the connection with 1008." """
    client = server.connect()
    client.send(type="msg", to=server.uid(), body=1)
    client.expect_reply(0, "not_signed")
    client.send(type="sign")
    client.expect_reply(0, "invalid_uid")
    client.send(type="sign", uid=server.uid(), cid=7)
    client.expect_reply(0, "invalid_cid")
    client.ping(b"still here")
    client.sign(server.uid())
    client.send(type="hello")
    client.expect_reply(0, "illegal")
    client.expect_closed(1008)


@pytest.mark.spec("ILLEGAL-4")
@pytest.mark.parametrize("illegal", ["{", '"abc"', '{"type":"hello"}', "BINARY"])
def test_nothing_behind_an_illegal_request_is_processed(server: Server, illegal: str) -> None:
    """ILLEGAL-4: "Of what a connection sends after an illegal request, the server MUST NOT process anything."

    All in one write to the socket: a legal msg (the twin), the illegal request, more legal requests. The
    msg arrives, of
    what is behind nothing does, and the illegal reply is the last message before the close.
    """
    bob, watched = server.signed(), server.uid()
    raw, uid = server.raw(), server.uid()
    raw.sign(uid)
    before, behind = fresh(), fresh()
    bad = build_frame(BINARY, b"{}") if illegal == "BINARY" else build_frame(TEXT, illegal.encode())
    send_in_one_write(
        raw,
        [dump({"type": "msg", "to": bob.uid, "body": before})],
        bad,
        text_frame(type="msg", to=bob.uid, body=behind),
        text_frame(type="sign", uid=watched),
        text_frame(type="msg", to=bob.uid, body=behind),
        build_frame(TEXT, b"[]"),
    )
    raw.expect_reply(1)
    raw.expect_reply(0, "illegal")
    raw.expect_closed(1008)
    bob.expect_delivery(before, uid)
    bob.fence()
    deliver_to_all(bob, watched, server.signed(watched))
    bob.fence()


@pytest.mark.spec("ILLEGAL-4", "ORDER-1")
def test_what_was_asked_before_an_illegal_request_is_answered_first(server: Server) -> None:
    """ILLEGAL-4: "Of what a connection sends after an illegal request, the server MUST
    NOT process anything."

    ORDER-1: "The requests of a connection MUST take effect and be answered in the order in which they were
    sent, also when many are sent without waiting for replies."
    """
    alice, bob = server.signed(), server.signed()
    texts = [dump({"type": "msg", "to": bob.uid, "body": n, "cid": f"n{n}"}) for n in range(20)]
    later = dump({"type": "msg", "to": bob.uid, "body": "later"})
    behind = (later, later) if claims("ILLEGAL-4") else ()
    for text in (*texts, '{"type":"hello","cid":"x"}', *behind):
        alice.send_text(text)
    for number in range(20):
        alice.expect_reply(1, **echoed(f"n{number}"))
    assert "cid" not in alice.expect_illegal()
    for number in range(20):
        bob.expect_delivery(number, alice.uid)
    bob.fence()


@pytest.mark.spec("ILLEGAL-4")
def test_an_illegal_request_sent_later_is_not_answered_twice(server: Server) -> None:
    """ILLEGAL-4: "Of what a connection sends after an illegal request, the server MUST NOT process anything."

    The client goes on sending after it got the reply, until it sees the close.
    """
    bob, raw = server.signed(), server.raw()
    raw.send_text("{}")
    raw.expect_reply(0, "illegal")
    raw.send(type="sign", uid=bob.uid)
    raw.send_text("{}")
    raw.expect_closed(1008)
    deliver_to_all(server.signed(), bob.uid, bob)
    bob.fence()


def text_frame(**members: object) -> bytes:
    """The bytes of a request in one frame."""
    return build_frame(TEXT, dump(members).encode())
