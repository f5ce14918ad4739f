"""SPEC 3.1: which texts are requests."""

from __future__ import annotations

import json

import pytest

from chatcheck.claims import claims, echoed
from chatcheck.conversation import Conversation, dump
from chatcheck.raw_client import TEXT, build_frame
from chatcheck.target import Server
from chatcheck.tests.helpers import deliver_to_all, fresh
from chatcheck.verdict import untested


def expect_illegal(server: Server, text: str) -> None:
    """On a new connection this text must be answered as illegal, and the connection closed."""
    client = server.connect()
    client.send_text(text)
    client.expect_illegal()


# What RFC 8259 allows


@pytest.mark.spec("JSON-1")
def test_the_order_of_members_means_nothing(server: Server) -> None:
    """JSON-1: "A server MUST accept a request in any form that RFC 8259 allows: the order of the members,
    white space between tokens, and the choice of escapes in names and strings mean nothing."
    """
    client, uid, cid = server.connect(), server.uid(), fresh()
    client.send_text(dump({"cid": cid, "uid": uid, "type": "sign"}))
    client.expect_reply(1, **echoed(cid))
    for names in ("type to body", "to type body", "body to type", "body type to"):
        members = {"type": "msg", "to": uid, "body": {"type": "sign", "to": 1}}
        client.send_text(dump({name: members[name] for name in names.split()}))
        client.expect_delivery(members["body"], uid)
        client.expect_reply(1)


@pytest.mark.spec("JSON-1")
@pytest.mark.parametrize("space", [" ", "\t", "\n", "\r", "\r\n", " \t\r\n \n"], ids=ascii)
def test_white_space_between_tokens_means_nothing(server: Server, space: str) -> None:
    """JSON-1: "A server MUST accept a request in any form that RFC 8259 allows: the order of the members,
    white space between tokens, and the choice of escapes in names and strings mean nothing."
    """
    client, uid = server.signed(), server.uid()
    plain = f'{{ "type" : "sign" , "uid" : "{uid}" }}'
    deep = f'{{ "type" : "sign" , "x" : [ 1 , {{ }} , [ ] ] , "uid" : "{uid}" }}'
    for text in (plain, deep):
        client.send_text(space + text.replace(" ", space) + space)
        client.expect_reply(1)
    msg = f' {{ "type" : "msg" , "to" : "{uid}" , "body" : [ 1 , -2.5e1 ] }} '
    client.send_text(msg.replace(" ", space))
    client.expect_delivery([1, -25], uid)
    client.expect_reply(1)


def escaped(text: str, letters: str = "%04x") -> str:
    """The text with every character as an escape."""
    units = text.encode("utf-16-be")
    return "".join("\\u" + letters % int.from_bytes(units[i : i + 2], "big") for i in range(0, len(units), 2))


@pytest.mark.spec("JSON-1")
@pytest.mark.parametrize("letters", ["%04x", "%04X"])
def test_escapes_in_names_and_strings_mean_nothing(server: Server, letters: str) -> None:
    """JSON-1: "A server MUST accept a request in any form that RFC 8259 allows: the order of the members,
    white space between tokens, and the choice of escapes in names and strings mean nothing."
    """
    client, uid, cid = server.connect(), server.uid() + "é\U0001f642", "cid/\U0001f642\xab"
    names = {name: escaped(name, letters) for name in ("type", "uid", "to", "body", "cid", "sign", "msg")}
    there, here = escaped(uid, letters), escaped(cid, letters)
    client.send_text(
        f'{{"{names["type"]}":"{names["sign"]}","{names["uid"]}":"{there}","{names["cid"]}":"{here}"}}'
    )
    client.expect_reply(1, **echoed(cid))
    for members in (f'"type":"si\\u0067n","uid":"{uid}"', f'"\\u0074ype":"sign","uid":"{uid}"'):
        client.send_text(f"{{{members}}}")
        client.expect_reply(1)
    client.send_text(
        f'{{"t\\u0079pe":"m{escaped("s", letters)}g","{names["to"]}":"{there}","{names["body"]}":"{here}"}}'
    )
    client.expect_delivery(cid, uid)
    client.expect_reply(1)


