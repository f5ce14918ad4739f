"""The model's own parts: its JSON, its values, its framing, its table of faults."""

import asyncio
import filecmp
import random
import re
import subprocess
from pathlib import Path

import pytest

from .faults import FAULTS
from .frames import BINARY, CLOSE, PING, TEXT, Frame, Violation, encode_frame, read_frames
from .prove import _clauses, sample
from .prove_chatd import PATCHES, ROOT, _read
from .requests import Illegal, read_request
from .strict_json import DEPTH_MAX, NotJson, read_object, read_string

MASK = b"\x01\x02\x03\x04"


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("{}", {}),
        (' \t\r\n{ "a" : 1 , "b":[ ] }\n', {"a": "1", "b": "[ ]"}),
        ('{"a":-0.10e+05}', {"a": "-0.10e+05"}),
        ('{"a":1,"a":{"x":[{},[]]}}', {"a": '{"x":[{},[]]}'}),
        (r'{"\u0061":"\ud83d\ude00\\ud800"}', {"a": r'"\ud83d\ude00\\ud800"'}),
        ('{"a":"\x7f\u2028"}', {"a": '"\x7f\u2028"'}),
    ],
)
def test_an_object_is_read_as_texts(text: str, members: dict[str, str]) -> None:
    assert read_object(text) == members


NO_VALUES = [
    *(
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "True",
        "nul",
        "''",
        "//",
        "1 1",
        "\f1",
    ),
    *(r'"\x"', r'"\u12"', r'"\ud800"', r'"\udc00"', r'"\ud800\ud800"', '"', '"\t"', '"\0"'),
    *("[1,]", "[,1]", "{,}", '{"a":1,}', '{"a"}', '{"a":}', "{1:1}", "[1}", "]"),
]


@pytest.mark.parametrize("value", NO_VALUES)
def test_what_is_not_json_is_refused_as_a_value_at_every_level(value: str) -> None:
    for text in (f'{{"a":{value}}}', f'{{"a":[{value},1]}}', f'{{"a":{{"b":{value}}}}}'):
        with pytest.raises(NotJson):
            read_object(text)


@pytest.mark.parametrize(
    "text", ["", " ", "null", "[]", '"a"', "{}{}", "{} 1", "\ufeff{}", '{"a":1', "\u00a0{}"]
)
def test_what_is_not_one_object_is_refused(text: str) -> None:
    with pytest.raises(NotJson):
        read_object(text)


def test_an_object_cut_short_anywhere_is_refused() -> None:
    text = r'{"a":[1,{"b":"\u00e9\ud83d\ude00"}],"c":true}'
    assert read_object(text)
    for end in range(len(text)):
        with pytest.raises(NotJson):
            read_object(text[:end])


@pytest.mark.parametrize(("opener", "closer"), [("[", "]"), ('{"a":', "}")])
def test_nesting_is_limited_and_not_by_python(opener: str, closer: str) -> None:
    inner = "[]"
    for levels, legal in ((DEPTH_MAX, True), (DEPTH_MAX + 1, False), (100_000, False)):
        text = '{"a":' + opener * (levels - 2) + inner + closer * (levels - 2) + "}"
        if legal:
            assert read_object(text)
        else:
            with pytest.raises(NotJson, match="deep"):
                read_object(text)


def test_a_string_is_decoded() -> None:
    assert read_string(r'"\"\\\/\b\f\n\r\t\u0041\ud83d\ude00\\u0041"') == '"\\/\b\f\n\r\tA\U0001f600\\u0041'


@pytest.mark.parametrize(
    ("value", "uid"),
    [
        ('"0"', "0"),
        ("1001", "1001"),
        ("-0", "0"),
        ("-9007199254740991", "-9007199254740991"),
        ("9007199254740992", None),
        ("1.0", None),
        ("1e3", None),
        ("9" * 5000, None),
        ('""', None),
        (f'"{"a" * 128}"', "a" * 128),
        (f'"{"a" * 129}"', None),
        (f'"{"é" * 65}"', None),
        (r'"\u007f"', None),
        (r'"a\u0000"', None),
        ("true", None),
        ('["a"]', None),
    ],
)
def test_a_uid_is_a_short_string_or_a_small_integer(value: str, uid: str | None) -> None:
    assert read_request(f'{{"type":"sign","uid":{value}}}').uid == uid


@pytest.mark.parametrize("text", ['{"type":"Sign"}', '{"type":true}', '{"a":"sign"}', '{"type":["sign"]}'])
def test_a_type_is_compared_exactly(text: str) -> None:
    with pytest.raises(Illegal):
        read_request(text)


