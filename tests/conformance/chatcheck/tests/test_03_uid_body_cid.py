"""SPEC 3.2 to 3.4: which values are uids, bodies and cids, and what becomes of them."""

from __future__ import annotations

import json
import random
import secrets
from typing import Any

import pytest

from chatcheck.claims import claims, echoed, refuses
from chatcheck.conversation import Conversation, dump, same_json
from chatcheck.raw_client import BINARY
from chatcheck.target import Server
from chatcheck.tests.bodies import BIG, BODIES, EXACT, expect_exactly
from chatcheck.tests.helpers import fresh
from chatcheck.verdict import Mismatch, not_applicable

N_OTHERS_MAX = 50


def await_delivery(client: Conversation, body: str, sender: str) -> None:
    """Read until this delivery. For uids that other runs against the same server may be using now: what those
    send is passed over."""
    for _ in range(N_OTHERS_MAX):
        message = client.recv()
        if message.get("body") == body:
            assert same_json(message.get("from"), sender), f"expected it from {sender!r}: {message}"
            return
    raise Mismatch(f"a delivery of {body!r}", f"{N_OTHERS_MAX} other messages")


def await_reply(client: Conversation) -> dict[str, Any]:
    """Read until the next reply, which must have status 1."""
    for _ in range(N_OTHERS_MAX):
        message = client.recv()
        if "from" not in message:
            assert message.get("status") == 1, f"expected status 1: {message}"
            return message
    raise Mismatch("a reply", f"{N_OTHERS_MAX} deliveries")


def talk_to(server: Server, literal: str, uid: str) -> None:
    """The uid that 'literal' stands for signs, receives, and sends."""
    alice, odd = server.signed(), server.connect()
    to_odd, from_odd = fresh(), fresh()

    odd.send_text(f'{{"type":"sign","uid":{literal}}}')
    odd.expect_reply(1, msg="注册成功")
    alice.send_text(f'{{"type":"msg","to":{literal},"body":"{to_odd}"}}')
    alice.expect_reply(1, msg="sended")
    await_delivery(odd, to_odd, alice.uid or "")

    odd.send(type="msg", to=alice.uid, body=from_odd)
    alice.expect_delivery(from_odd, uid)
    await_reply(odd)


# uid

UIDS = [
    "", " ", "  ", "a b", '"', "\\", "/", "'", "\x80", "\x9f", "\xa0", "\xad", "é", "e\u0301",
    "号码", "\u200b", "\u2028", "\u2029", "\ufeff", "\ufffe", "\uffff", "\ud7ff",
    "\ue000", "\U00010000", "\U0001f642", "\U0010ffff", "*", "?", "[a-z]", "{}", "%00", "%s%n", "$x", "../..",
    ":", "chat_map_uid_fd:", "__proto__",
    "null", "true", "<b>", "'; DROP", "\u202e", "~",
]  # fmt: skip


@pytest.mark.spec("UID-1")
@pytest.mark.parametrize("part", UIDS, ids=ascii)
def test_a_uid_may_have_any_characters_but_controls(server: Server, part: str) -> None:
    """UID-1: "A server MUST accept as a uid every string of 1 to 128 bytes of UTF-8 without the control
    characters U+0000 to U+001F and U+007F; `"0"` is as good as any."
    """
    unique = fresh()
    for uid in (part + unique, unique + part, unique[:8] + part + unique[8:]):
        talk_to(server, dump(uid), uid)
        talk_to(server, json.dumps(uid), uid)


@pytest.mark.spec("UID-1")
@pytest.mark.parametrize("end", ["x", "é", "号", "\U0001f642"], ids=["1", "2", "3", "4"])
def test_a_uid_may_have_128_bytes(server: Server, end: str) -> None:
    """UID-1: "A server MUST accept as a uid every string of 1 to 128 bytes of UTF-8 without the control
    characters U+0000 to U+001F and U+007F; `"0"` is as good as any."
    """
    for size in (64, 127, 128):
        start = fresh()
        n_ends, rest = divmod(size - len(start), len(end.encode()))
        uid = start + "." * rest + end * n_ends
        assert len(uid.encode()) == size
        talk_to(server, dump(uid), uid)
        talk_to(server, '"' + "".join(f"\\u{u:04x}" for u in utf16(uid)) + '"', uid)