@pytest.mark.spec("JSON-1")
def test_every_escape_is_understood(server: Server) -> None:
    """JSON-1: "A server MUST accept a request in any form that RFC 8259 allows: the order of the members,
    white space between tokens, and the choice of escapes in names and strings mean nothing."
    """
    client = server.signed()
    literal = r'"\"\\\/\b\f\n\r\t\u0000\u001f\u007F\u00e9\u20AC\ud83d\ude42\uDBFF\uDFFF/"'
    client.send_text(f'{{"type":"msg","to":"{client.uid}","body":{literal}}}')
    client.expect_delivery('"\\/\b\f\n\r\t\0\x1f\x7fé€\U0001f642\U0010ffff/', client.uid or "")
    client.expect_reply(1)


# What RFC 8259 refuses: a value that is no JSON, and its legal twin

VALUES = [
    ("01", "10"), ("-01", "-1"), ("00", "0"), ("-", "-0"), ("+1", "1"), ("1.", "1.0"), (".5", "0.5"),
    ("-.5", "-0.5"), ("1.e1", "1.0e1"), ("1e", "1e0"), ("1e+", "1e+0"), ("1E-", "1E-0"), ("1e1.5", "1e15"),
    ("1.2.3", "1.23"), ("--1", "-1"), ("- 1", "-1"), ("1 000", "1000"), ("1_000", "1000"), ("0x10", "16"),
    ("0b1", "1"), ("1f", "1"), ("1n", "1"), ("NaN", "null"), ("-NaN", "null"), ("nan", "null"),
    ("Infinity", "1e308"), ("-Infinity", "-1e308"), ("inf", "1"), ("True", "true"), ("TRUE", "true"),
    ("FALSE", "false"), ("Null", "null"), ("nul", "null"), ("nulll", "null"), ("tru", "true"),
    ("truefalse", "true"), ("undefined", "null"), ("None", "null"), ("abc", '"abc"'), ("'abc'", '"abc"'),
    ("`abc`", '"abc"'), ('"abc', '"abc"'), ('abc"', '"abc"'), ('"a"b"', '"ab"'), ('"\n"', '"\\n"'),
    ('"\t"', '"\\t"'), ('"\r"', '"\\r"'), ('"a\x00b"', '"a\\u0000b"'), ('"\x01"', '"\\u0001"'),
    ('"\x1f"', '"\x7f"'), ('"\\x41"', '"\\u0041"'), ('"\\a"', '"\\b"'), ('"\\v"', '"\\f"'),
    ('"\\0"', '"\\u0000"'), ('"\\\'"', "\"'\""), ('"\\"', '"\\\\"'), ('"\\U0041"', '"\\u0041"'),
    ('"\\u"', '"\\u0041"'), ('"\\u041"', '"\\u0041"'), ('"\\u00g1"', '"\\u00a1"'), ('"\\u 041"', '"\\u0041"'),
    ('"\\u+041"', '"\\u0041"'), ('"\\u-041"', '"\\u0041"'), ('"\\u0x41"', '"\\u0041"'), ('"\\\n"', '"\\n"'),
    ("[1,]", "[1]"), ("[,1]", "[1]"), ("[,]", "[]"), ("[1,,2]", "[1,2]"), ("[1 2]", "[1,2]"),
    ("[1;2]", "[1,2]"), ("[1", "[1]"), ("1]", "[1]"), ("[", "[]"), ("[1}", "[1]"), ("[1:2]", "[1,2]"),
    ('["a":1]', '{"a":1}'), ('{"a":1,}', '{"a":1}'), ('{,"a":1}', '{"a":1}'), ("{,}", "{}"),
    ('{"a" 1}', '{"a":1}'), ('{"a":}', '{"a":0}'), ('{"a"}', '{"a":0}'), ('{:1}', '{"":1}'),
    ("{a:1}", '{"a":1}'), ("{'a':1}", '{"a":1}'), ("{1:1}", '{"1":1}'), ("{null:1}", '{"null":1}'),
    ('{"a":1 "b":2}', '{"a":1,"b":2}'), ('{"a":1;"b":2}', '{"a":1,"b":2}'), ('{"a"=1}', '{"a":1}'),
    ('{"a"::1}', '{"a":1}'), ('{"a":1', '{"a":1}'), ('{"a":1]', '{"a":1}'), ('{"a',  '{"a":1}'),
    ('{["a"]:1}', '{"a":1}'), ('{"\n":1}', '{"\\n":1}'), ('{"\\x":1}', '{"x":1}'), ("1/*2*/", "1"),
    ("1//2\n", "1"), ("#1\n1", "1"), ("(1)", "1"), ("\x0b1", " 1"), ("\x0c1", "\t1"), ("\xa01", "\n1"),
    ("\u20281", "\r1"), ("\ufeff1", "1"), ("\x001", "1"), ("1\x00", "1"), ("\u0661", "1"), ("\uff11", "1"),
    ("\u201ca\u201d", '"a"'),
]  # fmt: skip