def frame(opcode: int, payload: bytes, final: bool = True, reserved: int = 0) -> bytes:
    """A masked frame, as a client sends it."""
    data = bytearray(encode_frame(opcode, payload))
    head = len(data) - len(payload)
    data[0] = (0x80 if final else 0) | reserved | opcode
    data[1] |= 0x80
    masked = bytes(byte ^ MASK[i % 4] for i, byte in enumerate(payload))
    return bytes(data[:head]) + MASK + masked


def read(data: bytes, message_max: int = 1000) -> list[Frame]:
    async def read_all() -> list[Frame]:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return [each async for each in read_frames(reader, message_max)]

    return asyncio.run(read_all())


CLOSING = frame(CLOSE, b"\x03\xe8")


def test_fragments_are_put_together_around_a_ping() -> None:
    euro = "€".encode()
    data = (
        frame(TEXT, euro[:1], final=False)
        + frame(PING, b"p")
        + frame(0, b"", final=False)
        + frame(0, euro[1:])
    )
    assert [(f.opcode, f.payload) for f in read(data + CLOSING)][:2] == [(PING, b"p"), (TEXT, euro)]


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_a_payload_of_any_length_is_unmasked(size: int) -> None:
    payload = bytes(i % 251 for i in range(size))
    assert read(frame(BINARY, payload) + CLOSING, 65536)[0].payload == payload


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (encode_frame(TEXT, b"{}"), 1002),
        (frame(TEXT, b"{}", reserved=0x10), 1002),
        (frame(3, b""), 1002),
        (frame(PING, b"", final=False), 1002),
        (frame(PING, b"p" * 126), 1002),
        (frame(0, b""), 1002),
        (frame(TEXT, b"", final=False) + frame(TEXT, b""), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, b"\x03\xed"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(TEXT, b"\xed\xa0\x80"), 1007),
        (frame(TEXT, b"a" * 1001), 1009),
        (frame(TEXT, b"a" * 600, final=False) + frame(0, b"a" * 401), 1009),
    ],
)
def test_what_breaks_the_rules_is_refused_with_its_code(data: bytes, code: int) -> None:
    with pytest.raises(Violation) as raised:
        read(data)
    assert raised.value.code == code


def test_each_fault_is_used_and_breaks_a_clause_of_the_specification() -> None:
    sources = "".join(p.read_text() for p in Path(__file__).parent.glob("f[ar]*.py") if p.name != "faults.py")
    quoted = set(re.findall(r'"([a-z0-9-]+)"', sources))
    assert [name for name in FAULTS if name not in quoted] == []
    assert {fault.clause for fault in FAULTS.values()} == set(_clauses())


def test_a_sample_has_a_fault_of_each_clause_before_the_second_of_any() -> None:
    faults = list(FAULTS.values())
    n_clauses = len({fault.clause for fault in faults})

    for seed in range(20):
        chosen = sample(faults, n_clauses, random.Random(seed))

        assert len({fault.clause for fault in chosen}) == n_clauses
        assert sample(faults, 10, random.Random(seed)) == chosen[:10]
    everything = sample(faults, 10_000, random.Random(1))
    assert sorted(fault.name for fault in everything) == sorted(FAULTS)


def test_each_patch_of_chatd_says_which_clause_it_breaks_and_how() -> None:
    patches = [_read(path) for path in PATCHES.glob("*.patch")]
    assert patches
    for patch in patches:
        assert patch.clause in _clauses(), patch.path.name
        assert patch.what, patch.path.name


def configure(folder: Path, fault: str) -> subprocess.CompletedProcess[str]:
    command = ["cmake", "-S", str(ROOT), "-B", str(folder), "-DCHAT_TESTS=OFF", f"-DCHAT_FAULT={fault}"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_build_with_a_fault_has_the_source_as_it_is_but_for_the_fault(tmp_path: Path) -> None:
    done = configure(tmp_path, "gap-not-noticed")
    assert done.returncode == 0, done.stderr

    copies = [path for path in tmp_path.glob("faulty/**/*") if path.is_file()]
    names = [copy.relative_to(tmp_path / "faulty") for copy in copies]
    assert len(names) > 50
    changed = [
        name for name in names if not filecmp.cmp(ROOT / name, tmp_path / "faulty" / name, shallow=False)
    ]
    assert changed == [Path("src/router/reader.c")]


def test_a_build_with_an_unknown_fault_says_which_there_are(tmp_path: Path) -> None:
    done = configure(tmp_path, "no-such-fault")
    assert done.returncode != 0
    assert "no-such-fault" in done.stderr
    assert "gap-not-noticed" in done.stderr
