"""SPEC 2: the WebSocket transport."""

from __future__ import annotations

import contextlib
import itertools
import re
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from chatcheck.claims import claims, echoed, from_now_on
from chatcheck.conversation import Conversation, dump, read_object
from chatcheck.raw_client import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    PONG,
    TEXT,
    Frame,
    RawClient,
    build_frame,
    upgrade_request,
)
from chatcheck.target import Server
from chatcheck.tests.helpers import deliver_to_all, fresh
from chatcheck.timing import deadline, eventually, scaled
from chatcheck.verdict import Mismatch, untested

ACCEPTED_SIZE = 65536


def msg_of_size(to: str, size: int, filler: str = "x") -> tuple[str, str]:
    """A msg whose text has exactly 'size' bytes, made of so many fillers, and its body."""
    empty = dump({"type": "msg", "to": to, "body": ""})
    n_fillers, rest = divmod(size - len(empty.encode()), len(filler.encode()))
    body = filler * n_fillers + "." * rest
    return dump({"type": "msg", "to": to, "body": body}), body


def talk(alice: Conversation, bob: Conversation) -> None:
    """A message there and back."""
    for sender, receiver in ((alice, bob), (bob, alice)):
        deliver_to_all(sender, receiver.uid or "", receiver)


def send_fragments(raw: RawClient, opcode: int, fragments: list[bytes]) -> None:
    """Send a message as these fragments."""
    last = len(fragments) - 1
    for i, fragment in enumerate(fragments):
        raw.send_frame(opcode if i == 0 else CONT, fragment, fin=i == last)


def cut(data: bytes, *places: int) -> list[bytes]:
    """Cut data at these places; the same place twice makes an empty piece."""
    bounds = [0, *places, len(data)]
    return [data[a:b] for a, b in itertools.pairwise(bounds)]


# The handshake


@pytest.mark.spec("WS-1")
def test_a_handshake_is_accepted_on_every_documented_path(server: Server) -> None:
    """WS-1: "A server MUST accept a WebSocket handshake as RFC 6455 describes it, on the path `/` and on
    every other path that its documentation names."
    """
    for path in (*server.documented.paths, "/?room=1&from=there"):
        raw = server.raw(handshake=False)
        raw.shake_hands(path)
        raw.sign(server.uid())


@pytest.mark.spec("WS-1")
@pytest.mark.parametrize(
    "headers",
    [
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "upgrade", "Upgrade": "WebSocket"},
        {"Sec_WebSocket_Key": "AAAAAAAAAAAAAAAAAAAAAA=="},
        {"Origin": "http://localhost", "Cookie": "a=b; c=d", "User_Agent": "x" * 300},
        {"Accept_Language": "de, en;q=0.5", "Pragma": "no-cache", "X_Empty": ""},
        {"Origin": "http://localhost", "Cookie": "; ".join(f"name{i}={'x' * 80}" for i in range(20))},
    ],
    ids=["keep-alive", "case-of-values", "key-of-zeros", "browser-headers", "empty-header", "cookies"],
)
def test_a_handshake_is_accepted_in_every_legal_form(server: Server, headers: dict[str, str | None]) -> None:
    """WS-1: "A server MUST accept a WebSocket handshake as RFC 6455 describes it, on the path `/` and on
    every other path that its documentation names."
    """
    raw = server.raw(handshake=False)
    raw.shake_hands("/", **headers)
    raw.sign(server.uid())


@pytest.mark.spec("WS-1")
def test_names_of_headers_may_be_in_any_case_and_values_in_white_space(server: Server) -> None:
    """WS-1: "A server MUST accept a WebSocket handshake as RFC 6455 describes it, on the path `/` and on
    every other path that its documentation names."
    """
    for change in (bytes.lower, bytes.upper):
        head, *lines = upgrade_request(server.address).split(b"\r\n")
        pairs = [line.partition(b":") for line in lines]
        request = b"\r\n".join([head, *(change(name) + colon + value for name, colon, value in pairs)])
        raw = server.raw(handshake=False)
        raw.shake_hands_with(request)
        raw.sign(server.uid())
    spaced = upgrade_request(server.address).replace(b": 13", b":   13  ").replace(b": Upgrade", b":Upgrade")
    raw = server.raw(handshake=False)
    raw.shake_hands_with(spaced)
    raw.sign(server.uid())


@pytest.mark.spec("WS-1")
def test_a_handshake_may_come_byte_by_byte(server: Server) -> None:
    """WS-1: "A server MUST accept a WebSocket handshake as RFC 6455 describes it, on the path `/` and on
    every other path that its documentation names."
    """
    request = upgrade_request(server.address)
    slow = server.raw(handshake=False)
    slow.send_bytewise(request)
    slow.expect_accepted(request)
    slow.sign(server.uid())


@pytest.mark.spec("WS-2", "WS-3")
def test_without_an_offer_nothing_is_selected(server: Server) -> None:
    """WS-2: "A server MUST accept a handshake that offers no subprotocol."

    WS-3: "A server MUST NOT select a subprotocol or an extension that the client did not offer."
    """
    raw = server.raw(handshake=False)
    response = raw.shake_hands()

    assert "sec-websocket-protocol" not in response.headers
    assert "sec-websocket-extensions" not in response.headers
    raw.sign(server.uid())


@pytest.mark.spec("WS-3")
@pytest.mark.parametrize(
    "offer", ["x-nobody-knows", "x-nobody-knows; level=9, x-nor-this", "permessage-deflate"]
)
def test_only_an_extension_that_was_offered_is_selected(server: Server, offer: str) -> None:
    """WS-3: "A server MUST NOT select a subprotocol or an extension that the client did not offer." """
    raw = server.raw(handshake=False)
    response = raw.shake_hands(Sec_WebSocket_Extensions=offer)

    selected = response.headers.get("sec-websocket-extensions", "")
    offered = {part.partition(";")[0].strip() for part in offer.split(",")}
    names = {part.partition(";")[0].strip() for part in selected.split(",") if part.strip()}
    assert names <= offered, f"offered {offer!r}, selected {selected!r}"
    if not names:  # what a selected extension does to frames is not known here
        raw.sign(server.uid())
    server.raw().sign(server.uid())


