"""SPEC.md's examples, the ```conversation blocks, as steps that can be run. Its section 1.4 has the notation.

Behind ```conversation may stand the feature that the example needs. Its lines are:

A> {"type":"sign","uid":"1001"}         A sends
A< {"status":1,…,"token":"<token>"}     A receives
A> close      A< close 1008             who closes
redis KEY = VALUE                       what Redis has: "a string", {a set}, none
redis-command WORD…                     what another program does to Redis
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from typing import Any

_BLOCK = re.compile(r"^```conversation(?: ([a-z]+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{2,4} (.*)$", re.MULTILINE)
_SAYS = re.compile(r"([A-Z])([<>]) (.*)")
_REDIS = re.compile(r"redis (.+) = (.+)")
_FD = re.compile(r"<fd ([A-Z])>")
_NAMES = re.compile(r'"(?:uid|to|from)":"?([^",}]+)"?')
_STALE = re.compile(r"\bstale-[a-z]+\b")


@dataclass(frozen=True)
class Send:
    client: str
    text: str


@dataclass(frozen=True)
class Receive:
    client: str
    message: dict[str, Any]


@dataclass(frozen=True)
class Close:
    client: str


@dataclass(frozen=True)
class Closed:
    client: str
    code: int


@dataclass(frozen=True)
class Command:
    words: list[str]


@dataclass(frozen=True)
class Holds:
    """Redis has this under the key: a string, a set of fds, or nothing."""

    key: str
    value: str | frozenset[str] | None


Step = Send | Receive | Close | Closed | Command | Holds


@dataclass(frozen=True)
class Example:
    """One block. `name` is the section's number and the block's place in it, such as 4.2-1."""

    name: str
    text: str
    feature: str | None = None


def find_examples(text: str) -> list[Example]:
    """All blocks of the document, in its order."""
    examples: list[Example] = []
    for block in _BLOCK.finditer(text):
        section = list(_HEADING.finditer(text, 0, block.start()))[-1][1].split()[0]
        place = sum(example.name.startswith(f"{section}-") for example in examples) + 1
        examples.append(Example(f"{section}-{place}", block[2], block[1]))
    return examples


def with_fresh_names(text: str) -> str:
    """The block with uids and stale fds that nobody else uses; a decimal uid may stand as a number."""
    names = {name: str(2**52 + secrets.randbits(52)) for name in _NAMES.findall(text) if name.isdigit()}
    names |= {name: f"{name}-{secrets.token_hex(4)}" for name in _STALE.findall(text)}
    for name, other in names.items():
        text = re.sub(rf"\b{re.escape(name)}\b(?!-)", other, text)
    return text


def parse(text: str) -> list[Step]:
    """The steps of a block. Raises ValueError at a line that is none."""
    return [_parse_line(line) for line in text.splitlines() if line.strip()]


def fd_owner(word: str) -> str | None:
    """The client whose fd `<fd A>` stands for; None if it is a literal one."""
    match = _FD.fullmatch(word)
    return match[1] if match else None


def _parse_line(line: str) -> Step:
    if match := _SAYS.fullmatch(line):
        return _parse_message(*match.groups())
    if line.startswith("redis-command "):
        return Command(line.split()[1:])
    if match := _REDIS.fullmatch(line):
        return Holds(match[1], _parse_value(match[2]))
    raise ValueError(f"no step of a conversation: {line}")


def _parse_message(client: str, direction: str, said: str) -> Step:
    if direction == ">":
        return Close(client) if said == "close" else Send(client, said)
    if match := re.fullmatch(r"close (\d+)", said):
        return Closed(client, int(match[1]))
    message = json.loads(said)
    if not isinstance(message, dict):
        raise ValueError(f"not an object: {said}")
    return Receive(client, message)


def _parse_value(value: str) -> str | frozenset[str] | None:
    if value == "none":
        return None
    if value.startswith('"'):
        return str(json.loads(value))
    if value.startswith("{") and value.endswith("}"):
        return frozenset(word.strip() for word in value[1:-1].split(","))
    raise ValueError(f"neither a string nor a set nor none: {value}")