def utf16(text: str) -> list[int]:
    """The code units of a text in UTF-16."""
    data = text.encode("utf-16-be")
    return [int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2)]


@pytest.mark.spec("UID-1")
@pytest.mark.parametrize(
    "uid", ["0", "1", "z", " ", "-", "00", "-0", "0.0", "1e3", "false", "null", "[]", "{}", "Array"]
)
def test_a_uid_may_be_short_or_look_like_something_else(server: Server, uid: str) -> None:
    """UID-1: "A server MUST accept as a uid every string of 1 to 128 bytes of UTF-8 without the control
    characters U+0000 to U+001F and U+007F; `"0"` is as good as any."
    """
    talk_to(server, dump(uid), uid)


@pytest.mark.spec("UID-2")
@pytest.mark.parametrize(
    "literal",
    [
        "0",
        "-0",
        "1",
        "-1",
        "10",
        "2147483648",
        "-2147483649",
        "4294967296",
        str(BIG),
        str(-BIG),
        str(BIG - 1),
    ],
)
def test_an_integer_is_the_uid_of_its_digits(server: Server, literal: str) -> None:
    """UID-2: "A server MUST accept as a uid an integer from −(2^53−1) to 2^53−1, written without fraction
    and exponent, and take it for the string of its digits: `1001` is the uid `"1001"`, and `-0` is
    `"0"`."
    """
    uid = "0" if literal == "-0" else literal
    if claims("UID-1") or uid != "0":
        talk_to(server, literal, uid)
    by_number, by_string, alice = server.connect(), server.connect(), server.signed()
    by_number.send_text(f'{{"type":"sign","uid":{literal}}}')
    by_number.expect_reply(1)
    by_string.send_text(f'{{"type":"sign","uid":"{uid}"}}')
    by_string.expect_reply(1)
    for to in (literal, f'"{uid}"'):
        body = fresh()
        alice.send_text(f'{{"type":"msg","to":{to},"body":"{body}"}}')
        alice.expect_reply(1)
        await_delivery(by_number, body, alice.uid or "")
        await_delivery(by_string, body, alice.uid or "")


NOT_UIDS = [
    '""', f'"{"x" * 129}"', f'"{"x" * 127}é"', f'"{"号" * 43}"', f'"{"x" * 125}\U0001f642"', f'"{"é" * 128}"',
    f'"{"x" * 60000}"', *(f'"a\\u{code:04x}b"' for code in (*range(0x20), 0x7F)), '"\\u0000"', '"a\\u0000"',
    '"\\u0000a"', '"a\\n"', '"\x7f"', "1.0", "1001.0", "1.5", "-0.0", "0.0", "1e3", "1E3", "1e0", "1e+3",
    "10e-1", "0e0", "-0e0", str(BIG + 1), str(-BIG - 1), str(BIG + 2), "9223372036854775807",
    "9223372036854775808", "-9223372036854775809", "18446744073709551616", "18446744073709552617",
    "1" + "0" * 30, "1" * 400, "1e400", "1e-400", "true", "false", "null", "[]", "[1]", '["a"]', "[[]]", "{}",
    '{"uid":"a"}', '{"":1}',
]  # fmt: skip


@pytest.mark.spec("UID-3")
@pytest.mark.parametrize("literal", NOT_UIDS, ids=lambda literal: ascii(literal)[:40])
def test_every_other_value_is_an_invalid_uid(server: Server, literal: str) -> None:
    """UID-3: "A server MUST treat every other value as an invalid parameter: the empty string, a longer
    one, one with a control character, a number with a fraction or an exponent or out of range, `true`,
    `false`, `null`, arrays and objects."
    """
    client = server.connect()
    client.send_text(f'{{"type":"sign","uid":{literal}}}')
    client.expect_reply(0, "invalid_uid")
    client.fence()  # still not signed
    client.sign(server.uid())
    client.send_text(f'{{"type":"sign","uid":{literal}}}')
    client.expect_reply(0, "invalid_uid")
    client.send_text(f'{{"type":"msg","to":{literal},"body":1}}')
    client.expect_reply(0, "invalid_to")
    client.fence()  # still signed as before


