"""Bodies of all kinds, as JSON texts: for msgs, for what waits, for broadcasts, and from node to node."""

from __future__ import annotations

import json

from chatcheck.conversation import Conversation
from chatcheck.transcript import show_text
from chatcheck.verdict import Mismatch

BIG = 2**53 - 1

# Values of I-JSON: BODY-1.
BODIES = [
    "0", "-0", "1", "-1", "10", "0.0", "0.1", "-0.1", "0.30000000000000004", "1.0", "1.5", "100", "1e2",
    "1E2", "1e+2", "1e-2", "123456789", "2147483647", "2147483648", "-2147483648", "-2147483649",
    "4294967295", "4294967296", str(BIG), str(-BIG), "9007199254740992", "-9007199254740992", "1e15", "1e16",
    "1e21", "1e22", "1e23", "1e300", "1e308", "-1e308", "1.7976931348623157e308", "-1.7976931348623157e308",
    "5e-324", "-5e-324", "2.2250738585072014e-308", "2.225073858507201e-308", "1e-7", "0.000001",
    "123.456e-10", "3.141592653589793", "1.7976931348623157E+308", "0.1e1", "0e10", "true", "false", "null",
    '""', '" "', '"a"', '"hi"', '"0"', '"true"', '"null"', '"é"', '"e\u0301"', '"\u00c5\u212b"', '"号码"',
    r'"\u0000"', r'"a\u0000b"', r'"\u0000\u0000"', r'"\u0001\u001f\u007f"', '"\x7f\x80\x9f"', r'"\b\f\n\r\t"',
    r'"a\r\nb\rc\nd\n"', '"  a  "', r'"\"\\\/"', '"/"', r'"\\u0041"', r'"\\"', r'"\\\\"', r'"\u2028\u2029"',
    '"\u2028\u2029"', '"\ufeff"', '"\u200b\u202e"', '"\U0001f642"', r'"\ud83d\ude42"',
    '"\U00010000\U0010fffd"', '"\U0001f468\u200d\U0001f469\u200d\U0001f467"', '"</script>"', '"&amp;<>"',
    '"%s%n%00"', '"\ufb01"', r'"\u00e9\u00E9"', "[]", "{}", "[[]]", "[{}]", '{"a":[]}', '{"a":{}}',
    "[[],{},[],{}]", "[null]", "[null,null]", "[0,[1,[2,[3]]]]", '[1,"1",1.0,true]',
    "[false,0,null,\"\",[],{}]", '{"":0}', '{"":{"":{"":""}}}', '{" ":1}', '{"a":1,"A":2}', '{"1":1,"0":0}',
    '{"0":"a","1":"b"}', '{"b":1,"a":2}', r'{"\u0000":1,"a\u0000b":2}', '{"é":1,"e\u0301":2}',
    '{"\U0001f642":1}', '{"__proto__":1}', '{"__proto__":{"x":1},"constructor":2,"toString":3}',
    '{"status":0}', '{"status":1,"msg":"sended"}', '{"status":0,"msg":"非法请求","disconnect":1}',
    '{"from":"x"}', '{"body":"x"}', '{"body":{"body":{}},"from":1}', '{"type":"sign","uid":"1001"}',
    '{"type":"msg","to":"1","body":1}', '{"type":1}', '{"cid":7}', '{"cid":"x"}', '{"uid":null}',
    '{"length":0}', '{"toJSON":1}', '{"$ref":"#"}', '{"@class":"x"}', '{"a.b":1,"a/b":2,"a[0]":3}',
    '{"null":null,"true":false}', '" {\\"type\\":\\"sign\\"} "', '"非法请求"', '"\\ud7ff\\ue000"',
    '[ 1 , { "a" : [ ] } ]',
]  # fmt: skip

# What only BODY-2 asks for.
EXACT = [
    "9007199254740993", "-9007199254740993", "9223372036854775807", "9223372036854775808",
    "18446744073709551615", "18446744073709551616", "123456789012345678901234567890", "1" * 1000, "1e400",
    "-1e400", "1E400", "1e-400", "-0", "0.0", "-0.0", "1.0", "1.50", "1e2", "1E2", "1e+2", "1e02", "100e-2",
    "0e0", "1E+2", "1.0E-02", "0.1000000000000000055511151231257827", "3.14159265358979323846264338",
    "1e999999999999",
    "0." + "0" * 400 + "1", '{"b":1,"a":2,"c":3}', '{"2":0,"1":0,"10":0}',
    '{"z":{"y":1,"x":2},"a":[{"q":1,"p":2}]}', '{"a":1,"a":2}', '{"a":1,"b":2,"a":3}', '{"a":1,"\\u0061":2}',
    '[{"a":1,"a":1}]', '{"":1,"":2}', '{"__proto__":1,"__proto__":2}', '[1.0,1,1e0,10e-1,-0,0]',
    '"\ufffe\uffff"', '{"\\uffff":"\\ufdd0"}',
]  # fmt: skip


def _exactly(text: str) -> object:
    """A JSON text as a value that keeps the digits of numbers, the order of members and repeated names."""
    try:
        return json.loads(
            text,
            parse_int=lambda digits: ("number", digits),
            parse_float=lambda digits: ("number", digits),
            object_pairs_hook=lambda pairs: ("object", pairs),
        )
    except ValueError:
        raise Mismatch("a message that is one JSON object", show_text(text)) from None


def expect_exactly(client: Conversation, body: str) -> None:
    """The next message must have this body, digit for digit."""
    __tracebackhide__ = True
    text = client.recv_text()
    delivery = _exactly(text)
    assert isinstance(delivery, tuple)
    got = [value for name, value in delivery[1] if name == "body"]
    if got != [_exactly(body)]:
        raise Mismatch(f"the body {show_text(body)}", show_text(text))
