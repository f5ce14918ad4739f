"""The verdict as text for people and JSON for programs; and of what went wrong, the message's whole life."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from chaos.journal import Fault, OnDisk, Who, World, read_folder
from chaos.run import Course, Plan
from chaos.verdict import RULES, SENDED, Verdict

LIVES_MAX = 5  # that are printed
AROUND_SECONDS = 15.0  # faults so long before a message are a part of its life
LINES_MAX = 60
CONNECTION_LINES = ('["opened"', '["closed"', '["signing"', '["paused"', '["resumed"')


def text_of(plan: Plan, course: Course, verdict: Verdict) -> str:
    """The whole report."""
    lines = [_headline(plan, course), "", *_figures(course.counts, verdict), "", *_kinds(course.world)]
    if verdict.excused:
        lines += ["", "known to be lost or repeated, and so not counted:"]
        lines += [f"  {n:9,}  {what}" for what, n in sorted(verdict.excused.items())]
    lines += [""]
    if verdict.is_good:
        lines += [f"PASSED: 0 lost of {verdict.checked[SENDED]:,} messages; seed {plan.seed}"]
    else:
        lines += _broken(plan, course.world, verdict)
    return "\n".join(lines)


def _headline(plan: Plan, course: Course) -> str:
    return (
        f"{plan.nodes} nodes, {plan.clients} clients, Redis with appendfsync {plan.appendfsync},"
        f" seed {plan.seed}: {course.seconds:.0f} s, {len(course.world.faults)} faults"
    )


def _figures(counts: Counter[str], verdict: Verdict) -> list[str]:
    lines = ["checked:"]
    lines += [f"  {n:9,}  {what}" for what, n in verdict.checked.items()]
    lines += ["on the way:"]
    return lines + [f"  {n:9,}  {what}" for what, n in sorted(counts.items())]


def _kinds(world: World) -> list[str]:
    kinds = Counter(fault.kind for fault in world.faults)
    return ["faults:"] + [f"  {n:9,}  {kind}" for kind, n in sorted(kinds.items())]


def _broken(plan: Plan, world: World, verdict: Verdict) -> list[str]:
    lines = []
    for rule, n in verdict.counts.items():
        lines.append(f"BROKEN {n:,} times: {rule}: {RULES[rule]}")
        lines += [f"    {one.key or ''} {one.what}" for one in verdict.violations if one.rule == rule][:5]
    told: set[str] = set()
    for one in verdict.violations:
        if one.key and one.key not in told and len(told) < LIVES_MAX:
            told.add(one.key)
            lines += [
                "",
                f"the life of {one.key} ({one.rule}):",
                *life_of(one.key, one.client, plan.folder, world),
            ]
    lines += [
        "",
        f"FAILED: {sum(verdict.counts.values()):,} violations; seed {plan.seed}; journals: {plan.folder}",
    ]
    return lines


def life_of(key: str, client: int | None, folder: Path, world: World) -> list[str]:
    """Everything that the journals say of a message, and of the client that missed it, in its order."""
    told: list[tuple[float, str]] = []
    sessions: set[int] = set()
    for journal, line in _lines(folder):
        if json.dumps(key) in line:
            row = json.loads(line)
            told.append((row[1], f"{_name(journal.who)}: {line}"))
            sessions.add(row[2])
    if not told:
        return []
    begin, end = min(told)[0] - AROUND_SECONDS, max(told)[0] + AROUND_SECONDS
    for journal, line in _lines(folder):
        if line.startswith(CONNECTION_LINES):
            row = json.loads(line)
            if row[2] in sessions or (journal.who.client == client and begin < row[1] < end):
                told.append((row[1], f"{_name(journal.who)}: {line}"))
    faults = [fault for fault in world.faults if fault.began < end and fault.healed > begin]
    told += [(fault.began, _told(fault)) for fault in faults]
    return [f"  {at:10.3f}  {what}" for at, what in _middle_cut(sorted(told))]


def _middle_cut(told: list[tuple[float, str]]) -> list[tuple[float, str]]:
    if len(told) <= LINES_MAX:
        return told
    half = LINES_MAX // 2
    return [*told[:half], (told[half][0], f"… {len(told) - LINES_MAX} more …"), *told[-half:]]


def _lines(folder: Path) -> Iterator[tuple[OnDisk, str]]:
    for journal in read_folder(folder):
        for line in journal.path.read_text(encoding="utf-8").splitlines()[1:]:
            yield journal, line


def _name(who: Who) -> str:
    return f"client {who.client} ({who.uid}, {'since' if who.has_since else 'old'})"


def _told(fault: Fault) -> str:
    return (
        f"FAULT {fault.kind} {fault.target} {fault.detail}: in effect from {fault.effective:.3f}"
        f" to {fault.healing:.3f}, healed {fault.healed:.3f}"
    )


def json_of(plan: Plan, course: Course, verdict: Verdict) -> dict[str, object]:
    return {
        "passed": verdict.is_good,
        "seed": plan.seed,
        "nodes": plan.nodes,
        "clients": plan.clients,
        "appendfsync": plan.appendfsync,
        "seconds": round(course.seconds, 1),
        "faults": Counter(fault.kind for fault in course.world.faults),
        "counts": course.counts,
        "checked": verdict.checked,
        "excused": verdict.excused,
        "broken": verdict.counts,
        "violations": [one._asdict() for one in verdict.violations],
    }
