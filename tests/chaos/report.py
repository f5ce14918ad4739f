"""The verdict as text for people and JSON for programs; and of what went wrong, the message's whole life."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from chaos.journal import Fault, World, read_folder
from chaos.run import Course, Plan
from chaos.verdict import RULES, SENDED, Verdict

LIVES_MAX = 5  # that are printed
AROUND_SECONDS = 15.0  # faults so long before a message are a part of its life
LINES_MAX = 60


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
            lines += ["", f"the life of {one.key} ({one.rule}):", *life_of(one.key, plan.folder, world)]
    lines += [
        "",
        f"FAILED: {sum(verdict.counts.values()):,} violations; seed {plan.seed}; journals: {plan.folder}",
    ]
    return lines


def life_of(key: str, folder: Path, world: World) -> list[str]:
    """Everything that the journals say of a message, in the order in which it happened."""
    moments: list[tuple[float, str]] = []
    mark = json.dumps(key)
    sessions: set[int] = set()
    for journal in read_folder(folder):
        who = (
            f"client {journal.who.client} ({journal.who.uid}, {'since' if journal.who.has_since else 'old'})"
        )
        for line in journal.path.read_text(encoding="utf-8").splitlines()[1:]:
            if mark in line:
                row = json.loads(line)
                moments.append((row[1], f"{who}: {line}"))
                sessions.add(row[2])
    if moments:
        begin, end = min(moments)[0] - AROUND_SECONDS, max(moments)[0]
        faults = [fault for fault in world.faults if fault.began < end and fault.healed > begin]
        moments += [(fault.began, _told(fault)) for fault in faults] + _of_sessions(folder, sessions)
    return [f"  {at:10.3f}  {what}" for at, what in sorted(moments)][:LINES_MAX]


def _of_sessions(folder: Path, sessions: set[int]) -> list[tuple[float, str]]:
    """How the connections began and ended that the message went over."""
    found = []
    for journal in read_folder(folder):
        for line in journal.path.read_text(encoding="utf-8").splitlines()[1:]:
            if line.startswith(('["opened"', '["closed"', '["signing"')):
                row = json.loads(line)
                if row[2] in sessions:
                    found.append((row[1], f"client {journal.who.client}: {line}"))
    return found


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