@pytest.mark.spec("UID-3")
def test_an_invalid_uid_is_not_the_user_of_its_string(server: Server) -> None:
    """UID-3: "A server MUST treat every other value as an invalid parameter: the empty string, a longer
    one, one with a control character, a number with a fraction or an exponent or out of range, `true`,
    `false`, `null`, arrays and objects."
    """
    alice = server.signed()
    for literal, uid in (
        ("true", "1"),
        ("[]", "Array"),
        ("1.0", "1"),
        ("1e3", "1000"),
        ("null", "null"),
        ("{}", "{}"),
    ):
        odd, body = server.signed(uid), fresh()
        alice.send_text(f'{{"type":"msg","to":{literal},"body":"wrong"}}')
        alice.expect_reply(0, "invalid_to")
        alice.msg(uid, body)
        message = odd.recv()
        while message.get("from") != alice.uid:  # another run may use the same uid
            message = odd.recv()
        assert message["body"] == body


DIFFERENT = [
    ("a", "A"), ("é", "É"), ("é", "e\u0301"), ("\u00c5", "\u212b"), ("ﬁ", "fi"), ("a", "\uff41"), ("ß", "ss"),
    ("i", "\u0131"), ("", " "), ("a", "a "), ("a", " a"), ("a", "\xa0a"), ("a", "a\u200b"), ("a", "\ufeffa"),
    ("a", "ab"), ("ab", "a"), ("1", "01"), ("1", "1.0"), ("1", "+1"), ("1", "１"), ("-0", "0"),
    ("a/b", "a//b"), ("a", "a:"), ("*", "a"), ("a%20b", "a b"), ("\U0001f642", "\U0001f643"), ("ς", "σ"),
    ("\uffff", "\U00010000"), ("é", "e"), ("я", "Я"), ("ё", "е"), ("a", "a."), ("a", "a/"), ("a", "a\xad"),
    ("a", "a\u200d"), ("a", "a\ufe0f"), ("\uf642", "\U0001f642"), ("a", "\u0430"), ("あ", "ア"),
]  # fmt: skip


@pytest.mark.spec("UID-4")
@pytest.mark.parametrize(("one", "other"), DIFFERENT, ids=ascii)
def test_uids_that_only_look_alike_are_different(server: Server, one: str, other: str) -> None:
    """UID-4: "Uids MUST be compared byte for byte, after escapes are decoded: not trimmed, not folded, not
    normalised."
    """
    for template in ("@#", "#@"):
        first_uid, other_uid = (template.replace("@", part) for part in (one, other))
        unique = fresh()
        first, second = (server.signed(uid.replace("#", unique)) for uid in (first_uid, other_uid))
        alice = server.signed()
        for receiver, stranger in ((first, second), (second, first)):
            body = fresh()
            alice.msg(receiver.uid or "", body)
            receiver.expect_delivery(body, alice.uid or "")
            stranger.fence()


@pytest.mark.spec("UID-4")
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("#", "0#"),
        ("#", "+#"),
        ("#", "#.0"),
        ("#", "#."),
        ("#", "#e0"),
        ("#", " #"),
        ("#", "#\xa0"),
        ("#", "-#"),
        ("9#9007199254740992", "9#9007199254740993"),
        ("1#e3", "1#000"),
        ("0x#", "0X#"),
    ],
)
def test_strings_of_digits_are_not_compared_as_numbers(server: Server, one: str, other: str) -> None:
    """UID-4: "Uids MUST be compared byte for byte, after escapes are decoded: not trimmed, not folded, not
    normalised."
    """
    alice, number = server.signed(), str(secrets.randbelow(9 * 10**11) + 10**11)
    first, second = (server.signed(uid.replace("#", number)) for uid in (one, other))
    for receiver, stranger in ((first, second), (second, first)):
        body = fresh()
        alice.msg(receiver.uid, body)
        receiver.expect_delivery(body, alice.uid)
        stranger.fence()