@pytest.mark.spec("JSON-2")
@pytest.mark.parametrize(("wrong", "right"), VALUES, ids=[ascii(wrong) for wrong, _ in VALUES])
def test_a_value_that_is_no_json_makes_the_message_illegal(server: Server, wrong: str, right: str) -> None:
    """JSON-2: "A server MUST treat a text message that is not exactly one JSON text by the grammar of RFC
    8259 as an illegal request; among these are the empty message, `01`, `1.`, `NaN`, a trailing comma,
    a control character in a string that is not escaped, a byte order mark, and a second value behind
    the first."
    """
    bob = server.signed()
    places = (
        '{"type":"msg","to":"%s","body":@}',
        '{"body":[@],"type":"msg","to":"%s"}',
        '{"x":@,"type":"msg","to":"%s","body":1}',
        '{"type":"msg","to":"%s","body":1,"x":{"y":[0,@]}}',
    )
    if not claims("BODY-1"):
        right = right.replace("{}", "[]")
    for place in places:
        template = place % bob.uid
        client = server.signed()
        client.send_text(template.replace("@", right))
        bob.expect_delivery(json.loads(template.replace("@", right))["body"], client.uid or "")
        client.expect_reply(1, msg="sended")

        client.send_text(template.replace("@", wrong))

        client.expect_illegal()
    bob.fence()


# Whole texts, in which @ is a legal request.
TEXTS = [
    "", " ", "\n", "\x00", "{", "}", "[", '"', "@@", "@ @", "@,", ",@", "@\n@", "@1", "@null", '@""', "1@",
    "@]", "@}", "[@", "{@}", "(@)", "@;", "@\x00", "\x00@", "@\x0b", "\x0c@", "\xa0@", "@\u2028", "\u3000@",
    "\ufeff@", "@\ufeff", " \ufeff@", "// x\n@", "@// x", "/* x */@", "# x\n@", "x=@", "callback(@)",
    ")]}',\n@", "\x1e@", "@\x04", "--\n@", "data: @", "@{}", "@[]", "\u200b@", "<@>",
]  # fmt: skip


@pytest.mark.spec("JSON-2")
@pytest.mark.parametrize("text", TEXTS, ids=ascii)
def test_what_is_not_exactly_one_json_text_is_illegal(server: Server, text: str) -> None:
    """JSON-2: "A server MUST treat a text message that is not exactly one JSON text by the grammar of RFC
    8259 as an illegal request; among these are the empty message, `01`, `1.`, `NaN`, a trailing comma,
    a control character in a string that is not escaped, a byte order mark, and a second value behind
    the first."
    """
    bob, client = server.signed(), server.signed()
    request = dump({"type": "msg", "to": bob.uid, "body": fresh()})
    client.send_text(f" {request}\n")
    bob.expect_delivery(json.loads(request)["body"], client.uid or "")
    client.expect_reply(1)

    client.send_text(text.replace("@", request))

    client.expect_illegal()
    bob.fence()


@pytest.mark.spec("JSON-2")
def test_a_request_in_a_dialect_of_json_is_illegal(server: Server) -> None:
    """JSON-2: "A server MUST treat a text message that is not exactly one JSON text by the grammar of RFC
    8259 as an illegal request; among these are the empty message, `01`, `1.`, `NaN`, a trailing comma,
    a control character in a string that is not escaped, a byte order mark, and a second value behind
    the first."
    """
    bob, client = server.signed(), server.signed()
    request = f'{{"type":"msg","to":"{bob.uid}","body":"b"}}'
    dialects = (
        request.replace('"', "'"),
        request.replace('"', "`"),
        request.replace('"', "“"),
        request.replace('"', ""),
        *(request.replace(f'"{name}"', name) for name in ("type", "to", "body")),
        request.replace(":", "="),
        request.replace(":", "=>"),
        request.replace(",", ";"),
        request.replace(",", "\n"),
        request.strip("{}"),
        "type: msg\nto: " + (bob.uid or "") + "\nbody: b\n",
        f"type=msg&to={bob.uid}&body=b",
    )
    client.send_text(request)
    bob.expect_delivery("b", client.uid or "")
    client.expect_reply(1)
    for text in dialects:
        expect_illegal(server, text)
    bob.fence()


