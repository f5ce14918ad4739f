"""RFC 8259 to the letter, over text that keeps its spelling. SPEC 3.1.

Python's own json module is too lax for a model: it takes NaN and lone surrogates, turns numbers into
doubles, and has a recursion limit of its own. This reader builds no values at all. It proves that a text is
one JSON object and returns each member's value as the text it was written in, so that a body can be relayed
unchanged.
"""

import re

DEPTH_MAX = 512  # [JSON-7] the documented limit

_SPACE = re.compile(r"[ \t\n\r]*+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?", re.ASCII)
_STRING = re.compile(
    r'"(?:[^"\\\x00-\x1f]++'
    r'|\\["\\/bfnrt]'
    r"|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}"
    r"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # [JSON-3] only both halves together
    r')*+"'
)
_LITERAL = re.compile(r"true|false|null")
_ESCAPE = re.compile(r"\\(?:u([dD][89abAB]..)\\u(....)|u(....)|(.))")
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


class NotJson(Exception):
    """The text is not one JSON object, or one nested too deep."""


def read_object(text: str, depth_max: int = DEPTH_MAX) -> dict[str, str]:
    """The members of the object that 'text' is: decoded name -> text. The last of equal names counts."""
    members: dict[str, str] = {}
    at = _skip(text, 0)
    if not text.startswith("{", at):
        raise NotJson("not an object")
    at = _skip(text, at + 1)
    if text.startswith("}", at):
        return _finish(text, at + 1, members)
    while True:
        name, at = _name(text, at)
        end = _value(text, at, depth_max - 1)
        members[name] = text[at:end]
        at = _skip(text, end)
        if text.startswith("}", at):
            return _finish(text, at + 1, members)
        at = _skip(text, _expect(text, at, ","))


def read_string(text: str) -> str:
    """The string that a value's text stands for; the text has been through read_object."""
    return _ESCAPE.sub(_unescape, text[1:-1])


def _unescape(match: re.Match[str]) -> str:
    high, low, single, short = match.groups()
    if high:
        return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00))
    if single:
        return chr(int(single, 16))
    return _SHORT.get(short, short)


def _finish(text: str, at: int, members: dict[str, str]) -> dict[str, str]:
    if _skip(text, at) != len(text):
        raise NotJson("something stands behind the object")
    return members


def _value(text: str, at: int, depth_max: int) -> int:
    """The end of the value that begins at 'at'. Keeps its own stack: no input can exhaust Python's."""
    closers: list[str] = []
    while True:
        opener = text[at : at + 1]
        if opener in ("{", "["):
            closers.append("}" if opener == "{" else "]")
            if len(closers) > depth_max:
                raise NotJson("nested too deep")
            at = _skip(text, at + 1)
            if not text.startswith(closers[-1], at):
                at = _element(text, at, closers)
                continue
            closers.pop()
            at += 1
        else:
            at = _scalar(text, at)
        # A value is complete: close what it completes, then go on to the next one.
        while closers:
            at = _skip(text, at)
            if not text.startswith(closers[-1], at):
                at = _element(text, _skip(text, _expect(text, at, ",")), closers)
                break
            closers.pop()
            at += 1
        else:
            return at


def _element(text: str, at: int, closers: list[str]) -> int:
    """The begin of the next value in the innermost array or object, behind its name if it has one."""
    return _name(text, at)[1] if closers[-1] == "}" else at


def _scalar(text: str, at: int) -> int:
    first = text[at : at + 1]
    pattern = _STRING if first == '"' else _LITERAL if first in ("t", "f", "n") else _NUMBER
    match = pattern.match(text, at)
    if match is None:
        raise NotJson(f"no value at {at}")
    return match.end()


def _name(text: str, at: int) -> tuple[str, int]:
    match = _STRING.match(text, at)
    if match is None:
        raise NotJson(f"no name at {at}")
    return read_string(match.group()), _skip(text, _expect(text, _skip(text, match.end()), ":"))


def _expect(text: str, at: int, token: str) -> int:
    if not text.startswith(token, at):
        raise NotJson(f"no {token} at {at}")
    return at + 1


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None  # the pattern matches nothing, too
    return match.end()