@pytest.mark.spec("UID-4")
def test_a_uid_that_is_the_beginning_of_another_is_different(server: Server) -> None:
    """UID-4: "Uids MUST be compared byte for byte, after escapes are decoded: not trimmed, not folded, not
    normalised."
    """
    long = fresh() + "x" * 112
    sizes = (1 + 16, 63 + 1, 127, 128)
    devices, alice = [server.signed(long[:size]) for size in sizes], server.signed()
    for device in devices:
        body = fresh()
        alice.msg(device.uid or "", body)
        device.expect_delivery(body, alice.uid or "")
        for other in devices:
            other.fence()


@pytest.mark.spec("UID-4")
def test_a_uid_is_the_same_however_it_is_escaped(server: Server) -> None:
    """UID-4: "Uids MUST be compared byte for byte, after escapes are decoded: not trimmed, not folded, not
    normalised."
    """
    uid = fresh() + "/é\U0001f642"
    escaped = uid.replace("/", "\\/").replace("é", "\\u00E9").replace("\U0001f642", "\\uD83D\\ude42")
    plain, odd, alice = server.signed(uid), server.connect(), server.signed()
    odd.send_text(f'{{"type":"sign","uid":"{escaped}"}}')
    odd.expect_reply(1)
    for to in (dump(uid), f'"{escaped}"', json.dumps(uid)):
        alice.send_text(f'{{"type":"msg","to":{to},"body":1}}')
        alice.expect_reply(1)
        plain.expect_delivery(1, alice.uid or "")
        odd.expect_delivery(1, alice.uid or "")


@pytest.mark.spec("UID-5")
def test_from_is_a_string_also_for_a_number(server: Server) -> None:
    """UID-5: "In the member `from` of a delivery a uid MUST be a string." """
    bob = server.signed()
    for literal in (str(2**52 + secrets.randbits(52)), str(-(2**52) - secrets.randbits(52))):
        for written in (literal, f'"{literal}"'):
            alice = server.connect()
            alice.send_text(f'{{"type":"sign","uid":{written}}}')
            alice.expect_reply(1)
            alice.send(type="msg", to=bob.uid, body=0)
            delivery = bob.expect_delivery(0, literal)
            alice.expect_reply(1)
            assert isinstance(delivery["from"], str), f"from is {delivery['from']!r}"


# body


@pytest.mark.spec("BODY-1")
@pytest.mark.parametrize("literal", BODIES, ids=lambda literal: ascii(literal)[:40])
def test_a_body_arrives_as_the_same_value(server: Server, literal: str) -> None:
    r"""BODY-1: "A body MUST arrive as the same value, for every value of I-JSON (RFC 7493): numbers equal
    as binary64, strings code point for code point with `\u0000` and characters beyond U+FFFF, `{}` and
    `[]` as they were, with nothing added or dropped at any level."
    """
    alice, bob = server.signed(), server.signed()
    for body in (literal, f"[{literal}]", f'{{"a":{literal},"b":0}}'):
        alice.send_text(f'{{"type":"msg","to":"{bob.uid}","body":{body}}}')
        bob.expect_delivery(json.loads(body), alice.uid or "")
        alice.expect_reply(1)