@pytest.mark.spec("JSON-2")
def test_a_request_cut_off_at_any_byte_is_illegal(server: Server) -> None:
    """JSON-2: "A server MUST treat a text message that is not exactly one JSON text by the grammar of RFC
    8259 as an illegal request; among these are the empty message, `01`, `1.`, `NaN`, a trailing comma,
    a control character in a string that is not escaped, a byte order mark, and a second value behind
    the first."
    """
    text = '{"type":"sign","uid":1001,"x":[true,{"a":-1.5e+3,"b":"\\u0041"}]}'
    for size in range(len(text)):
        raw = server.raw()
        raw.send_frame(TEXT, text[:size].encode())
        raw.expect_illegal()
    raw = server.raw()
    raw.send_frame(TEXT, text.replace("1001", f'"{server.uid()}"').encode())
    raw.expect_reply(1)


# Wrong at the end of a long message, where a cheap second parser may be at work: what is wrong, and its legal
# twin, each as the end of an object. @ is the filler.
LONG = {
    "a comma at the end": ('"x":"@",}', '"x":"@"}'),
    "a comment": ('"x":"@"/* x */}', '"x":"@"     }'),
    "a control character": ('"x":"@\x01"}', '"x":"@\x7f"}'),
    "a line feed in a string": ('"x":"@\n"}', '"x":"@\\n"}'),
    "a second value": ('"x":"@"}{}', '"x":"@"} '),
    "a second request": ('"x":"@"}{"type":"hello"}', '"x":"@"}\n'),
    "a NUL behind": ('"x":"@"}\0', '"x":"@"}\t'),
    "a bracket too many": ('"x":"@"}}', '"x":"@"}'),
    "a bracket too few": ('"x":["@"}', '"x":["@"]}'),
    "no end": ('"x":"@"', '"x":"@"}'),
    "a leading zero": ('"y":"@","x":01}', '"y":"@","x":10}'),
    "NaN": ('"y":["@",NaN]}', '"y":["@",null]}'),
    "a wrong escape": ('"x":"@\\x41"}', '"x":"@\\u0041"}'),
    "single quotation marks": ('"y":"@",\'x\':1}', '"y":"@","x":1}'),
    "half of a surrogate pair": ('"x":"@\\ud83d"}', '"x":"@\\ud83d\\ude42"}'),
    "half of a pair in a name": ('"y":"@","\\ude42":1}', '"y":"@","\\ud83d\\ude42":1}'),
}


@pytest.mark.spec("JSON-2", "JSON-3")
@pytest.mark.parametrize("what", LONG)
def test_a_long_message_is_read_as_strictly_as_a_short_one(server: Server, what: str) -> None:
    r"""JSON-2: "A server MUST treat a text message that is not exactly one JSON text by the grammar of RFC
    8259 as an illegal request; among these are the empty message, `01`, `1.`, `NaN`, a trailing comma,
    a control character in a string that is not escaped, a byte order mark, and a second value behind
    the first."

    JSON-3: "A server MUST treat a message with a `\u` escape that is half of a surrogate pair, anywhere
    in it, as an illegal request."
    """
    bob = server.signed()
    wrong, right = LONG[what]
    for size in (1100, 5000, 40000):
        client = server.signed()
        head = f'{{"type":"msg","to":"{bob.uid}","body":{size},'
        client.send_text(head + right.replace("@", "x" * size))
        bob.expect_delivery(size, client.uid or "")
        client.expect_reply(1)
        client.send_text(head + wrong.replace("@", "x" * size))
        client.expect_illegal()
    client = server.signed()
    request = f'{{"type":"msg","to":"{bob.uid}","body":"{"x" * 5000}"}}'
    client.send_text("\ufeff" + request)
    client.expect_illegal()
    bob.fence()


