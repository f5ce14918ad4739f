"""docs/abuse.md."""

from __future__ import annotations

from abuse.field import MIB
from abuse.pair import Figures
from abuse.run import Outcome

HEAD = """# Under abuse

What others feel, and what it costs, while somebody misuses chatd: a pair talks at a fixed rate, and
the time from when a message was due until it arrived is measured before, meanwhile and after. Every message
of the pair has to arrive, once and in order. Made by `ci/abuse --write` with the release build, on a machine
with {n_cores} cores, which others used as well: times differ from run to run. Clients, pair, Redis and
server share the cores.

"""

COLUMNS = (
    "abuse", "how much", "the pair's p50 / p99 before, ms", "meanwhile, ms", "p99 grows", "refused",
    "memory before, MiB", "at most", "allowed", "after",
)  # fmt: skip

FOOT = """
- **refused**: messages of the pair that were answered `unavailable`. That is right while Redis stands still,
  and where messages to strangers have filled the memory for history: nothing that was answered `sended` is
  dropped for another ([HIST-17]). A server that keeps history for strangers needs `--request-rate-max`, and a
  `--history-memory-max` that fits.
- **With Redis**, history stops at `--history-redis-percent-max` (75) of what Redis may use; then a msg is
  answered `unavailable`, and signs, devices and the queues of nodes have the rest. Redis is asked each time
  the lease is renewed, and what is stored meanwhile is counted. What waits in a node's queue for one that
  does not read it is bounded by 65,536 entries and 64 MiB, and by 4 MiB more for each node that writes to it:
  then the oldest half goes, as of a node that was cut off for too long ([NODE-8]).
- **allowed** follows from the limits: `--outboxes-size-max` and `--history-memory-max` (32 MiB each where
  readers do not read, 16 MiB for the history of strangers), 1,000 handshakes at a time of
  `--handshake-size-max` each, 256 KiB of requests in flight and `--message-size-max` of each
  connection; and what the C library's allocator adds.
- **Readers**: a device for which more waits than `--outbox-size-max`, although all was offered to its
  socket, stays as long as it takes a quarter of that every 5 s and something every 2 s. So a burst reaches
  a device that reads, and one that takes nothing holds memory for 2 s. All that waits is counted as it is
  allocated and never exceeds `--outboxes-size-max`. At that limit, connections that took nothing for a
  second are closed, the longest first, then those that hold the most.
- **Messages that do not end** have `--message-timeout-ms` from their first byte, whatever dribbles in,
  and all together as much memory as outboxes, counted as it is allocated. At either limit connections
  are closed with 1008: those that have held it the longest. Who comes and sends a message at a stretch
  is served.
- **Requests in flight** of all connections take `--requests-size-max`, counted as they are allocated; at it
  the messages that have begun are read on when there is room, and each connection has one request at a
  time. Nobody is closed and nothing is lost. What a connection can add to that is what was read at a
  time, less than 4 KiB. While a command waits to be written to Redis, its text is there twice.
- **after** is what the allocator has not given back to the kernel; it is used again.
- **in the kernel** is what waits in socket buffers. chatd limits them to 128 KiB in each direction of a
  connection, which the kernel doubles for its own use.
- When it is over, as many descriptors are open as before, no key is left in Redis, and the log has grown by
  less than 16 KiB, for an event is written at most 20 times in a second, and then counted.

All of it is asserted by `tests/abuse`, which `ci/test` runs with smaller numbers.
"""


def table(outcomes: list[Outcome], n_cores: int) -> str:
    rows = [list(COLUMNS), ["---"] * len(COLUMNS), *map(_cells, outcomes)]
    return HEAD.format(n_cores=n_cores) + "".join(f"| {' | '.join(row)} |\n" for row in rows) + FOOT


def _cells(outcome: Outcome) -> list[str]:
    grows = outcome.abused["p99"] / outcome.quiet["p99"]
    return [
        f"`{outcome.name}`: {outcome.what}",
        outcome.amount,
        _times(outcome.quiet),
        _times(outcome.abused),
        f"{grows:.1f} times",
        f"{outcome.abused['refused']} of {outcome.abused['sent']}",
        *(
            f"{size / MIB:.1f}"
            for size in (
                outcome.memory_before,
                outcome.memory_peak,
                outcome.memory_before + outcome.memory_max,
                outcome.memory_after,
            )
        ),
    ]


def _times(figures: Figures) -> str:
    return f"{figures['p50']:.1f} / {figures['p99']:.1f}"