@pytest.mark.spec("BODY-1")
@pytest.mark.parametrize("size", [127, 128, 255, 256, 257, 1023, 1024, 1025, 4096, 8191, 16384, 32767, 60000])
def test_a_long_body_arrives_as_the_same_value(server: Server, size: int) -> None:
    r"""BODY-1: "A body MUST arrive as the same value, for every value of I-JSON (RFC 7493): numbers equal
    as binary64, strings code point for code point with `\u0000` and characters beyond U+FFFF, `{}` and
    `[]` as they were, with nothing added or dropped at any level."
    """
    alice, bob = server.signed(), server.signed()
    digits = "".join(str(i % 10) for i in range(size))
    bodies: list[Any] = [
        digits,
        "号" * (size // 3),
        {digits: 1},
        [0] * (size // 2),
        ["é\0"] * (size // 12),
        '"' * (size // 2),
        "\r\n\t\0\\/\b\f\u2028" * (size // 30),
        ("é\U0001f642\n" * (size // 8))[: size // 6],
        {"\r\n\\": "\r\n" * (size // 8)},
    ]
    for body in [*bodies, {str(i): i for i in range(size // 16)}]:
        alice.send(type="msg", to=bob.uid, body=body)
        bob.expect_delivery(body, alice.uid or "")
        alice.expect_reply(1)


def random_value(chance: random.Random, depth: int = 5) -> Any:
    """A value of I-JSON."""
    kinds = ["string", "integer", "number", "word"] + ["array", "object"] * (2 if depth else 0)
    kind = chance.choice(kinds)
    if kind == "string":
        return random_string(chance)
    if kind == "integer":
        return chance.randint(-BIG, BIG) >> chance.randint(0, 53)
    if kind == "number":
        return chance.choice((-1, 1)) * chance.random() * 10.0 ** chance.randint(-300, 300)
    if kind == "word":
        return chance.choice((None, True, False))
    size = chance.choice((0, 1, 2, 5))
    if kind == "array":
        return [random_value(chance, depth - 1) for _ in range(size)]
    return {random_string(chance): random_value(chance, depth - 1) for _ in range(size)}


def random_string(chance: random.Random) -> str:
    """A string of all kinds of characters, without surrogates and noncharacters."""
    ranges = ((0, 0x1F), (0x20, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFDCF), (0x10000, 0x1FFFD))
    return "".join(chr(chance.randint(*chance.choice(ranges))) for _ in range(chance.choice((0, 1, 3, 20))))


@pytest.mark.spec("BODY-1")
def test_random_bodies_arrive_as_the_same_values(server: Server) -> None:
    r"""BODY-1: "A body MUST arrive as the same value, for every value of I-JSON (RFC 7493): numbers equal
    as binary64, strings code point for code point with `\u0000` and characters beyond U+FFFF, `{}` and
    `[]` as they were, with nothing added or dropped at any level."

    The seed stands in the transcript of a failure.
    """
    seed = secrets.randbits(32)
    server.transcript.note(f" the seed of the random bodies is {seed}")
    chance = random.Random(seed)
    alice, bob = server.signed(), server.signed()
    for _ in range(100):
        body = random_value(chance)
        literal = json.dumps(body, ensure_ascii=chance.random() < 0.5, indent=chance.choice((None, None, 1)))
        alice.send_text(f'{{"type":"msg","to":"{bob.uid}","body":{literal}}}')
        bob.expect_delivery(body, alice.uid or "")
        alice.expect_reply(1)


@pytest.mark.spec("BODY-2")
@pytest.mark.parametrize("literal", EXACT, ids=lambda literal: ascii(literal)[:40])
def test_a_body_arrives_digit_for_digit(server: Server, literal: str) -> None:
    """BODY-2: "A body SHOULD arrive as the same value for all of RFC 8259, too: numbers digit for digit
    (`9007199254740993`, `1e400`, `-0`), members in their order, repeated names. The reference server
    does, for it relays the text of the value."
    """
    alice, bob = server.signed(), server.signed()
    for body in (literal, f'{{"x":[{literal}]}}'):
        alice.send_text(f'{{"type":"msg","to":"{bob.uid}","body":{body}}}')
        expect_exactly(bob, body)
        alice.expect_reply(1)


@pytest.mark.spec("BODY-3")
@pytest.mark.parametrize(
    "literal", ["null", "false", "0", '""', "[]", "{}", "true", "-0", "0.0", '"0"', "[null]"]
)
def test_every_value_is_a_body_and_not_a_missing_one(server: Server, literal: str) -> None:
    """BODY-3: "Every JSON value MUST be accepted as a body: `null`, `false`, `0` and `""` are bodies, not
    missing ones."
    """
    alice, bob = server.signed(), server.signed()
    for text in (
        f'{{"type":"msg","to":"{bob.uid}","body":{literal}}}',
        f'{{"body":{literal},"type":"msg","to":"{bob.uid}"}}',
    ):
        alice.send_text(text)
        if claims("BODY-1"):
            bob.expect_delivery(json.loads(literal), alice.uid or "")
        else:
            bob.recv()
        alice.expect_reply(1, msg="sended")
    if refuses("missing_body"):
        alice.send(type="msg", to=bob.uid)
        alice.expect_reply(0, "missing_body")
    bob.fence()


# cid

CIDS = [
    "a", "0", "1001", " ", "\x00", "\x00\x00", "a\x00b", "\x1f\x7f", "\n", '"', "\\", "/", "é", "e\u0301",
    "\U0001f642", "\u2028", "\ufeff", "x" * 63, "x" * 64, "é" * 32, "号" * 21 + "x", "\U0001f642" * 16,
    "\x00" * 64, '"' * 64, "null", "__proto__", "非法请求",
]  # fmt: skip


@pytest.mark.spec("CID-1")
@pytest.mark.parametrize("cid", CIDS, ids=lambda cid: ascii(cid)[:40])
def test_the_reply_carries_the_cid_of_the_request(server: Server, cid: str) -> None:
    """CID-1: "The reply to a legal request that carries `cid`, a string of 1 to 64 bytes of UTF-8, MUST
    carry the same `cid`."
    """
    client, uid = server.connect(), server.uid()
    for written in (dump(cid), json.dumps(cid), '"' + "".join(f"\\u{u:04X}" for u in utf16(cid)) + '"'):
        client.send_text(f'{{"type":"sign","uid":"{uid}","cid":{written}}}')
        client.expect_reply(1, cid=cid, msg="注册成功")
        client.send_text(f'{{"cid":{written},"type":"msg","to":"{server.uid()}","body":1}}')
        client.expect_reply(1, cid=cid, msg="sended")
    client.send(type="msg", to=uid, body=2, cid=cid)
    client.expect_delivery(2, uid)
    client.expect_reply(1, cid=cid)


@pytest.mark.spec("CID-1")
def test_the_reply_to_a_legal_request_that_fails_carries_its_cid(server: Server) -> None:
    """CID-1: "The reply to a legal request that carries `cid`, a string of 1 to 64 bytes of UTF-8, MUST
    carry the same `cid`."
    """
    stranger, client = server.connect(), server.signed()
    for talker, request, code in (
        (stranger, {"type": "msg", "to": "1", "body": 1}, "not_signed"),
        (stranger, {"type": "msg"}, "not_signed"),
        (stranger, {"type": "sign"}, "invalid_uid"),
        (client, {"type": "sign", "uid": ""}, "invalid_uid"),
        (client, {"type": "msg", "body": 1}, "invalid_to"),
        (client, {"type": "msg", "to": "1"}, "missing_body"),
    ):
        for cid in (fresh(), "x" * 64):
            talker.send(**request, cid=cid)
            talker.expect_reply(0, code, cid=cid)


@pytest.mark.spec("CID-1", "CID-2")
def test_each_reply_carries_the_cid_of_its_own_request(server: Server) -> None:
    """CID-1: "The reply to a legal request that carries `cid`, a string of 1 to 64 bytes of UTF-8, MUST
    carry the same `cid`."

    CID-2: "The reply to a request without `cid` MUST NOT carry one."
    """
    if not claims("CID-1"):
        not_applicable("[CID-1] is not claimed")
    client = server.signed()
    cids = [fresh() if i % 3 else None for i in range(30)]
    for i, cid in enumerate(cids):
        request: dict[str, Any] = (
            {"type": "msg", "to": server.uid(), "body": i} if i % 2 else {"type": "sign"}
        )
        client.send(**request, **({"cid": cid} if cid else {}))
    for i, cid in enumerate(cids):
        reply = client.expect_reply(i % 2)
        assert reply.get("cid") == cid, f"expected the cid {cid} in reply {i}: {reply}"
        assert ("cid" in reply) == (cid is not None)


@pytest.mark.spec("CID-2")
def test_the_reply_to_a_request_without_cid_has_none(server: Server) -> None:
    """CID-2: "The reply to a request without `cid` MUST NOT carry one." """
    client, uid = server.connect(), server.uid()
    requests: list[dict[str, Any]] = [
        {"type": "msg", "to": "1", "body": 1},
        {"type": "sign"},
        {"type": "sign", "uid": uid},
        {"type": "sign", "uid": uid, "CID": "x", "Cid": "y", "id": "z"},
        {"type": "msg", "to": server.uid(), "body": {"cid": "x"}},
        {"type": "msg", "to": "", "body": 1},
        {"type": "msg", "to": server.uid()},
    ]
    for status, request in zip((0, 0, 1, 1, 1, 0, 0), requests, strict=True):
        if claims("CID-1"):
            cid = fresh()
            client.send(**request, cid=cid)
            client.expect_reply(status, cid=cid)
        client.send(**request)
        reply = client.expect_reply(status) if claims("UID-3") else client.recv()
        assert "cid" not in reply, f"expected no cid: {reply}"


NOT_CIDS = [
    "null", "true", "false", "0", "1", "-1", "1.5", "1e3", "[]", '["a"]', "{}", '{"cid":"a"}', '""',
    f'"{"x" * 65}"', f'"{"x" * 63}é"', f'"{"é" * 33}"', f'"{"号" * 22}"', f'"{"x" * 62}号"',
    '"' + "\U0001f642" * 17 + '"', '"' + "\\u0000" * 65 + '"', f'"{"x" * 60000}"',
    '"' + "\\ud83d\\ude42" * 16 + 'x"', f'"{"é" * 64}"',
]  # fmt: skip


@pytest.mark.spec("CID-3")
@pytest.mark.parametrize("literal", NOT_CIDS, ids=lambda literal: ascii(literal)[:40])
def test_anything_else_is_an_invalid_cid_and_nothing_is_done(server: Server, literal: str) -> None:
    """CID-3: "A `cid` that is anything else MUST be answered as `invalid_cid`, without `cid`, and nothing
    is done."
    """
    alice, bob, stranger = server.signed(), server.signed(), server.connect()
    requests = (
        (stranger, f'"type":"sign","uid":"{bob.uid}"'),  # bob's fence would show a second device
        (stranger, f'"type":"msg","to":"{bob.uid}","body":1'),
        (alice, f'"type":"msg","to":"{bob.uid}","body":1'),
        (alice, f'"type":"sign","uid":"{bob.uid}"'),
        (alice, '"type":"msg"'),
    )
    for client, members in requests:
        for text in (f'{{{members},"cid":{literal}}}', f'{{"cid":{literal},{members}}}'):
            client.send_text(text)
            reply = client.expect_reply(0, "invalid_cid")
            assert "cid" not in reply, f"expected no cid: {reply}"
    bob.fence()
    stranger.fence()
    alice.fence()
    alice.send(type="msg", to=bob.uid, body=2, cid="x" * 64)
    bob.expect_delivery(2, alice.uid or "")
    alice.expect_reply(1, cid="x" * 64)


@pytest.mark.spec("CID-4")
def test_the_reply_to_an_illegal_request_has_no_cid(server: Server) -> None:
    """CID-4: "The reply to an illegal request MUST NOT carry `cid`." """
    for text in (
        '{"type":"hello","cid":"@"}',
        '{"cid":"@"}',
        '{"cid":"@","type":null}',
        '{"cid":"@","type":["sign"],"uid":"1"}',
        '{"cid":"@","type":"sign","uid":"1"',
        '{"cid":"@","type":"sign","uid":"1"} x',
        '{"cid":"@","type":"sign","uid":"\\ud800"}',
        '{"cid":7,"type":"hello"}',
        '[{"type":"sign","uid":"1","cid":"@"}]',
    ):
        client, cid = server.connect(), fresh()
        client.send(type="sign", uid=server.uid(), cid=cid)
        client.expect_reply(1, **echoed(cid))
        client.send_text(text.replace("@", cid))
        reply = client.expect_illegal()
        assert "cid" not in reply, f"expected no cid: {reply}"
    if claims("ILLEGAL-2"):
        raw = server.raw()
        raw.send_frame(BINARY, dump({"type": "sign", "uid": server.uid(), "cid": fresh()}).encode())
        assert "cid" not in raw.expect_illegal()
