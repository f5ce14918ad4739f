"""What the checker found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

SENDED = "messages answered 'sended'"
KEPT_MAX = 20  # violations of each rule that are kept; all are counted

RULES = {
    "lost": "what was answered 'sended' reaches every device that comes back",
    "twice": "a device that passes since gets nothing twice, any other one not within a session",
    "order": "ids rise, on every device alike, and in the order in which a connection sent",
    "stored-twice": "a retry is not a second message",
    "from": "from is the uid that the sender signed as",
    "body": "the body is the one that was sent",
    "stranger": "nobody gets what was sent to another uid, or to nobody",
    "cut-off": "a node that cannot reach Redis does not say 'sended'",
    "reply": "each request has one reply, in order, with its cid and the message's id",
    "late": "a request is answered in time",
    "recovered": "a node works again soon after the trouble has ended",
    "gap": "gap is said only after something was dropped",
    "broadcast": "a broadcast reaches every device exactly once, in its sender's order",
    "kept": "a broadcast reaches nobody who signed after its reply, 2 s later on another node",
    "traces": "Redis holds no key of a dead connection, and those of live ones",
    "alive": "no process ends by itself",
    "return": "every client comes back in the end",
}


class Violation(NamedTuple):
    rule: str
    what: str
    key: str | None = None  # of the message
    client: int | None = None  # whose device it was


@dataclass
class Verdict:
    violations: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)  # rule -> how often it was broken
    excused: Counter[str] = field(default_factory=Counter)  # what faults are known to cost
    missing: dict[str, float] = field(default_factory=dict)  # keys lost, excused or not: stored since when
    checked: Counter[str] = field(default_factory=Counter)  # how much there was to check

    def broken(self, rule: str, what: str, key: str | None = None, client: int | None = None) -> None:
        assert rule in RULES, rule
        self.counts[rule] += 1
        if self.counts[rule] <= KEPT_MAX:
            self.violations.append(Violation(rule, what, key, client))

    @property
    def is_good(self) -> bool:
        return not self.counts