HALVES = [
    r"\ud800", r"\uDBFF", r"\udc00", r"\uDFFF", r"\udc00\ud800", r"\ud83d\ud83d", r"\ud83dx", r"\ud83d\n",
    r"\ud83d\u0041", r"\ud83d\\ude42", r"\ud83d\ud83d\ude42", r"\ud83d\ude42\ude42", "\\ud83d\U0001f642",
    r"\ud83d \ude42",
]  # fmt: skip


@pytest.mark.spec("JSON-3")
@pytest.mark.parametrize("half", HALVES, ids=ascii)
def test_half_of_a_surrogate_pair_anywhere_is_illegal(server: Server, half: str) -> None:
    r"""JSON-3: "A server MUST treat a message with a `\u` escape that is half of a surrogate pair, anywhere
    in it, as an illegal request."
    """
    bob = server.signed()
    for place in (
        '{"type":"msg","to":"%s","body":"@"}',
        '{"type":"msg","to":"%s","body":{"a@":[1]}}',
        '{"type":"msg","to":"%s","body":"b","other":[["x@x"]]}',
        '{"type":"msg","to":"%s","body":"b","@":0}',
        '{"type":"msg","to":"%s","body":"@","body":"b"}',
        '{"cid":"@","cid":"c","type":"msg","to":"%s","body":"b"}',
    ):
        client = server.signed()
        text = place % bob.uid
        client.send_text(text.replace("@", r"\ud83d\ude42"))
        bob.expect_delivery(json.loads(text.replace("@", "\U0001f642"))["body"], client.uid or "")
        client.expect_reply(1)
        client.send_text(text.replace("@", half))
        client.expect_illegal()
    bob.fence()


@pytest.mark.spec("JSON-3")
def test_half_of_a_pair_in_a_parameter_is_illegal_rather_than_invalid(server: Server) -> None:
    r"""JSON-3: "A server MUST treat a message with a `\u` escape that is half of a surrogate pair, anywhere
    in it, as an illegal request."
    """
    uid = server.uid()
    for text in (
        '{"type":"sign","uid":"%s@"}',
        '{"type":"sign","uid":"%s","cid":"@"}',
        '{"type":"msg","to":"%s@","body":1}',
        '{"type":"@","uid":"%s"}',
    ):
        expect_illegal(server, (text % uid).replace("@", r"\ud83d"))
    client = server.connect()
    client.send_text(f'{{"type":"sign","uid":"{uid}\\ud83d\\ude42"}}')
    client.expect_reply(1)


# Members


@pytest.mark.spec("JSON-4")
def test_unknown_members_are_ignored_and_not_passed_on(server: Server) -> None:
    """JSON-4: "A server MUST ignore members of a request that this document does not define for it, and
    not pass them on."
    """
    mark = fresh()
    names = ["Type", "UID", "Body", "Cid", "BODY", "x-" + mark, "", "uid ", "__proto__", "msg"]
    known = ("type", "uid", "to", "body", "cid")
    changes = ("{}\0", "{}\0x", " {}", "{} ", "{}s", "_{}", "{}\u200b", "{}[]", "{}.a", "${}")
    names += [change.format(name) for name in known for change in changes]
    names += ["".join(chr(ord(c) + 0xFEE0) for c in name) for name in known]  # full-width
    others: dict[str, object] = dict.fromkeys(names, mark)
    client, bob = server.connect(), server.signed()
    uid = server.uid()
    client.send(**others, type="sign", uid=uid, to=mark, body=mark)
    reply = client.expect_reply(1)
    assert mark not in dump(reply)

    others |= {"uid": mark, "time": [mark], "disconnect": mark, "nested": {"a": mark}}
    client.send(**others, type="msg", to=bob.uid, body="b")
    client.uid = uid

    delivery = bob.expect_delivery("b", uid)
    reply = client.expect_reply(1)
    assert mark not in dump(delivery), "a member that the sender made up was passed on"
    assert mark not in dump(reply)
    client.send(type="msg", to=bob.uid, body="c", **others)  # and now behind the known ones
    bob.expect_delivery("c", uid)
    client.expect_reply(1)
    client.fence()


