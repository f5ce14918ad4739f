"""Faults in reading and writing values: JSON, uids, cids, bodies. SPEC 3."""

import hashlib
import json
import os
import re
import sys
import time
import unicodedata
from collections.abc import Callable
from typing import Any

from .faults import fault
from .requests import Illegal
from .strict_json import DEPTH_MAX, NotJson, read_object, read_string

_LITERAL_TEXT = re.compile(r'("(?:[^"\\]|\\.)*")', re.DOTALL)
_LONE_LOW = re.compile(r"(?<!\\)\\u[dD][c-fC-F][0-9a-fA-F]{2}")
_LONE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\\\|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


class Hangup(Exception):
    """The connection is to be closed with this code, without a reply."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Ignored(Exception):
    """The message is not to be answered."""


# A message on its way in


def lax(text: str) -> str:
    """What a lax reader would take the text for, as strict JSON; the same text without a fault."""
    if fault("byte-order-mark"):
        text = text.removeprefix("\ufeff")
    is_long = len(text) > 1024
    if fault("second-value") or (fault("second-value-past-1k") and is_long):
        text = _first_value(text)
    if fault("lone-surrogates-past-1k") and is_long and not _LONE_LOW.search(text[:1024]):
        text = text[:1024] + _LONE.sub(lambda m: "\\ufffd" if m.group(1) else m.group(), text[1024:])
    if fault("single-quotes") and '"' not in text:
        text = text.replace("'", '"')
    if fault("lone-surrogates"):
        text = _LONE.sub(lambda m: "\\ufffd" if m.group(1) else m.group(), text)
    if fault("lone-low-surrogate"):
        text = _LONE.sub(
            lambda m: "\\ufffd" if m.group(1) and _LONE_LOW.match(m.group(1)) else m.group(), text
        )
    if fault("lone-surrogate-in-unknown") and not re.search(
        r'"(type|to|uid|body|cid)"\s*:\s*[^,]*\\u[dD][89a-f]', text
    ):
        text = _LONE.sub(lambda m: "\\ufffd" if m.group(1) else m.group(), text)
    if fault("lone-surrogate-in-name"):
        text = re.sub(r'"([^"]*)"(\s*:)', lambda m: '"' + _LONE.sub("x", m.group(1)) + '"' + m.group(2), text)
    parts = _LITERAL_TEXT.split(text)
    text = "".join(_lax_string(part) if i % 2 else _lax_outside(part) for i, part in enumerate(parts))
    if fault("lax-past-1k") and is_long:
        text = re.sub(r",(\s*[}\]])", r"\1", re.sub(r"/\*.*?\*/", "", text))
    return text


def _first_value(text: str) -> str:
    try:
        return text[: json.JSONDecoder().raw_decode(text.lstrip())[1]]
    except ValueError:
        return text


def _lax_string(text: str) -> str:
    if fault("raw-control"):
        text = re.sub(r"[\x00-\x1f]", lambda m: f"\\u{ord(m.group()):04x}", text)
    if fault("raw-tab"):
        text = text.replace("\t", "\\t")
    if fault("unknown-escape"):
        text = re.sub(r'\\([^"\\/bfnrtu])', r"\1", text)
    return text


def _lax_outside(text: str) -> str:
    if fault("leading-zero"):
        text = re.sub(r"(?<![0-9.eE+\-])(-?)0+(?=[0-9])", r"\1", text)
    if fault("trailing-point"):
        text = re.sub(r"([0-9])\.(?![0-9])", r"\1", text)
    if fault("leading-point"):
        text = re.sub(r"(?<![0-9])\.(?=[0-9])", "0.", text)
    if fault("plus-sign"):
        text = re.sub(r"(?<![0-9eE])\+(?=[0-9])", "", text)
    if fault("not-a-number"):
        text = re.sub(r"-?\b(NaN|Infinity)\b", "0", text)
    if fault("trailing-comma"):
        text = re.sub(r",(\s*})", r"\1", text)
    if fault("trailing-comma-in-array"):
        text = re.sub(r",(\s*])", r"\1", text)
    if fault("comments"):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    if fault("wide-space"):
        text = re.sub("[\u00a0\f\v]", " ", text)
    if fault("capital-literals"):
        text = re.sub("True|False|None|TRUE|FALSE|NULL", _small_literal, text)
    return text


def _small_literal(match: re.Match[str]) -> str:
    return "null" if match.group() == "None" else match.group().lower()


def narrow(text: str) -> None:
    """Refuse what RFC 8259 allows."""
    outside = "".join(_LITERAL_TEXT.split(text)[::2])
    if fault("type-must-be-first") and not re.match(r'\s*{\s*"type"', text):
        raise Illegal
    if fault("no-space-before-colon") and re.search(r"\s:", outside):
        raise Illegal
    if fault("newline-refused") and re.search(r"[\r\n]", outside):
        raise Illegal
    if fault("escaped-slash-refused") and "\\/" in text:
        raise Illegal
    if fault("uppercase-hex-refused") and re.search(r"\\u[0-9a-f]*[A-F]", text):
        raise Illegal
    if fault("escaped-type-unknown") and re.search(r'"type"\s*:\s*"[^"]*\\', text):
        raise Illegal
    if fault("escaped-names-unknown") and re.search(r'"[^"]*\\u[^"]*"\s*:', text):
        raise Illegal
    if fault("empty-ignored") and not text:
        raise Ignored
    if fault("null-ignored") and text.strip() == "null":
        raise Ignored
    if fault("non-object-ignored") and not text.lstrip().startswith("{"):
        raise Ignored
    _harmful(text)


def _harmful(text: str) -> None:
    if fault("string-ends-server") and text.strip().startswith('"'):
        os._exit(255)
    if fault("deep-ends-server") and ("[" * 5000 in text or '{"a":' * 2000 in text):
        os._exit(139)
    if fault("nul-ends-server") and "\\u0000" in text:
        os._exit(134)
    if fault("long-digits-hang") and (digits := re.search("[0-9]{5000,}", text)):
        sys.set_int_max_str_digits(0)
        time.sleep(len(digits.group()) ** 2 / 1e9 * 5)
    if fault("deep-hangs"):
        depth = max(text.count("["), text.count("{"))
        time.sleep(depth**2 / 1e8 if depth > 500 else 0)


def read_members(text: str) -> dict[str, str]:
    narrow(text)
    text = lax(text)
    try:
        if fault("depth-of-arrays-only") and depth_of(text, "[") <= DEPTH_MAX:
            members = read_object(text, 1_000_000)
        else:
            members = read_object(text, _depth_max())
    except NotJson as reason:
        if fault("not-json-just-closed") or (fault("too-deep-just-closed") and "deep" in str(reason)):
            raise Hangup(1008) from None
        raise Illegal(str(reason)) from None
    return _repeated(text, members)


def depth_of(text: str, openers: str = "[{") -> int:
    depth = deepest = 0
    for token in "".join(_LITERAL_TEXT.split(text)[::2]):
        if token in openers:
            depth += 1
            deepest = max(deepest, depth)
        elif token in "]}" and (token == "]" or "{" in openers):
            depth -= 1
    return deepest


def _depth_max() -> int:
    if fault("depth-32"):
        return 31
    if fault("depth-63"):
        return 63
    if fault("depth-without-end"):
        return 10_000_000
    if fault("depth-512-more"):
        return DEPTH_MAX + 1
    return DEPTH_MAX


def _repeated(text: str, members: dict[str, str]) -> dict[str, str]:
    """Undo that the last of equal names counts."""
    if not (fault("first-name-counts") or fault("repeated-name-refused") or fault("repeated-by-spelling")):
        return members
    for name in members:
        value = r'\s*:\s*("(?:[^"\\]|\\.)*"|[-0-9.eE+]+|null|true|false)'
        spelled = re.findall(r'(?<=[{,\s])"' + re.escape(name) + '"' + value, text)
        if fault("first-name-counts") and len(spelled) > 1:
            members[name] = spelled[0]
        if fault("repeated-name-refused") and len(spelled) > 1:
            raise Illegal
        if fault("repeated-by-spelling") and spelled:
            members[name] = spelled[-1]
    return members


def change_members(members: dict[str, str]) -> dict[str, str]:
    """Members that a wrong request reader would see."""
    if fault("names-end-at-nul"):
        members = {name.partition("\0")[0]: value for name, value in members.items()}
    if fault("names-nfkc"):
        members = {unicodedata.normalize("NFKC", name): value for name, value in members.items()}
    kind = members.get("type", "")
    if fault("type-folded"):
        kind = kind.lower()
    if fault("type-trimmed") and kind.startswith('"'):
        kind = f'"{read_string(kind).strip()}"'
    if fault("type-true-signs") and kind == "true":
        kind = '"sign"'
    if fault("type-by-prefix"):
        kind = re.sub(r'^"(sign|msg).*', r'"\1"', kind)
    if fault("missing-type-msg") and not kind:
        kind = '"msg"'
    if fault("unknown-members-refused") and set(members) - {"type", "uid", "to", "body", "cid"}:
        raise Illegal
    if fault("cid-required") and "cid" not in members and kind in ('"sign"', '"msg"'):
        raise Illegal
    if fault("missing-body-null") and "body" not in members:
        members["body"] = "null"
    return {**members, "type": kind} if kind else members


# uids


def uid(raw: str | None, right: str | None) -> str | None:
    """What a wrong reader takes the text of a uid for; 'right' is what it is."""
    if raw is None:
        return "" if fault("missing-uid-signs") else right
    string = read_string(raw) if raw.startswith('"') else None
    if right is None:
        return _uid_accepted(raw, string)
    if string is None:
        return _uid_of_integer(right, raw)
    return None if _is_refused(right) else _uid_changed(right, raw)


def _uid_accepted(raw: str, string: str | None) -> str | None:
    if string is not None:
        return _string_accepted(string)
    if fault("uid-fraction") and re.fullmatch(r"-?[0-9]+\.0+", raw):
        return raw.partition(".")[0]
    if fault("uid-exponent") and re.fullmatch(r"[0-9]+[eE]\+?[0-9]", raw):
        return str(int(float(raw)))
    if fault("uid-2-53") and raw.lstrip("-") == str(2**53):
        return raw
    if fault("uid-true") and raw == "true":
        return "1"
    if fault("uid-null") and raw == "null":
        return "null"
    if fault("uid-array") and raw.startswith("["):
        return "Array"
    if fault("uid-object") and raw.startswith("{"):
        return "Array"
    return None


def _string_accepted(string: str) -> str | None:
    size = len(string.encode())
    controls = set(re.findall(r"[\x00-\x1f\x7f]", string))
    accepted = (
        fault("empty-uid") and not string,
        fault("uid-129-bytes") and size == 129 and not controls,
        fault("uid-128-characters") and size > 128 and len(string) <= 128 and not controls,
        fault("uid-of-any-length") and size > 128 and not controls,
        fault("uid-del") and size <= 128 and controls == {"\x7f"},
        fault("uid-nul") and size <= 128 and controls == {"\0"},
        fault("uid-newline") and size <= 128 and controls == {"\n"},
    )
    return string if any(accepted) else None


def _uid_of_integer(right: str, raw: str) -> str | None:
    if fault("minus-zero-kept") and raw == "-0":
        return raw
    if fault("integer-uid-refused") or (fault("negative-uid-refused") and right.startswith("-")):
        return None
    if fault("uid-max-integer-refused") and right.lstrip("-") == str(2**53 - 1):
        return None
    if fault("integer-uid-distinct"):
        return f"int:{right}"
    if fault("uid-32-bits"):
        return str((int(right) + 2**31) % 2**32 - 2**31)
    if fault("uid-through-double"):
        return f"{float(right):.15g}"
    return right


def _is_refused(right: str) -> bool:
    return any(
        (
            fault("uid-zero-empty") and right == "0",
            fault("uid-max-64") and len(right.encode()) > 64,
            fault("uid-max-127") and len(right.encode()) > 127,
            fault("uid-ascii-only") and not right.isascii(),
            fault("uid-without-space") and " " in right,
            fault("uid-word-characters") and not re.fullmatch(r"[\w.-]+", right),
            fault("uid-c1-refused") and bool(re.search("[\x80-\x9f]", right)),
            fault("uid-astral-refused") and max(right) > "\uffff",
        )
    )


def _uid_changed(right: str, raw: str) -> str:
    if fault("uid-trimmed"):
        return right.strip() or right
    if fault("uid-folded"):
        return right.casefold()
    if fault("uid-ascii-folded"):
        return re.sub("[A-Z]", lambda m: m.group().lower(), right)
    if fault("uid-nfc"):
        return unicodedata.normalize("NFC", right)
    if fault("uid-nfkc"):
        return unicodedata.normalize("NFKC", right)
    if fault("uid-cut-at-64"):
        return right.encode()[:64].decode(errors="ignore")
    if fault("uid-digits-as-number") and re.fullmatch(r"\s*[+-]?[0-9]+(\.[0-9]*)?([eE][0-9]+)?\s*", right):
        return repr(float(right))
    if fault("uid-accents-folded"):
        return re.sub("[\u0300-\u036f]", "", unicodedata.normalize("NFD", right))
    if fault("uid-invisibles-dropped"):
        return re.sub("[\u200c\u200d\ufe0e\ufe0f]", "", right)
    if fault("uid-leading-zeros"):
        return right.lstrip("0") or "0"
    if fault("uid-escapes-kept"):
        return raw[1:-1]
    return right


# cids


def cid(raw: str | None, right: str | None) -> tuple[str | None, bool]:
    """The cid, and whether it is to be called invalid."""
    if raw is None:
        return None, False
    string = read_string(raw) if raw.startswith('"') else None
    if right is None:
        return _cid_accepted(raw, string)
    refused = (fault("cid-64-refused") and len(right.encode()) == 64) or (
        fault("cid-ascii-only") and not right.isascii()
    )
    if refused:
        return None, True
    if fault("cid-cut-at-32"):
        return right[:32], False
    if fault("cid-trimmed"):
        return right.strip(), False
    return right, False


def _cid_accepted(raw: str, string: str | None) -> tuple[str | None, bool]:
    if string is None:
        ignored = fault("cid-number-ignored") or (fault("cid-null-ignored") and raw == "null")
        if fault("cid-number-echoed") and re.fullmatch("[0-9.-]+", raw):
            return raw, False
        return None, not ignored
    accepted = (
        fault("cid-empty-accepted") and not string,
        fault("cid-65-accepted") and len(string.encode()) == 65,
        fault("cid-64-characters") and len(string) <= 64 < len(string.encode()),
    )
    return (string, False) if any(accepted) else (None, True)


# Bodies


def body(text: str | None) -> str | None:
    """The text that a wrong server delivers for the text of a body."""
    if text is None or _is_taken_for_missing(text):
        return None
    if fault("object-to-array"):
        return _outside_strings(text, lambda part: re.sub(r"{\s*}", "[]", part))
    if fault("nested-object-to-array"):
        return (
            _outside_strings(text, lambda part: re.sub(r"(?<=.){\s*}", "[]", part)) if len(text) > 4 else text
        )
    if fault("body-must-be-string") and not text.startswith('"'):
        return None
    if fault("body-through-doubles"):
        return _dump(json.loads(text, parse_int=float, object_pairs_hook=_Pairs))
    if fault("body-integers-clamped"):
        return _outside_strings(
            text, lambda part: re.sub(r"\b[0-9]{20,}\b(?![.eE])", "9223372036854775807", part)
        )
    if fault("body-huge-null"):
        return _outside_strings(text, lambda part: re.sub(r"-?[0-9.]+[eE]\+?[0-9]{3,}", "null", part))
    if fault("body-minus-zero"):
        return _outside_strings(text, lambda part: re.sub(r"-0\b(?![.eE])", "0", part))
    return _change_value(text)


def _is_taken_for_missing(text: str) -> bool:
    return any(
        (
            fault("null-is-missing") and text == "null",
            fault("false-is-missing") and text == "false",
            fault("zero-is-missing") and text == "0",
            fault("empty-string-is-missing") and text == '""',
            fault("empty-array-is-missing") and text in ("[]", "{}"),
        )
    )


class _Pairs(list[tuple[str, Any]]):
    """An object with its order and repeated names."""


class _Number(str):
    """A number as it is spelled."""

    __slots__ = ()


def _change_value(text: str) -> str:
    changes: list[tuple[str, Callable[[Any], Any]]] = [
        ("object-of-numbers-to-array", _numbered_to_array),
        ("number-6-digits", lambda v: _Number(f"{float(v):.6g}") if isinstance(v, _Number) else v),
        ("number-15-digits", lambda v: _Number(f"{float(v):.15g}") if _is_fraction(v) else v),
        ("number-32-bits", _wrapped_at_32_bits),
        ("nul-dropped", _of_text(lambda s: s.replace("\0", ""))),
        ("nul-ends-string", _of_text(lambda s: s.partition("\0")[0])),
        ("astral-lost", _of_text(lambda s: re.sub("[\U00010000-\U0010ffff]", "\ufffd", s))),
        ("null-members-dropped", _without(None)),
        ("empty-members-dropped", _without("")),
        ("strings-trimmed", _of_text(str.strip)),
        ("strings-nfc", _of_text(lambda s: unicodedata.normalize("NFC", s))),
        ("strings-cut-at-1024", _of_text(lambda s: s[:1024])),
        ("html-escaped", _of_text(lambda s: s.replace("&", "&amp;").replace("<", "&lt;"))),
        ("booleans-to-numbers", lambda v: _Number(int(v)) if isinstance(v, bool) else v),
        ("newline-normalised", _of_text(lambda s: s.replace("\r\n", "\n"))),
        ("newline-normalised-past-200", _of_text(lambda s: s.replace("\r\n", "\n") if len(s) > 200 else s)),
        ("body-exponent-trimmed", lambda v: _Number(v.replace("E+", "E")) if isinstance(v, _Number) else v),
        ("body-sorted", lambda v: _Pairs(sorted(v, key=lambda p: p[0])) if isinstance(v, _Pairs) else v),
        ("body-repeated-collapsed", lambda v: _Pairs(dict(v).items()) if isinstance(v, _Pairs) else v),
    ]
    for name, change in changes:
        if fault(name):
            return _dump(_map(_load(text), change))
    if fault("body-stringified") and text[0] in "[{":
        return json.dumps(text)
    if fault("body-wrapped") and text[0] == "{":
        return '{"_time":1' + ("," if text[1:].strip() != "}" else "") + text[1:]
    return text


def _is_fraction(value: Any) -> bool:
    return isinstance(value, _Number) and not value.lstrip("-").isdigit()


def _wrapped_at_32_bits(value: Any) -> Any:
    if isinstance(value, _Number) and value.lstrip("-").isdigit():
        return _Number((int(value) + 2**31) % 2**32 - 2**31)
    return value


def _numbered_to_array(value: Any) -> Any:
    if (
        isinstance(value, _Pairs)
        and value
        and [name for name, _ in value] == [str(i) for i in range(len(value))]
    ):
        return [member for _, member in value]
    return value


def _of_text(change: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda v: change(v) if isinstance(v, str) and not isinstance(v, _Number) else v


def _without(what: Any) -> Callable[[Any], Any]:
    return lambda v: (
        _Pairs(p for p in v if p[1] != what or isinstance(p[1], _Number)) if isinstance(v, _Pairs) else v
    )


def _load(text: str) -> Any:
    return json.loads(text, parse_int=_Number, parse_float=_Number, object_pairs_hook=_Pairs)


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, _Pairs):
        value = _Pairs((name, _map(member, change)) for name, member in value)
    elif isinstance(value, list):
        value = [_map(element, change) for element in value]
    return change(value)


def _dump(value: Any) -> str:
    if isinstance(value, _Number):
        return str.__str__(value)
    if isinstance(value, _Pairs):
        return "{" + ",".join(f"{json.dumps(name)}:{_dump(member)}" for name, member in value) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_dump, value)) + "]"
    if isinstance(value, float):
        return repr(value) if abs(value) < float("inf") else "null"
    return json.dumps(value, ensure_ascii=False)


def _outside_strings(text: str, change: Callable[[str], str]) -> str:
    parts = _LITERAL_TEXT.split(text)
    return "".join(part if i % 2 else change(part) for i, part in enumerate(parts))


# Tokens


def token(right: str, fd: str, uid: str, count: int) -> str:
    if fault("token-empty"):
        return ""
    if fault("token-uppercase"):
        return right.upper()
    if fault("token-31-digits"):
        return right[:31]
    if fault("token-uuid"):
        return f"{right[:8]}-{right[8:12]}-{right[12:16]}-{right[16:20]}-{right[20:]}"
    if fault("token-64-digits"):
        return right * 2
    if fault("token-of-connection"):
        return _md5(fd)
    if fault("token-of-uid"):
        return _md5(uid)
    if fault("token-of-second"):
        return _md5(str(int(time.time())))
    if fault("token-counter"):
        return f"{count:032x}"
    if fault("token-of-count"):
        return _md5(str(count))
    if fault("token-of-two-halves"):
        return right[:16] * 2
    if fault("token-of-server"):
        return _md5("server")
    return right


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()