@pytest.mark.spec("WS-3")
def test_only_a_subprotocol_that_was_offered_is_selected(server: Server) -> None:
    """WS-3: "A server MUST NOT select a subprotocol or an extension that the client did not offer."

    Whether the server accepts the offer at all is WS-17's.
    """
    raw = server.raw(handshake=False)
    raw.send_raw(upgrade_request(server.address, Sec_WebSocket_Protocol="x-one, x-two"))
    response = raw.recv_response()
    if response is not None and response.status == 101:
        assert response.headers.get("sec-websocket-protocol", "x-one") in ("x-one", "x-two")
    server.raw().sign(server.uid())


@pytest.mark.spec("WS-17")
def test_an_offer_of_unknown_subprotocols_is_accepted_and_none_selected(server: Server) -> None:
    """WS-17: "A server SHOULD accept a handshake that offers only subprotocols which the server does not
    know, and select none of them."
    """
    raw = server.raw(handshake=False)
    response = raw.shake_hands(Sec_WebSocket_Protocol="x-nobody-knows, x-nor-this")

    assert "sec-websocket-protocol" not in response.headers
    raw.sign(server.uid())


@pytest.mark.spec("WS-4")
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_WebSocket_Version": version}
        for version in ("0", "7", "9", "12", "14", "18", "130", "113", "x", None)
    ]
    + [{"Sec_WebSocket_Key": None}],
    ids=str,
)
def test_a_wrong_version_or_no_key_is_not_upgraded(server: Server, headers: dict[str, str | None]) -> None:
    """WS-4: "A server MUST NOT upgrade a request whose `Sec-WebSocket-Version` is absent, or neither 13 nor
    8, or that has no `Sec-WebSocket-Key`; the answer is an HTTP status of 400 or above, or the end of the
    TCP connection."
    """
    raw = server.raw(handshake=False)
    raw.send_raw(upgrade_request(server.address, **headers))

    response = raw.recv_response()

    if response is not None and response.status < 400:
        raise Mismatch("an HTTP status of 400 or above, or the end of TCP", f"HTTP {response.status}")
    server.raw().sign(server.uid())  # the twin: the same request with the version and the key


# Frames

FRAGMENTS: dict[str, Callable[[bytes], list[bytes]]] = {
    "in two": lambda text: cut(text, 10),
    "in three": lambda text: cut(text, 5, 25),
    "each byte": lambda text: [text[i : i + 1] for i in range(len(text))],
    "in a character": lambda text: cut(text, text.index("é".encode()) + 1),
    "in each of an emoji's bytes": lambda text: cut(
        text, *(text.index("🙂".encode()) + i for i in (1, 2, 3))
    ),
    "in an escape": lambda text: cut(text, text.index(b"\\u0041") + 3),
    "first empty": lambda text: cut(text, 0),
    "middle empty": lambda text: cut(text, 10, 10, 10),
    "last empty": lambda text: cut(text, len(text)),
    "all but one empty": lambda text: cut(text, 0, 0, len(text), len(text)),
}


@pytest.mark.spec("WS-5")
@pytest.mark.parametrize("how", FRAGMENTS)
def test_a_fragmented_message_is_the_same_as_in_one_frame(server: Server, how: str) -> None:
    """WS-5: "A server MUST reassemble a fragmented message and treat it like the same message in one
    frame."
    """
    raw, bob = server.raw(), server.signed()
    raw.sign(server.uid())
    mark = fresh()
    text = f'{{"type":"msg","to":"{bob.uid}","body":"é 🙂 \\u0041 {mark}"}}'

    for fragments in ([text.encode()], FRAGMENTS[how](text.encode())):
        send_fragments(raw, TEXT, fragments)

        bob.expect_delivery(f"é 🙂 A {mark}", raw.uid)
        raw.expect_reply(1, msg="sended")
    bob.fence()