@pytest.mark.spec("JSON-5")
def test_of_a_repeated_name_the_last_member_counts(server: Server) -> None:
    """JSON-5: "If a name is repeated in a request, the last member with that name MUST be the one that
    counts."
    """
    client, uid, other, cid = server.connect(), server.uid(), server.uid(), fresh()
    first = f'"type":"hello","uid":null,"cid":7,"uid":"{other}","cid":"x"'
    client.send_text(f'{{{first},"type":"sign","uid":"{uid}","cid":"{cid}"}}')
    client.expect_reply(1, **echoed(cid))
    client.uid = uid
    client.fence()
    first = f'"body":"first","to":"{other}","type":"sign","to":[],"body":{{}}'
    client.send_text(f'{{{first},"to":"{uid}","type":"msg","body":"last"}}')
    client.expect_delivery("last", uid)
    client.expect_reply(1, msg="sended")


@pytest.mark.spec("JSON-5")
def test_a_name_is_repeated_however_it_is_escaped(server: Server) -> None:
    """JSON-5: "If a name is repeated in a request, the last member with that name MUST be the one that
    counts."
    """
    client, uid, other = server.connect(), server.uid(), server.uid()
    client.send_text(f'{{"type":"sign","uid":"{other}","\\u0075id":"{uid}"}}')
    client.expect_reply(1)
    client.uid = uid
    client.fence()
    client.send_text(f'{{"type":"sign","\\u0075id":"{uid}","uid":"{other}"}}')
    client.expect_reply(1)
    client.uid = other
    client.fence()
    twice = (
        ('"to":"{0}","\\u0074o":"{1}"', '"body":1,"\\u0062ody":2'),
        ('"t\\u006f":"{0}","to":"{1}"', '"bod\\u0079":1,"body":2'),
    )
    for to, body in twice:
        client.send_text(f'{{"type":"hello","typ\\u0065":"msg",{to.format(uid, other)},{body}}}')
        client.expect_delivery(2, other)
        client.expect_reply(1)


@pytest.mark.spec("JSON-5")
def test_a_last_member_that_is_wrong_counts_as_well(server: Server) -> None:
    """JSON-5: "If a name is repeated in a request, the last member with that name MUST be the one that
    counts."
    """
    client = server.signed()
    uid, bob = client.uid, server.signed()
    refused = (
        (f'{{"type":"sign","uid":"{bob.uid}","uid":null}}', "invalid_uid"),
        (f'{{"type":"msg","to":"{bob.uid}","body":1,"to":""}}', "invalid_to"),
        (f'{{"type":"msg","cid":"c","to":"{bob.uid}","body":1,"cid":null}}', "invalid_cid"),
    )
    for text, code in refused if claims("UID-3") else ():
        client.send_text(text)
        client.expect_reply(0, code)
    client.send_text(f'{{"type":"msg","to":"","body":1,"to":"{bob.uid}","body":2}}')
    bob.expect_delivery(2, uid or "")
    client.expect_reply(1)
    expect_illegal(server, f'{{"type":"sign","uid":"{bob.uid}","type":"hello"}}')
    expect_illegal(server, f'{{"type":"sign","uid":"{bob.uid}","type":null}}')
    bob.fence()


# Nesting


def nested(levels: int, kind: str, core: str = "1") -> str:
    """A JSON text of so many levels: arrays, objects, or both in turn."""
    opening, closing = {"arrays": ("[", "]"), "objects": ('{"a":', "}"), "both": ('[{"":', "}]")}[kind]
    per_level = 2 if kind == "both" else 1
    times, rest = divmod(levels, per_level)
    return "[" * rest + opening * times + core + closing * times + "]" * rest


@pytest.mark.spec("JSON-6")
@pytest.mark.parametrize("kind", ["arrays", "objects", "both"])
def test_64_levels_are_accepted(server: Server, kind: str) -> None:
    """JSON-6: "A server MUST accept a request in which arrays and objects are nested in each other 64
    levels deep, the request itself being the first level."
    """
    alice, bob = server.signed(), server.signed()
    for levels in (1, 2, 31, 32, 62, 63):  # and the request itself
        for core in ("1", '"x"', "[],[]" if kind == "arrays" and levels < 63 else "null"):
            text = nested(levels, kind, core)
            alice.send_text(f'{{"type":"msg","to":"{bob.uid}","body":{text}}}')
            bob.expect_delivery(json.loads(text), alice.uid or "")
            alice.expect_reply(1)
    alice.send_text(f'{{"x":{nested(63, kind)},"y":{nested(63, kind)},"type":"sign","uid":"{alice.uid}"}}')
    alice.expect_reply(1)
    alice.fence()


