"""What is lost when: each row of the table in docs/loss.md, measured.

For each row a run of its own. A quarter of the clients is away when the fault comes, so that there are
messages that nobody has got yet; everybody comes back after it. Nothing is excused here: a message is lost
if it was answered 'sended' and one device that came back never got it.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace

from chaos.checker import check
from chaos.journal import Fault, read_folder
from chaos.run import Plan, Run
from chaos.schedule import Planned
from chaos.verdict import RULES, SENDED, Verdict

AWAY_SHARE = "0.25"
AWAY_SECONDS = 6.0
WAIT_SECONDS = 3.0  # clients are away before the fault comes
ROUND_SECONDS = 12.0


@dataclass(frozen=True)
class Row:
    name: str
    kind: str
    lasts: float
    appendfsync: str = "always"
    detail: str = ""
    target: str = "redis"


ROWS = (
    Row("a node is killed", "node-kill", 4.0, target="node 0"),
    Row("a node is frozen for longer than its lease", "node-stop", 12.0, target="node 0"),
    Row("a node is cut off from Redis", "link-cut", 8.0, detail="both reset", target="link 0"),
    Row("Redis is killed and restarted, `appendfsync always`", "redis-kill", 1.0),
    Row("Redis is killed and restarted, `appendfsync everysec`", "redis-kill", 1.0, "everysec"),
    Row("Redis' machine loses its power, `appendfsync everysec`", "redis-power", 1.0, "everysec"),
    Row("Redis is killed and restarted, no persistence", "redis-kill", 1.0, "none"),
    Row("`FLUSHALL`", "flushall", 0.0),
)


@dataclass(frozen=True)
class Figure:
    """A row of the table."""

    row: Row
    n_faults: int
    sended: int
    lost: int
    oldest: float | None  # seconds before the fault at which the oldest lost message was stored
    others: dict[str, int]  # violations of any other rule


def measure(plan: Plan, rounds: int) -> list[Figure]:
    figures = []
    for row in ROWS:
        folder = plan.folder / "row"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        n_faults = 2 * rounds + 1  # the last one only lets the one before end in its own time
        own = replace(plan, appendfsync=row.appendfsync, folder=folder, n_faults=n_faults, seconds=0)
        course = asyncio.run(Run(own, _faults(row)).go())
        figure = _figure(row, course.world.faults, check(read_folder(folder), course.world))
        others = "".join(f"; BROKEN {n:,} times: {RULES[rule]}" for rule, n in figure.others.items())
        print(f"{row.name}: {figure.lost:,} of {figure.sended:,} lost{others}", flush=True)
        figures.append(figure)
    return figures


def _faults(row: Row) -> Iterator[Planned]:
    seed = 0
    while True:
        seed += 1
        rest = ROUND_SECONDS + row.lasts - WAIT_SECONDS
        yield Planned(rest if seed > 1 else 1.0, "client-away", "clients", AWAY_SECONDS, AWAY_SHARE, seed)
        yield Planned(WAIT_SECONDS, row.kind, row.target, row.lasts, row.detail, seed)


def _figure(row: Row, faults: tuple[Fault, ...], verdict: Verdict) -> Figure:
    began = [fault.began for fault in faults if fault.kind == row.kind]
    ages = [min(at - stored for at in began if at > stored) for stored in _before(began[-1], verdict)]
    others = {rule: n for rule, n in verdict.counts.items() if rule != "lost"}
    n_lost = len(verdict.missing)
    return Figure(row, len(began), verdict.checked[SENDED], n_lost, max(ages, default=None), others)


def _before(last: float, verdict: Verdict) -> list[float]:
    return [stored for stored in verdict.missing.values() if stored < last]


def table_of(figures: list[Figure], plan: Plan, command: str) -> str:
    """docs/loss.md."""
    load = f"{plan.nodes} nodes, {plan.clients} clients and {plan.rate:,.0f} messages a second"
    lines = [_HEAD.format(command=command, load=load)]
    for figure in figures:
        age = "" if figure.oldest is None else f"{figure.oldest:.2f} s before"
        cells = (figure.row.name, figure.n_faults, f"{figure.sended:,}", f"**{figure.lost:,}**", age)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join([*lines, "", _NOTES])


_HEAD = """\
# What is lost when

With the feature `history` the reply `sended` means that the message is stored. What may be lost all the same
depends on how Redis writes to its disk. Each row is a run of

```sh
{command}
```

with {load}. A quarter of the clients is offline when the fault comes, and all come back after it.

| what happens | times | messages answered `sended` | of them lost | the oldest lost was stored |
| --- | --- | --- | --- | --- |"""

_NOTES = """\
- Lost means that a device which came back never got it. What `FLUSHALL`, or a Redis without persistence,
  loses is what some device had not got yet; nothing that was sent afterwards.
- A killed process loses nothing that it has handed to the operating system, so with `everysec` messages are
  lost only when the machine goes down, too. That row cuts off from Redis' file what was written in the last
  second.
- A node that cannot reach Redis says `unavailable`: nothing to lose.
- Who is online stands in Redis again within `redis-refresh-ms` after a `FLUSHALL`, without any client
  noticing.

For the Redis behind chatd: `appendonly yes`, `appendfsync always` if no answer may ever be wrong, and
`maxmemory-policy noeviction`.
"""