@pytest.mark.spec("WS-5")
def test_fragmented_messages_of_every_kind_are_answered_like_whole_ones(server: Server) -> None:
    """WS-5: "A server MUST reassemble a fragmented message and treat it like the same message in one
    frame."
    """
    illegal = [(TEXT, b'{"type":"hello"}'), (TEXT, b"")]
    if claims("ILLEGAL-2"):
        illegal.append((BINARY, b'{"type":"sign","uid":1}'))
    for opcode, payload in illegal:
        for fragments in ([payload], cut(payload, len(payload) // 2)):
            raw = server.raw()
            send_fragments(raw, opcode, fragments)
            raw.expect_illegal()
    legal, uid = server.raw(), server.uid()
    send_fragments(legal, TEXT, cut(dump({"type": "sign", "uid": uid}).encode(), 20))
    legal.expect_reply(1, msg="注册成功")


@pytest.mark.spec("WS-5")
def test_fragments_of_two_connections_do_not_mix(server: Server) -> None:
    """WS-5: "A server MUST reassemble a fragmented message and treat it like the same message in one
    frame."
    """
    one, other, bob = server.raw(), server.raw(), server.signed()
    bodies = [fresh(), fresh()]
    fragments = []
    for raw, body in zip((one, other), bodies, strict=True):
        raw.sign(server.uid())
        fragments.append(cut(dump({"type": "msg", "to": bob.uid, "body": body}).encode(), 9, 20))
    for i in range(3):
        for raw, pieces, body in zip((one, other), fragments, bodies, strict=True):
            raw.send_frame(TEXT if i == 0 else CONT, pieces[i], fin=i == 2)
            if i < 2:
                raw.ping(b"read up to here")  # so the next fragment of the other one is read after this one
            else:
                bob.expect_delivery(body, raw.uid)
                raw.expect_reply(1)


@pytest.mark.spec("WS-5")
def test_control_frames_between_fragments_change_nothing(server: Server) -> None:
    """WS-5: "A server MUST reassemble a fragmented message and treat it like the same message in one
    frame."

    Pings of more than 120 bytes are left to WS-13, which the original service does not satisfy.
    """
    raw, bob = server.raw(), server.signed()
    raw.sign(server.uid())
    for opcode in (PING, PONG):
        for payload in (b"", b"x", bytes(100)):
            body = fresh()
            first, *others = cut(dump({"type": "msg", "to": bob.uid, "body": body}).encode(), 9, 20)
            raw.send_frame(TEXT, first, fin=False)
            for i, fragment in enumerate(others):
                raw.send_frame(opcode, payload)
                raw.send_frame(CONT, fragment, fin=i == 1)
            bob.expect_delivery(body, raw.uid)
            raw.expect_reply(1)


@pytest.mark.spec("WS-5", "WS-7")
def test_a_message_of_65536_bytes_may_come_in_fragments(server: Server) -> None:
    """WS-5: "A server MUST reassemble a fragmented message and treat it like the same message in one
    frame."

    WS-7: "A server MUST accept messages of up to 65,536 bytes."
    """
    raw, bob = server.raw(), server.signed()
    raw.sign(server.uid())
    for size in (1021, 40000):
        text, body = msg_of_size(bob.uid or "", ACCEPTED_SIZE)
        data = text.encode()
        send_fragments(raw, TEXT, cut(data, *range(size, len(data), size)))
        bob.expect_delivery(body, raw.uid or "")
        raw.expect_reply(1)


@pytest.mark.spec("WS-7")
@pytest.mark.parametrize("size", [125, 126, 127, 128, 4095, 4096, 4097, 16384, 32768, 65535, 65536])
@pytest.mark.parametrize("filler", ["x", "号", "\U0001f642"])
def test_messages_of_every_size_up_to_65536_bytes_arrive(server: Server, size: int, filler: str) -> None:
    """WS-7: "A server MUST accept messages of up to 65,536 bytes." """
    alice, bob = server.signed(), server.signed()
    text, body = msg_of_size(bob.uid, size, filler)
    assert len(text.encode()) == size

    alice.send_text(text)

    bob.expect_delivery(body, alice.uid)
    alice.expect_reply(1, msg="sended")


@pytest.mark.spec("WS-7")
def test_65536_bytes_may_be_white_space_or_anything_else_but_body(server: Server) -> None:
    """WS-7: "A server MUST accept messages of up to 65,536 bytes." """
    alice, bob = server.signed(), server.signed()
    for template in ('{"type":"msg","to":"%s","body":1%s}', '%s{"type":"msg","to":"%s","body":1}'):
        filler_first = template.startswith("%s")
        size = ACCEPTED_SIZE - len(template) + 4 - len(bob.uid)
        filler = "\n" * size
        alice.send_text(template % ((filler, bob.uid) if filler_first else (bob.uid, filler)))
        bob.expect_delivery(1, alice.uid)
        alice.expect_reply(1)
    ignored = dump({"type": "msg", "to": bob.uid, "body": 2, "other": ""})
    alice.send_text(ignored[:-2] + "x" * (ACCEPTED_SIZE - len(ignored)) + '"}')
    bob.expect_delivery(2, alice.uid)
    alice.expect_reply(1)


@pytest.mark.spec("WS-7")
@pytest.mark.parametrize(
    "mask", [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", b"\x80\0\0\0"], ids=bytes.hex
)
def test_a_message_arrives_whatever_its_mask(server: Server, mask: bytes) -> None:
    """WS-7: "A server MUST accept messages of up to 65,536 bytes." """
    raw, bob = server.raw(), server.signed()
    raw.sign(server.uid())
    for size in (100, 1001, 65536):
        text, body = msg_of_size(bob.uid, size)
        raw.send_frame(TEXT, text.encode(), mask=mask)
        bob.expect_delivery(body, raw.uid)
        raw.expect_reply(1)


@pytest.mark.spec("WS-7")
def test_frames_may_be_split_and_joined_by_tcp_at_any_byte(server: Server) -> None:
    """WS-7: "A server MUST accept messages of up to 65,536 bytes." """
    raw, bob = server.raw(), server.signed()
    raw.sign(server.uid())
    bodies = [fresh() + "é号\U0001f642" for _ in range(3)]
    frames = [
        build_frame(TEXT, dump({"type": "msg", "to": bob.uid, "body": body}).encode()) for body in bodies
    ]
    stream = b"".join(frames)
    joined_and_split = [stream[i : i + 1] for i in range(len(stream))]
    for pieces in (joined_and_split, [stream], cut(stream, len(frames[0]) + 1, len(stream) - 1)):
        for piece in pieces:
            raw.send_raw(piece)
        for body in bodies:
            bob.expect_delivery(body, raw.uid)
            raw.expect_reply(1)
    for place in range(1, 15):  # a long frame, split at each byte of its header and just behind
        text, body = msg_of_size(bob.uid, 300)
        for piece in cut(build_frame(TEXT, text.encode()), place):
            raw.send_raw(piece)
        bob.expect_delivery(body, raw.uid)
        raw.expect_reply(1)


@pytest.mark.spec("WS-13")
@pytest.mark.parametrize(
    "payload", [b"", b"a", b"hello", bytes(125), bytes(range(125)), b"\xff\xfe\x80" * 41, b'{"type":"sign"}']
)
def test_a_ping_is_answered_with_its_payload(server: Server, payload: bytes) -> None:
    """WS-13: "A server MUST answer a ping with a pong that has the ping's payload, also when the ping
    stands between the fragments of a message."
    """
    raw = server.raw()
    raw.ping(payload)
    raw.sign(server.uid())
    raw.ping(payload)
    raw.fence()


@pytest.mark.spec("WS-13")
def test_pings_between_fragments_are_answered_and_change_nothing(server: Server) -> None:
    """WS-13: "A server MUST answer a ping with a pong that has the ping's payload, also when the ping
    stands between the fragments of a message."
    """
    raw, bob = server.raw(), server.signed()
    raw.sign(server.uid())
    body = fresh()
    fragments = cut(dump({"type": "msg", "to": bob.uid, "body": body}).encode(), 8, 20, 30)

    for i, fragment in enumerate(fragments):
        raw.ping(b"before %d" % i)
        raw.send_frame(TEXT if i == 0 else CONT, fragment, fin=i == 3)
        if i < 3:
            raw.ping(bytes(125))

    bob.expect_delivery(body, raw.uid)
    raw.expect_reply(1)
    bob.fence()


@pytest.mark.spec("WS-13")
def test_a_ping_between_fragments_in_one_segment_is_answered(server: Server) -> None:
    """WS-13: "A server MUST answer a ping with a pong that has the ping's payload, also when the ping
    stands between the fragments of a message."
    """
    raw, uid = server.raw(), server.uid()
    first, second = cut(dump({"type": "sign", "uid": uid}).encode(), 9)
    frames = build_frame(TEXT, first, fin=False) + build_frame(PING, b"between") + build_frame(CONT, second)

    raw.send_raw(frames)

    recv_reply_and_pong(raw, b"between")
    raw.uid = uid  # for the fragments were a sign
    raw.fence()


CLOSE_CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999]


def recv_answer(raw: RawClient, wanted: str) -> Frame | None:
    """The next message or close frame, for pings and pongs may come at any time; None at the end of TCP."""
    while (frame := raw.recv_whole(wanted)) is not None and frame.opcode in (PING, PONG):
        pass
    return frame


@pytest.mark.spec("WS-13")
@pytest.mark.parametrize("count", [2, 10])
def test_of_pings_in_one_write_the_newest_is_answered(server: Server, count: int) -> None:
    """WS-13: "A server MUST answer a ping with a pong that has the ping's payload, also when the ping stands
    between the fragments of a message."

    RFC 6455 lets a server pass over the others.
    """
    raw = server.raw()
    payloads = [b"together %d" % n for n in range(count)]

    raw.send_raw(b"".join(build_frame(PING, payload) for payload in payloads), f"{count} pings in one write")

    while (frame := raw.recv_whole("the pong to the newest ping")) is not None:
        assert frame.opcode in (PING, PONG), f"expected a pong, got {frame}"
        if frame.opcode == PONG:
            assert frame.payload in payloads, f"the payload of no ping: {frame}"
            if frame.payload == payloads[-1]:
                break
    assert frame is not None, "expected the pong to the newest ping, got the end of TCP"
    raw.sign(server.uid())


@pytest.mark.spec("WS-14")
@pytest.mark.parametrize("code", CLOSE_CODES)
@pytest.mark.parametrize("reason", [b"", b"bye", b"\xe5\x86\x8d\xe8\xa7\x81" * 20 + b"..."], ids=len)
def test_a_close_frame_is_answered_with_the_same_code(server: Server, code: int, reason: bytes) -> None:
    """WS-14: "A server MUST answer a close frame with a close frame that has
    the same status code, if there was one, and end the connection."
    """
    raw = server.raw()
    raw.sign(server.uid())

    raw.send_close(code, reason)

    raw.expect_closed(code)


@pytest.mark.spec("WS-14")
@pytest.mark.parametrize("asks", [False, True], ids=["at_once", "after_a_request"])
def test_a_close_frame_of_a_connection_that_is_not_signed_is_answered(server: Server, asks: bool) -> None:
    """WS-14: "A server MUST answer a close frame with a close frame that has
    the same status code, if there was one, and end the connection."
    """
    raw, twin = server.raw(), server.raw()
    if asks:
        raw.fence()

    raw.send_close(1000, b"never mind")

    raw.expect_closed(1000)
    twin.sign(server.uid())  # a server that says no more than this to anybody is none
    twin.fence()


@pytest.mark.spec("WS-14")
def test_a_close_frame_without_a_code_is_answered_and_ends_the_connection(server: Server) -> None:
    """WS-14: "A server MUST answer a close frame with a close frame that has
    the same status code, if there was one, and end the connection."

    A close frame without a code may be answered without one or with 1000, which means the same.
    """
    raw = server.raw()
    raw.sign(server.uid())

    raw.send_close(None)

    frame = recv_answer(raw, "a close frame")
    assert frame is not None
    assert frame.opcode == CLOSE
    assert frame.close_code in (None, 1000)
    raw.expect_end()


@pytest.mark.spec("WS-14")
@pytest.mark.parametrize(
    "payload", [b"\3", *(struct.pack("!H", code) for code in (0, 999, 1005, 1006, 1015, 65535))]
)
def test_a_close_frame_with_a_payload_that_breaks_rfc_6455_is_answered(
    server: Server, payload: bytes
) -> None:
    """WS-14: "A server MUST answer a close frame with a close frame that has
    the same status code, if there was one, and end the connection."

    RFC 6455 forbids these payloads, so the answer may have 1002 or 1007 instead of the same code, or
    none.
    """
    raw = server.raw()
    raw.sign(server.uid())

    raw.send_frame(CLOSE, payload)

    frame = recv_answer(raw, "a close frame")
    assert frame is not None, "expected a close frame, got the end of TCP"
    assert frame.opcode == CLOSE, f"expected a close frame, got {frame}"
    assert frame.close_code in (1002, 1007, None) or frame.payload[:2] == payload
    raw.expect_end()


@pytest.mark.spec("WS-14")
def test_a_close_frame_inside_a_fragmented_message_is_answered(server: Server) -> None:
    """WS-14: "A server MUST answer a close frame with a close frame that has
    the same status code, if there was one, and end the connection."
    """
    raw, bob = server.raw(), server.signed()
    raw.sign(server.uid())
    raw.send_frame(TEXT, dump({"type": "msg", "to": bob.uid, "body": 1}).encode(), fin=False)

    raw.send_close(1000)

    raw.expect_closed(1000)
    bob.fence()


NOT_UTF8 = {
    "a lone continuation byte": b"\x80",
    "the last continuation byte": b"\xbf",
    "a cut character": b"\xe5\x86",
    "a cut emoji": b"\xf0\x9f\x99",
    "an overlong slash": b"\xc0\xaf",
    "an overlong NUL": b"\xc0\x80",
    "overlong in three": b"\xe0\x9f\xbf",
    "overlong in four": b"\xf0\x8f\xbf\xbf",
    "a surrogate": b"\xed\xa0\x80",
    "a surrogate pair": b"\xed\xa0\xbd\xed\xb9\x82",
    "the last surrogate": b"\xed\xbf\xbf",
    "above U+10FFFF": b"\xf4\x90\x80\x80",
    "far above": b"\xf5\x80\x80\x80",
    "five bytes": b"\xf8\x88\x80\x80\x80",
    "FE": b"\xfe",
    "FF": b"\xff",
    "Latin-1": b"caf\xe9",
}


def msg_with(to: str, insert: bytes, where: str) -> bytes:
    """A msg with these bytes in its body, in a member to be ignored, in a name or behind the text."""
    body, other, name, behind = (insert if place == where else b"" for place in PLACES)
    text = b'{"x%b":1,"other":"a%b","type":"msg","to":"%b","body":"b%b"}%b'
    return text % (name, other, to.encode(), body, behind)


PLACES = ("body", "other", "name", "behind")


@pytest.mark.spec("WS-6")
@pytest.mark.parametrize("what", NOT_UTF8)
def test_a_text_that_is_not_utf8_closes_with_1007_and_reaches_nobody(server: Server, what: str) -> None:
    """WS-6: "A server MUST close with 1007 when a text message is not UTF-8, and process nothing of that
    message."
    """
    bob = server.signed()
    for place in PLACES:
        raw = server.raw()
        raw.sign(server.uid())
        raw.send_frame(TEXT, msg_with(bob.uid, b"" if place == "behind" else "é".encode(), place))
        bob.expect_delivery("bé" if place == "body" else "b", raw.uid)
        raw.expect_reply(1)

        raw.send_frame(TEXT, msg_with(bob.uid, NOT_UTF8[what], place))

        raw.expect_closed(1007)
    bob.fence()


@pytest.mark.spec("WS-6")
@pytest.mark.parametrize("places", [(60,), (60, 61), (61, 61, 62)])
def test_bytes_that_are_not_utf8_are_found_in_and_between_fragments(
    server: Server, places: tuple[int, ...]
) -> None:
    """WS-6: "A server MUST close with 1007 when a text message is not UTF-8, and process nothing of that
    message."
    """
    bob = server.signed()
    for insert, good in (("é🙂".encode(), True), (b"\xc3\x28\xf0\x9f\x99", False), (b"\xed\xa0\x80", False)):
        raw = server.raw()
        raw.sign(server.uid())
        text = msg_with(bob.uid, insert, "body")
        start = text.index(insert) - 60
        send_fragments(raw, TEXT, cut(text, *(start + place for place in places)))
        if good:
            bob.expect_delivery("bé🙂", raw.uid)
            raw.expect_reply(1)
        else:
            raw.expect_closed(1007)
    bob.fence()


@pytest.mark.spec("WS-6")
@pytest.mark.parametrize("size", [1030, 5000, 33000, ACCEPTED_SIZE])
@pytest.mark.parametrize("pieces", [1, 3])
def test_bytes_that_are_not_utf8_are_found_at_the_end_of_a_long_message(
    server: Server, size: int, pieces: int
) -> None:
    """WS-6: "A server MUST close with 1007 when a text message is not UTF-8, and process nothing of that
    message."
    """
    bob = server.signed()
    step = -(-size // pieces)
    for end in ("é".encode(), b"\xff\xff", b"\xc3\x28", b"\xed\xa0\x80", b"\xf0\x9f\x99"):
        raw = server.raw()
        raw.sign(server.uid())
        text, body = msg_of_size(bob.uid, size - len(end))
        data = text.encode()[:-2] + end + b'"}'
        assert len(data) == size
        send_fragments(raw, TEXT, cut(data, *range(step, size, step)))
        if end == "é".encode():
            bob.expect_delivery(body + "é", raw.uid)
            raw.expect_reply(1)
        else:
            raw.expect_closed(1007)
    bob.fence()


@pytest.mark.spec("WS-6")
def test_a_text_that_is_neither_utf8_nor_json_closes_with_1007(server: Server) -> None:
    """WS-6: "A server MUST close with 1007 when a text message is not UTF-8, and process nothing of that
    message."
    """
    for payload in (b"\xff", b"{\x80", b"hello \xc3", b'{"type":"hello","x":"\xe9"}'):
        raw = server.raw()
        raw.send_frame(TEXT, payload)
        raw.expect_closed(1007)
        twin = server.raw()
        twin.send_frame(TEXT, payload.decode("latin-1").encode())
        twin.expect_illegal()


@pytest.mark.spec("WS-6")
def test_the_first_and_last_characters_of_each_length_are_utf8(server: Server) -> None:
    """WS-6: "A server MUST close with 1007 when a text message is not UTF-8, and process nothing of that
    message."

    The other side of the clause: what is UTF-8 is not closed, noncharacters included.
    """
    alice, bob = server.signed(), server.signed()
    for body in (
        "\x7f\x80",
        "\u07ff\u0800",
        "\ud7ff\ue000",
        "\ufffe\uffff",
        "\U00010000\U0010ffff",
        "\ufeff",
    ):
        alice.msg(bob.uid, body)
        bob.expect_delivery(body, alice.uid)


def expect_served_or_1009(server: Server, bob: Conversation, size: int, filler: str, pieces: int) -> None:
    """A msg of so many bytes to bob, in so many fragments, has to be served if it is within the limit."""
    raw = server.raw()
    raw.sign(server.uid())
    text, body = msg_of_size(bob.uid, size, filler)
    step = -(-size // pieces)
    send_fragments(raw, TEXT, cut(text.encode(), *range(step, size, step)))
    if size <= server.documented.message_limit:
        bob.expect_delivery(body, raw.uid)
        raw.expect_reply(1)
    else:
        raw.expect_closed(1009)


@pytest.mark.spec("WS-8")
@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_a_message_over_the_documented_limit_closes_with_1009(server: Server, pieces: int) -> None:
    """WS-8: "A server MUST close with 1009 when a message is longer than its documented limit, and process
    nothing of that message."
    """
    bob = server.signed()
    limit = server.documented.message_limit
    for size in (limit, limit + 1, limit + 5000):
        expect_served_or_1009(server, bob, size, "x", pieces)
    bob.fence()


@pytest.mark.spec("WS-8")
@pytest.mark.parametrize("filler", ["号", "\U0001f642"])
def test_the_documented_limit_counts_bytes(server: Server, filler: str) -> None:
    """WS-8: "A server MUST close with 1009 when a message is longer than its documented limit, and process
    nothing of that message."
    """
    bob = server.signed()
    limit = server.documented.message_limit
    for size in (limit, limit + 1, limit + limit // 2):
        expect_served_or_1009(server, bob, size, filler, pieces=1)
    bob.fence()


@pytest.mark.spec("WS-8")
def test_the_documented_limit_counts_for_binary_messages_too(server: Server) -> None:
    """WS-8: "A server MUST close with 1009 when a message is longer than its documented limit, and process
    nothing of that message."
    """
    limit = server.documented.message_limit
    for pieces in (1, 3):
        for size in (limit, limit + 1):
            raw = server.raw()
            step = -(-size // pieces)
            send_fragments(raw, BINARY, cut(bytes(size), *range(step, size, step)))
            if size == limit and claims("ILLEGAL-2"):
                raw.expect_illegal()
            elif size > limit:
                raw.expect_closed(1009)


@pytest.mark.spec("WS-8")
@pytest.mark.parametrize("more", [2**32, 2**62], ids=["4_gib", "4_eib"])
def test_a_length_of_64_bits_is_not_cut(server: Server, more: int) -> None:
    """WS-8: "A server MUST close with 1009 when a message is longer than its documented limit, and process
    nothing of that message."

    The header says more than 4 GiB, of which only as much comes as a careless look at the length would want.
    A server may wait for the rest; it may not process what is there.
    """
    bob, raw = server.signed(), server.raw()
    raw.sign(server.uid())
    text, body = msg_of_size(bob.uid, 300)
    raw.send_text(text)
    bob.expect_delivery(body, raw.uid)
    raw.expect_reply(1)
    whole = build_frame(TEXT, text.encode(), length_bits=64)
    length = struct.pack("!Q", more + len(text.encode()))

    raw.send_raw(whole[:2] + length + whole[10:], f"a message of {more + len(text.encode())} bytes begins")

    talk(server.signed(), bob)
    raw.half_close()
    while (frame := raw.recv_frame("the end of TCP")) is not None:
        assert frame.opcode != TEXT, f"expected nothing but the end, got {frame}"
    bob.fence()


def expect_reply_and_pong(raw: RawClient) -> None:
    """Ping, and read its pong and one reply, in whichever order they come. Earlier pings may be answered or,
    as RFC 6455 allows, passed over."""
    raw.send_frame(PING, b"behind the twin")
    recv_reply_and_pong(raw, b"behind the twin")


def recv_reply_and_pong(raw: RawClient, payload: bytes) -> None:
    wanted = {(TEXT, None), (PONG, payload)}
    while wanted:
        frame = raw.recv_whole("a reply and a pong")
        assert frame is not None, "expected a reply and a pong, got the end of TCP"
        assert frame.opcode in (TEXT, PING, PONG), f"expected a reply and a pong, got {frame}"
        wanted.discard((frame.opcode, None if frame.opcode == TEXT else frame.payload))


def illegal_frames(bob: str) -> dict[str, tuple[bytes, bytes]]:
    """Frames that break RFC 6455, each with its legal twin; all would reach bob if they were served."""
    text = dump({"type": "msg", "to": bob, "body": "twin"}).encode()
    half, rest = text[:9], text[9:]
    legal = build_frame(TEXT, text)
    frames = {
        "text without a mask": (build_frame(TEXT, text, mask=None), legal),
        "ping without a mask": (build_frame(PING, mask=None) + legal, build_frame(PING) + legal),
        "pong without a mask": (build_frame(PONG, mask=None) + legal, build_frame(PONG) + legal),
        "close without a mask": (build_frame(CLOSE, b"\x03\xe8", mask=None) + legal, legal),
        "ping of 126 bytes": (build_frame(PING, bytes(126)) + legal, build_frame(PING, bytes(125)) + legal),
        "pong of 126 bytes": (build_frame(PONG, bytes(126)) + legal, build_frame(PONG, bytes(125)) + legal),
        "ping of 65536 bytes": (build_frame(PING, bytes(65536)) + legal, build_frame(PING, b"x") + legal),
        "close of 126 bytes": (build_frame(CLOSE, b"\x03\xe8" + b"x" * 124) + legal, legal),
        "fragmented ping": (build_frame(PING, b"x", fin=False) + legal, build_frame(PING, b"x") + legal),
        "fragmented pong": (build_frame(PONG, b"x", fin=False) + legal, build_frame(PONG, b"x") + legal),
        "fragmented close": (build_frame(CLOSE, b"\x03\xe8", fin=False) + legal, legal),
        "continuation of nothing": (build_frame(CONT, text), legal),
        "open continuation of nothing": (build_frame(CONT, text, fin=False), legal),
        "text in a text": (
            build_frame(TEXT, half, fin=False) + legal,
            build_frame(TEXT, half, fin=False) + build_frame(CONT, rest),
        ),
        "text in a text that begins empty": (
            build_frame(TEXT, fin=False) + legal,
            build_frame(TEXT, fin=False) + build_frame(CONT, text),
        ),
        "binary in a text": (
            build_frame(TEXT, half, fin=False) + build_frame(BINARY, rest),
            build_frame(TEXT, half, fin=False) + build_frame(CONT, rest),
        ),
        "rsv1 on a continuation": (
            build_frame(TEXT, half, fin=False) + build_frame(CONT, rest, rsv=4),
            build_frame(TEXT, half, fin=False) + build_frame(CONT, rest),
        ),
    }
    for bit, rsv in ((1, 4), (2, 2), (3, 1)):
        frames[f"rsv{bit} on a text"] = (build_frame(TEXT, text, rsv=rsv), legal)
        frames[f"rsv{bit} on a ping"] = (build_frame(PING, rsv=rsv) + legal, build_frame(PING) + legal)
    frames["all rsv bits"] = (build_frame(TEXT, text, rsv=7), legal)
    for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF):
        frames[f"opcode {opcode:#x}"] = (build_frame(opcode, text[:125]) + legal, legal)
        frames[f"empty opcode {opcode:#x}"] = (build_frame(opcode) + legal, legal)
    return frames


@pytest.mark.spec("WS-15")
@pytest.mark.parametrize("what", illegal_frames(""))
def test_a_frame_that_breaks_rfc_6455_closes_with_1002(server: Server, what: str) -> None:
    """WS-15: "A server MUST close with 1002 when a frame breaks RFC 6455: a frame without a mask, a
    reserved bit or opcode, a control frame that is fragmented or longer than 125 bytes, a continuation
    without a beginning, or a new message inside a fragmented one."
    """
    bob, raw = server.signed(), server.raw()
    raw.sign(server.uid())
    illegal, legal = illegal_frames(bob.uid)[what]

    raw.send_raw(legal, f"the legal twin of: {what}")
    bob.expect_delivery("twin", raw.uid)
    expect_reply_and_pong(raw)
    raw.send_raw(illegal, what)

    raw.expect_closed(1002)
    bob.fence()


@pytest.mark.spec("WS-15")
def test_a_continuation_behind_a_whole_message_closes_with_1002(server: Server) -> None:
    """WS-15: "A server MUST close with 1002 when a frame breaks RFC 6455: a frame without a mask, a
    reserved bit or opcode, a control frame that is fragmented or longer than 125 bytes, a continuation
    without a beginning, or a new message inside a fragmented one."
    """
    raw = server.raw()
    send_fragments(raw, TEXT, cut(dump({"type": "sign", "uid": server.uid()}).encode(), 5))
    raw.expect_reply(1)

    raw.send_frame(CONT, b"{}")

    raw.expect_closed(1002)


# What the server sends of its own


SOME_BODIES: list[object] = [None, 0, "", [], {}, "\0\x1f\x7f\u2028\ufffe\U0001f642", '"\\/', "x" * 60000]


@pytest.mark.spec("WS-16")
def test_every_message_of_the_server_is_a_text_that_is_a_json_object(server: Server) -> None:
    """WS-16: "Every message that a server sends MUST be a text message that is one JSON object in UTF-8."

    RawClient.recv() refuses binary messages, bytes that are not UTF-8, and what is not one JSON object.
    """
    raw, uid = server.raw(), server.uid()
    for refused in ({"type": "msg"}, {"type": "sign"}, {"type": "sign", "uid": uid, "cid": 1}):
        raw.send(**refused)
        raw.recv()
    raw.sign(uid)
    for body in SOME_BODIES:
        raw.send(type="msg", to=uid, body=body)
        assert "from" in raw.recv()
        raw.expect_reply(1)
    odd = 'ü🙂"\\\u2028' + fresh()
    raw.sign(odd)
    raw.fence()
    raw.send(type="sign", uid=uid, cid=odd, **from_now_on())
    raw.expect_reply(1, **echoed(odd))
    raw.send(type="hello")
    raw.expect_illegal()


@pytest.mark.spec("WS-11")
@pytest.mark.waits
def test_a_connection_that_asks_for_nothing_gets_nothing(server: Server) -> None:
    """WS-11: "A server MUST NOT send anything but pings to a connection that has asked for nothing and is
    not signed: no greeting, and no message before its first request."
    """
    silent, later = server.raw(), server.raw()
    alice, bob = server.signed(), server.signed()
    deliver_to_all(alice, bob.uid, bob)
    bob.close()
    alice.send(type="hello")
    alice.expect_reply(0, "illegal")
    until = deadline(1)
    alice, bob = server.signed(), server.signed()
    while time.monotonic() < until:  # others talk for a while: a greeting may come late
        talk(alice, bob)

    silent.ping(b"fence")  # its pong has to be the first thing that comes, but for pings
    silent.fence()  # and the answer to its first request the next
    later.sign(server.uid())
    later.fence()


@pytest.mark.spec("WS-9")
@pytest.mark.needs("start")
@pytest.mark.limit(30)
def test_a_server_that_is_stopped_closes_with_1001(server: Server) -> None:
    """WS-9: "A server that is stopped in an orderly way MUST close its connections with 1001." """
    signed, stranger, busy = server.signed(), server.connect(), server.signed()
    devices = [busy, *(server.signed(busy.uid) for _ in range(5))]
    clients = [signed, stranger, *devices, *(server.signed() for _ in range(35))]
    stranger.fence()
    deliver_to_all(signed, busy.uid, *devices)
    in_a_message = server.raw()
    in_a_message.send_frame(TEXT, b'{"type":', fin=False)
    in_a_message.ping()

    server.stop()

    for client in (in_a_message, *clients):
        client.expect_closed(1001)
    server.start()
    server.signed().fence()


@pytest.mark.spec("WS-10")
@pytest.mark.waits
def test_a_peer_that_does_not_answer_pings_is_dropped(server: Server) -> None:
    """WS-10: "A server MUST drop a connection whose peer does not answer pings for a documented time; the
    reference server pings after 25 s in which it heard nothing, and waits another 10 s."
    """
    wait = server.documented.ping_wait
    if wait is None:
        untested("needs --ping-wait, the documented time")
    server.allow(wait + 15)
    dead, alive = server.raw(), server.signed()
    dead.sign(server.uid())
    fragment, silent = server.raw(), server.raw()
    fragment.send_frame(TEXT, b'{"type":', fin=False)

    until = deadline(wait + 2)
    for raw in (dead, fragment, silent):
        while (frame := raw.recv_frame("that the connection is dropped", until)) is not None:
            if frame.opcode == CLOSE:  # a server may try the closing handshake first, in vain
                raw.expect_end()
                break

    alive.fence()


# A peer that does not read

# Several times what the kernels hold for a connection that is not read.
FLOOD_MESSAGES, FLOOD_SIZE = 256, 60000
DELAY_SECONDS = 5.0


@contextlib.contextmanager
def not_delayed(server: Server) -> Iterator[None]:
    """What is said meanwhile arrives in time, and before the server could have dropped the peer that does not
    read for not answering pings either: a delay that ends only with that is a delay."""
    wait = server.documented.ping_wait
    limit = scaled(DELAY_SECONDS if wait is None else min(DELAY_SECONDS, wait / 2))
    begin = time.monotonic()
    yield
    took = time.monotonic() - begin
    if took > limit:
        raise Mismatch(f"that others are not delayed (by {limit:g} s)", f"they were, by {took:.1f} s")


@pytest.mark.spec("WS-12")
@pytest.mark.limit(30)
def test_a_device_that_does_not_read_delays_and_loses_nothing_of_others(server: Server) -> None:
    """WS-12: "A peer that reads slowly or not at all MUST NOT delay or lose what other connections send
    and receive; a server may close such a connection once more than a documented amount waits for it."
    """
    slow, uid = server.raw(receive_buffer=4096), server.uid()
    slow.sign(uid)
    healthy, flooder = server.signed(uid), server.signed()
    alice, bob = server.signed(), server.signed()
    filler = "x" * FLOOD_SIZE

    for i in range(FLOOD_MESSAGES):
        slow.send_frame(PONG)  # so that it is not dropped for pings that it has not read
        with not_delayed(server):
            flooder.msg(uid, [i, filler])
            healthy.expect_delivery([i, filler], flooder.uid)
            if i % 16 == 0:
                talk(alice, bob)

    got = 0
    while (frame := recv_answer(slow, "what was sent")) is not None and frame.opcode == TEXT:
        in_order = re.search(rb"\[\s*%d\s*," % got, frame.payload)
        assert in_order, f"delivery {got} is missing"
        got += 1
        if got == FLOOD_MESSAGES:
            break
    talk(alice, bob)


@pytest.mark.spec("WS-12")
@pytest.mark.limit(30)
def test_a_client_that_does_not_read_its_replies_delays_nothing_of_others(server: Server) -> None:
    """WS-12: "A peer that reads slowly or not at all MUST NOT delay or lose what other connections send
    and receive; a server may close such a connection once more than a documented amount waits for it."
    """
    slow = server.raw(receive_buffer=4096)
    alice, bob = server.signed(), server.signed()
    request = build_frame(TEXT, dump({"type": "sign", "uid": server.uid(), "cid": "x" * 64}).encode())

    for _ in range(20):
        slow.send_what_fits(request * 1000)
        with not_delayed(server):
            talk(alice, bob)


@pytest.mark.spec("WS-12")
def test_a_peer_that_stops_in_a_frame_delays_nothing_of_others(server: Server) -> None:
    """WS-12: "A peer that reads slowly or not at all MUST NOT delay or lose what other connections send
    and receive; a server may close such a connection once more than a documented amount waits for it."
    """
    alice, bob = server.signed(), server.signed()
    unfinished = [
        b"\x81",
        b"\x81\xfe\xff",
        b"\x81\xfe\x10\0abcd{",
        *(b"\x81\xff" + struct.pack("!Q", size) + b"abcd{" for size in (65536, 2**31, 2**40, 2**62)),
    ]
    for piece in unfinished:
        server.raw().send_raw(piece)
        talk(alice, bob)
    server.raw(handshake=False).send_raw(b"GET / HTTP/1.1\r\nHost: ")
    talk(alice, bob)


# Limits

LIMIT_TRIED_MAX = 1000  # connections; whoever allows more is not asked
REFUSED = (503, 429)


@pytest.mark.spec("WS-18")
@pytest.mark.limit(30)
def test_a_handshake_above_the_limit_of_connections_is_refused_with_503_or_429(server: Server) -> None:
    """WS-18: "A server that refuses a handshake because a documented limit of connections is reached SHOULD
    answer it with HTTP status 503, or with 429 if the limit is one for the client's address."
    """
    limit = server.documented.connections_limit
    if limit is None or limit > LIMIT_TRIED_MAX:
        untested(f"--connections-limit says of no limit up to {LIMIT_TRIED_MAX}")
    crowd = [server.raw() for _ in range(limit)]
    raw = server.raw(handshake=False)
    raw.send_raw(upgrade_request(server.address))

    response = raw.recv_response()

    if response is None or response.status not in REFUSED:
        got = "the end of TCP" if response is None else f"HTTP {response.status}"
        raise Mismatch("HTTP 503 or 429", got)
    for one in crowd:
        one.abort()
    has_room = eventually(lambda: are_upgraded(server, min(limit, 5)), within=5.0)
    assert has_room, "there is no room when the connections have ended"


def are_upgraded(server: Server, n: int) -> bool:
    """Are so many new connections, at the same time?"""
    raws = [server.raw(handshake=False) for _ in range(n)]
    for raw in raws:
        raw.send_raw(upgrade_request(server.address))
    responses = [raw.recv_response() for raw in raws]
    for raw in raws:
        raw.abort()
    return all(response is not None and response.status == 101 for response in responses)


TEXT_BEGUN = b'{"type":"msg",'
UNFINISHED = {  # what begins a message, and what goes on dribbling in
    "half-a-message": (build_frame(TEXT, TEXT_BEGUN, fin=False), b""),
    "header-only": (b"\x81\xfe\x10\0", b""),
    "no-payload": (b"\x81\xfe\x10\0abcd", b""),
    "empty-fragments": (build_frame(TEXT, fin=False), build_frame(CONT, fin=False)),
    "pings-between": (build_frame(TEXT, TEXT_BEGUN, fin=False), build_frame(PING, b"p")),
    "byte-by-byte": (b"\x81\xfe\x10\0\0\0\0\0{", b" "),
}


@pytest.mark.spec("WS-20")
@pytest.mark.waits
@pytest.mark.parametrize("kind", UNFINISHED)
def test_a_message_that_does_not_end_in_time_is_refused_with_1008(server: Server, kind: str) -> None:
    """WS-20: "A server that limits the time in which a message has to end MUST close with 1008 when it has
    not ended for that documented time, and process nothing of it. A message begins with the first byte
    of its first frame."
    """
    wait = server.documented.message_wait
    if wait is None:
        untested("needs --message-wait, the documented time")
    server.allow(2 * wait + 15)
    begun, more = UNFINISHED[kind]
    holder = server.raw()
    holder.sign(server.uid())
    holder.send_raw(begun, f"a message that does not end: {kind}")

    until = deadline(wait + 2)
    while more and time.monotonic() < until:
        time.sleep(wait / 5)
        holder.send_raw(more)
    frame = holder.recv_frame("that the connection is closed", until)
    while frame is not None and frame.opcode in (PING, PONG):
        if frame.opcode == PING:
            holder.send_frame(PONG, frame.payload)
        frame = holder.recv_frame("that the connection is closed", until)
    if frame is None or frame.opcode != CLOSE or frame.close_code != 1008:
        raise Mismatch("a close frame with 1008", "the end of TCP" if frame is None else str(frame))


@pytest.mark.spec("WS-20")
@pytest.mark.waits
def test_only_a_message_that_ends_in_time_is_processed(server: Server) -> None:
    """WS-20: "A server that limits the time in which a message has to end MUST close with 1008 when it has
    not ended for that documented time, and process nothing of it. A message begins with the first byte
    of its first frame."
    """
    wait = server.documented.message_wait
    if wait is None:
        untested("needs --message-wait, the documented time")
    server.allow(wait + 15)
    late, in_time, bob = server.raw(), server.raw(), server.signed()
    late.sign(server.uid())
    uid = server.uid()
    in_time.sign(uid)
    first, rest = cut(dump({"type": "msg", "to": bob.uid, "body": "late"}).encode(), 20)
    late.send_frame(TEXT, first, fin=False)
    for number in range(3):  # each message has a time of its own
        begin, end = cut(dump({"type": "msg", "to": bob.uid, "body": number}).encode(), 20)
        in_time.send_frame(TEXT, begin, fin=False)
        time.sleep(wait / 2)
        in_time.send_frame(CONT, end)
        in_time.expect_reply(1)
        bob.expect_delivery(number, uid)
    time.sleep(wait / 2)
    late.send_frame(CONT, rest)
    bob.fence()


MANY_REQUESTS = 500


@pytest.mark.spec("WS-19")
@pytest.mark.limit(60)
def test_many_requests_at_once_are_all_answered_or_close_with_1008(server: Server) -> None:
    """WS-19: "A server that limits how many requests a connection makes in a time MUST read it more slowly
    and answer every request as ever, or close it with 1008."
    """
    raw, uid, bob = server.raw(), server.uid(), server.signed()
    raw.sign(uid)
    texts = [dump({"type": "msg", "to": bob.uid, "body": number}) for number in range(MANY_REQUESTS)]
    raw.send_raw(b"".join(build_frame(TEXT, text.encode()) for text in texts), f"{MANY_REQUESTS} msgs")

    for number in range(MANY_REQUESTS):
        frame = recv_answer(raw, f"the reply to msg {number}")
        if frame is None or (frame.opcode == CLOSE and frame.close_code != 1008):
            raise Mismatch(f"the reply to msg {number}, or close 1008", str(frame or "the end of TCP"))
        if frame.opcode == CLOSE:
            return
        if read_object(frame.payload.decode(errors="replace")).get("status") != 1:
            raise Mismatch(f"the reply to msg {number} with status 1", str(frame))
        bob.expect_delivery(number, uid)