@pytest.mark.spec("JSON-6")
def test_levels_are_not_counted_by_brackets_side_by_side_or_in_strings(server: Server) -> None:
    """JSON-6: "A server MUST accept a request in which arrays and objects are nested in each other 64
    levels deep, the request itself being the first level."
    """
    alice, bob = server.signed(), server.signed()
    for text in (
        dump("[" * 2000),
        dump({"{" * 2000: '\\"' * 500}),
        dump([[]] * 2000),
        dump([{"a": [{"b": 1}]}] * 1500),
    ):
        alice.send_text(f'{{"type":"msg","to":"{bob.uid}","body":{text}}}')
        bob.expect_delivery(json.loads(text), alice.uid or "")
        alice.expect_reply(1)


@pytest.mark.spec("JSON-7")
@pytest.mark.parametrize("kind", ["arrays", "objects", "both"])
def test_deeper_than_the_documented_limit_is_illegal(server: Server, kind: str) -> None:
    """JSON-7: "A server MUST treat a message that is nested deeper than its documented limit as an illegal
    request; the reference server's limit is 512 levels."
    """
    limit = server.documented.nesting_limit
    if len(nested(limit, kind)) + 100 > server.documented.message_limit:
        untested("a message that is nested deeper than --nesting-limit is longer than --message-limit")
    bob = server.signed()
    for place in ('{"type":"msg","to":"%s","body":@}', '{"x":@,"type":"msg","to":"%s","body":1}'):
        client, text = server.signed(), place % bob.uid
        client.send_text(text.replace("@", nested(limit - 1, kind)))
        assert bob.recv_text()
        client.expect_reply(1)
        client.send_text(text.replace("@", nested(limit, kind)))
        client.expect_illegal()
    bob.fence()


# Messages that a server might choke on

