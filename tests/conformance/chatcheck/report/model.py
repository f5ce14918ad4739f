"""What a run of the suite found out, as data: the plugin makes it, the writers of this folder print it.

Report → ClauseResult (one for each clause of SPEC.md, in its order) → CheckResult → Line of the conversation.
As JSON the names are the same; report.schema.json beside this file describes it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

FORMAT = 1
# Worst first: of several checks of a clause the worst verdict is the clause's. "known" is a failure that the
# known-failures file lists, and that fails the same way.
VERDICTS = ("error", "fail", "inconclusive", "warn", "known", "pass", "untested", "not_applicable")
RED = ("error", "fail", "inconclusive")
CONFORMANT, NOT_CONFORMANT, BROKEN = "conformant", "not conformant", "broken"

_ALIKE_MIN = 4  # clauses that have failed of the same: one cause is likely
_ON_WHICH = re.compile(r" on [A-Z][0-9]*(?![\w-])")  # a connection's name in a message
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class ReportError(ValueError):
    """A text is no report of this format."""


@dataclass(frozen=True)
class Suite:
    """The suite that has checked."""

    name: str
    version: str


@dataclass(frozen=True)
class TargetInfo:
    """The server that was checked. `start` is the command that starts it, if the suite did."""

    name: str
    url: str | None
    start: str | None


@dataclass(frozen=True)
class Line:
    """One event of a conversation.

    `direction`: ">" by the suite, "<" by the server, "-" neither. `kind`: text, binary, continuation, close,
    ping, pong, raw, http, connect, end, note, …  `text` is for people: escaped, and cut if it is long.
    `code` is a close frame's or an HTTP response's.
    """

    t_s: float
    connection: str
    port: int | None
    direction: str
    kind: str
    text: str
    code: int | None = None


@dataclass(frozen=True)
class CheckResult:
    """One test. `name` is pytest's node id, `message` says in one line what was wrong, `known` is the reason
    that the known-failures file gives, `replay` a Python script."""

    name: str
    verdict: str
    duration_s: float
    message: str = ""
    expected: str | None = None
    got: str | None = None
    fingerprint: str | None = None
    known: str | None = None
    conversation: tuple[Line, ...] = ()
    replay: str | None = None
    server_log: str = ""


@dataclass(frozen=True)
class ClauseResult:
    """One clause of SPEC.md. `reason`: why it is untested or not applicable."""

    id: str
    section: str
    level: str
    sentence: str
    original: bool
    verdict: str
    reason: str | None = None
    checks: tuple[CheckResult, ...] = ()
    section_title: str = ""

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that a reader wants explained: red ones, warnings, and known failures."""
        return tuple(c for c in self.checks if c.verdict in (*RED, "warn", "known"))

    @property
    def first_message(self) -> str:
        """What the first check with the clause's verdict says, or why it may."""
        return next((c.known or c.message for c in self.checks if c.verdict == self.verdict), "")


@dataclass(frozen=True)
class Report:
    """One run. `started` is ISO 8601 in UTC; `counts` how many clauses have which verdict."""

    suite: Suite
    spec_version: str
    target: TargetInfo
    profile: str
    features: tuple[str, ...]
    started: str
    duration_s: float
    verdict: str
    counts: dict[str, int]
    clauses: tuple[ClauseResult, ...]
    arguments: tuple[str, ...] = ()
    format: int = FORMAT

    @property
    def explained(self) -> list[tuple[ClauseResult, CheckResult]]:
        """Every failed check with its clause, red ones before warnings, else in SPEC's order."""
        pairs = [(clause, check) for clause in self.clauses for check in clause.failures]
        return sorted(pairs, key=lambda pair: pair[1].verdict not in RED)

    @property
    def alike(self) -> list[str]:
        """A sentence on each thing that many clauses have failed of."""
        groups: dict[str, list[str]] = defaultdict(list)
        for clause in self.clauses:
            if clause.verdict in RED:
                groups[_ON_WHICH.sub("", clause.first_message)].append(clause.id)
        return [
            f"{len(ids)} clauses failed of the same, so there may be one cause: {message} ({' '.join(ids)})"
            for message, ids in groups.items()
            if len(ids) >= _ALIKE_MIN
        ]


def worst(verdicts: Iterable[str]) -> str:
    """The verdict on a clause whose checks have these; without any it is untested."""
    return min(verdicts, key=VERDICTS.index, default="untested")


def count(clauses: Iterable[ClauseResult]) -> dict[str, int]:
    """How many clauses have which verdict; verdicts that none has are left out."""
    counter = Counter(clause.verdict for clause in clauses)
    return {verdict: counter[verdict] for verdict in VERDICTS if counter[verdict]}


def to_json(report: Report) -> dict[str, Any]:
    """The report as JSON's values. Lone surrogates, which no UTF-8 has, are escaped as \\udXXX."""
    value: dict[str, Any] = _plain(dataclasses.asdict(report))
    return {"format": value.pop("format"), **value}


def from_json(value: object) -> Report:
    """The report in JSON's values. Raises ReportError, which says where, unless it is one of this format."""
    if isinstance(value, dict) and value.get("format") != FORMAT:
        raise ReportError(f"format: expected {FORMAT}, not {value.get('format')!r}")
    report: Report = _build(Report, value, "report")
    return report


def loads(text: str | bytes) -> Report:
    """The report in this JSON text. Raises ReportError."""
    try:
        return from_json(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise error if isinstance(error, ReportError) else ReportError(f"no JSON: {error}") from None


def clean(text: str) -> str:
    """The text without lone surrogates, so that it can be encoded."""
    return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _build(kind: Any, value: Any, where: str) -> Any:
    """A value of this type from JSON's values; names that are not known are a newer suite's, and left out."""
    if dataclasses.is_dataclass(kind):
        return _build_record(kind, value, where)
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return None if value is None else _build(parts[0], value, where)
    if origin is tuple and isinstance(value, list):
        return tuple(_build(parts[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is dict and isinstance(value, dict):
        return {name: _build(parts[1], item, f"{where}.{name}") for name, item in value.items()}
    if kind is float and type(value) in (int, float):
        return float(value)
    if type(value) is not kind:
        raise ReportError(f"{where}: expected {getattr(kind, '__name__', kind)}, not {type(value).__name__}")
    return value


def _build_record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ReportError(f"{where}: expected an object, not {type(value).__name__}")
    hints = typing.get_type_hints(kind)
    members = {}
    for field in dataclasses.fields(kind):
        if field.name in value:
            members[field.name] = _build(hints[field.name], value[field.name], f"{where}.{field.name}")
        elif field.default is dataclasses.MISSING:
            raise ReportError(f"{where}: {field.name} is missing")
    if "verdict" in members and kind is not Report and members["verdict"] not in VERDICTS:
        raise ReportError(f"{where}.verdict: {members['verdict']!r} is none")
    return kind(**members)
