"""Failures that the implementer knows of and has not mended yet: a file in the server's own repository.

A listed check that fails in the listed way is allowed; one that passes, or fails in another way, is not: then
the file no longer says what the server does.

    [[failure]]
    clause = "MSG-4"
    check = "test_04_msg.py::test_a_msg_of_a_stranger_reaches_nobody"
    fingerprint = "0d9f2c3b5a17"
    reason = "strangers may write until the old client is gone"
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from chatcheck.report import save
from chatcheck.report.model import RED, CheckResult, ClauseResult
from chatcheck.settings import WrongUse, nearest

_FINGERPRINT_SIZE = 12
# What differs from run to run: random names and tokens, numbers with fractions (times), long ones (ports).
_PASSING = re.compile(r"[0-9a-f]{8,}|[A-Za-z0-9+/_=-]{20,}|\d+\.\d+|\d{5,}")


@dataclass(frozen=True)
class KnownFailure:
    """One failure of one check."""

    clause: str
    check: str
    fingerprint: str
    reason: str


def fingerprint(verdict: str, wrong: str) -> str:
    """What two failures have in common if they are the same one, whatever random names the runs used."""
    same = _PASSING.sub("…", " ".join(wrong.split()))
    return hashlib.sha256(f"{verdict}\n{same}".encode("utf-8", "backslashreplace")).hexdigest()[
        :_FINGERPRINT_SIZE
    ]


def read_known_failures(
    path: Path, clauses: Iterable[str], need_reasons: bool = True
) -> dict[str, KnownFailure]:
    """The failures by the names of their checks. Raises WrongUse if the file is not as it has to be."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WrongUse(f"--known-failures {path}: {error}") from None
    known: dict[str, KnownFailure] = {}
    entries = data.pop("failure", [])
    if data or not isinstance(entries, list):
        raise WrongUse(
            f"{path}: expected nothing but [[failure]] tables, as 'chatcheck baseline' writes them"
        )
    clauses = set(clauses)
    for number, entry in enumerate(entries, 1):
        failure = _read_entry(entry, f"{path}: failure {number}")
        if failure.clause not in clauses:
            raise WrongUse(
                f"{path}: there is no clause {failure.clause!r}; {nearest(failure.clause, clauses)}"
            )
        if need_reasons and not failure.reason.strip():
            raise WrongUse(
                f"{path}: {failure.clause}, {failure.check} has no reason yet: "
                "write why this failure is accepted, for whoever finds it there"
            )
        known[failure.check] = failure
    return known


def _read_entry(entry: object, where: str) -> KnownFailure:
    names = [field.name for field in fields(KnownFailure)]
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in names):
        raise WrongUse(f"{where}: expected the strings {', '.join(names)}")
    if extra := sorted(entry.keys() - set(names)):
        raise WrongUse(f"{where}: unknown key {extra[0]!r}; {nearest(extra[0], names)}")
    return KnownFailure(**entry)


def judge(check: CheckResult, known: KnownFailure | None) -> CheckResult:
    """The check as it counts for somebody who knows of this failure."""
    if known is None or check.verdict not in (*RED, "pass"):
        return check
    if check.verdict == "pass":
        wrong = "it passes, but is listed as a known failure: remove it from the file"
        return replace(check, verdict="fail", message=wrong)
    if check.fingerprint == known.fingerprint:
        return replace(check, verdict="known", known=known.reason)
    return replace(check, message=f"not the known failure, but another one: {check.message}")


def write_baseline(path: Path, clauses: Iterable[ClauseResult], before: dict[str, KnownFailure]) -> int:
    """Write the red checks of a run as known failures; how many there are.

    A failure that was known before keeps its reason, others have one to be filled in.
    """
    texts: dict[str, str] = {}
    for clause in clauses:
        for check in clause.checks:
            if check.verdict in RED and check.name not in texts:
                failure = KnownFailure(clause.id, check.name, check.fingerprint or "", "")
                if (old := before.get(check.name)) and old.fingerprint == failure.fingerprint:
                    failure = replace(failure, reason=old.reason)
                texts[check.name] = _entry_text(failure, check.message)
    head = "# Known failures of this server; each needs its reason. Written by 'chatcheck baseline'.\n"
    save("\n".join([head, *texts.values()]), path)
    return len(texts)


def _entry_text(failure: KnownFailure, message: str) -> str:
    lines = ["[[failure]]", f"# {_comment(message)}"]
    lines += [f"{name} = {_quote(value)}" for name, value in asdict(failure).items()]
    return "\n".join(lines) + "\n"


def _quote(text: str) -> str:
    """A TOML string; JSON's escapes are TOML's, but that DEL has to be escaped, too."""
    return json.dumps(text).replace("\x7f", "\\u007f")


def _comment(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)[:200]