SIZE = 65000
REFUSED = {
    "a string": '"abc"',
    "a number": "1",
    "null": "null",
    "an array": "[]",
    "brackets": "[" * 65536,
    "braces": '{"a":' * 13000,
    "closing brackets": "]" * 65536,
    "brackets in turn": '[{"":' * 13000,
    "a string without end": '"' + "a" * SIZE,
    "backslashes without end": '"' + "\\" * SIZE,
    "escapes without end": '"' + "\\u0041" * (SIZE // 6),
    "quotation marks": '"' * SIZE,
    "commas": "[" + "," * SIZE,
    "minus signs": "-" * SIZE,
    "an exponent without end": "1e" + "9" * SIZE + "e",
    "white space": " " * SIZE,
    "white space and no end": '{"type":"sign","uid":"1"' + " \n" * (SIZE // 2 - 20),
    "halves of pairs": '{"type":"sign","uid":"' + "\\ud83d" * (SIZE // 6 - 10) + '"}',
    "a long name": '{"' + "n" * SIZE + '"}',
    "a long type": '{"type":"' + "s" * SIZE + '"}',
}
SERVED = {
    "digits": "9" * SIZE,
    "digits behind a point": "0." + "1" * SIZE,
    "a huge exponent": "1e" + "9" * SIZE,
    "a tiny exponent": "1e-" + "9" * SIZE,
    "zeros": "0." + "0" * SIZE + "1",
    "numbers": "[" + "1," * (SIZE // 2) + "1]",
    "empty arrays": "[" + "[]," * (SIZE // 3) + "1]",
    "empty objects": "[" + "{}," * (SIZE // 3) + "1]",
    "escapes": '"' + "\\u0000" * (SIZE // 6) + '"',
    "backslashes": '"' + "\\\\" * (SIZE // 2) + '"',
    "quotation marks": '"' + '\\"' * (SIZE // 2) + '"',
    "emoji": '"' + "\U0001f642" * (SIZE // 4) + '"',
    "pairs": '"' + "\\ud83d\\ude42" * (SIZE // 12) + '"',
    "names": "{" + ",".join(f'"{i:x}":0' for i in range(7000)) + "}",
    "one name again and again": "{" + ",".join(['"a":0'] * 10000) + "}",
    "empty names": "{" + ",".join(['"":0'] * 12000) + "}",
    "white space": "[" + " \t\r\n" * (SIZE // 4) + "]",
}


def talk(alice: Conversation, bob: Conversation) -> None:
    """A message there and back: the fence that shows how long the server was busy."""
    for sender, receiver in ((alice, bob), (bob, alice)):
        deliver_to_all(sender, receiver.uid or "", receiver)


@pytest.mark.spec("JSON-8")
@pytest.mark.parametrize("what", REFUSED)
def test_a_hostile_message_is_illegal_and_disturbs_nobody(server: Server, what: str) -> None:
    """JSON-8: "No message MUST crash or hang a server, or keep it from serving other connections for
    longer than in proportion to the message's length."
    """
    alice, bob = server.signed(), server.signed()
    frame = build_frame(TEXT, REFUSED[what].encode())
    hostile = [server.raw() for _ in range(8)]

    for raw in hostile:
        raw.send_raw(frame, what)
    talk(alice, bob)

    for raw in hostile:
        raw.expect_illegal()
    server.signed().fence()


@pytest.mark.spec("JSON-8")
@pytest.mark.parametrize("what", SERVED)
def test_a_message_that_is_hard_to_read_is_served_and_delays_nobody(server: Server, what: str) -> None:
    """JSON-8: "No message MUST crash or hang a server, or keep it from serving other connections for
    longer than in proportion to the message's length."
    """
    alice, bob, raw = server.signed(), server.signed(), server.raw()
    uid = server.uid()
    ignored = f'{{"x":{SERVED[what]},"type":"sign","uid":"{uid}"}}'
    body = f'{{"type":"msg","to":"{server.uid()}","body":{SERVED[what]}}}'

    for text in (ignored, body):
        raw.send_raw(build_frame(TEXT, text.encode()) * 8, f"eight times {what}")
        talk(alice, bob)

        for _ in range(8):
            raw.expect_reply(1)
    raw.uid = uid
    raw.fence()


@pytest.mark.spec("JSON-8")
def test_many_members_of_a_request_delay_nobody(server: Server) -> None:
    """JSON-8: "No message MUST crash or hang a server, or keep it from serving other connections for
    longer than in proportion to the message's length."
    """
    alice, bob, raw = server.signed(), server.signed(), server.raw()
    uid = server.uid()
    for members in ('"uid":null,' * 5000, '"type":1,' * 6000, "".join(f'"{i:x}":0,' for i in range(6000))):
        text = f'{{{members}"type":"sign","uid":"{uid}"}}'
        raw.send_raw(build_frame(TEXT, text.encode()) * 8, "eight requests with thousands of members")
        talk(alice, bob)
        for _ in range(8):
            raw.expect_reply(1)


# type

NOT_TYPES = [
    '"Sign"', '"SIGN"', '"sign "', '" sign"', '"sign\\u0000"', '"sign\\n"', '"sign\\u0000x"', '"sig"',
    '"signs"', '"si gn"', '"\uff53ign"', '"s\u0131gn"', '"sign\u200b"', '"\u0455ign"', '""', '"type"', '"1"',
    "true", "false", "null", "0", "1", "1.5", "[]", '["sign"]', "{}", '{"sign":"sign"}', '"Msg"',
    '"msg\\u0000"', '["msg"]', '"signmsg"', '"reply"',
]  # fmt: skip


@pytest.mark.spec("JSON-9")
@pytest.mark.parametrize("value", NOT_TYPES, ids=ascii)
def test_type_is_compared_exactly(server: Server, value: str) -> None:
    """JSON-9: "`type` MUST be compared exactly, as a string: `"Sign"`, `"sign "` and `true` are not
    `"sign"`."
    """
    bob = server.signed()
    for word in ('"\\u0073ign"', '"msg"'):
        client = server.signed()
        template = f'{{"type":@,"uid":"{client.uid}","to":"{bob.uid}","body":"b"}}'
        client.send_text(template.replace("@", word))
        if word == '"msg"':
            bob.expect_delivery("b", client.uid or "")
        client.expect_reply(1)

        client.send_text(template.replace("@", value))

        client.expect_illegal()
    bob.fence()
