"""Which faults come when, from a seed: the same seed, the same schedule."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

LEASE_SECONDS = 10.0  # of a node; a frozen one is dead to the others after that


class Planned(NamedTuple):
    """A fault to come."""

    after: float  # seconds since the one before began
    kind: str
    target: str
    lasts: float
    detail: str
    seed: int  # for what is chosen when it happens, such as a key

    def __str__(self) -> str:
        words = f"{self.kind} {self.target} {self.detail}".rstrip()
        return f"{words}, {self.lasts:.1f} s" if self.lasts else words


class Recipe(NamedTuple):
    """How often a kind of fault comes, and how long it lasts."""

    weight: float
    target: str  # what it is exclusive with: "node", "link", "redis", "clients"
    lasts: Callable[[random.Random], float]
    details: Sequence[str] = ("",)


def _between(low: float, high: float) -> Callable[[random.Random], float]:
    return lambda chance: chance.uniform(low, high)


def _at_once(chance: random.Random) -> float:
    return 0.0


def _down(chance: random.Random) -> float:
    """Mostly a quick restart, sometimes so late that the others have cleaned up."""
    return chance.choice((chance.uniform(0, 1), chance.uniform(0, 3), chance.uniform(3, 12), 33.0))


# Keys that another program may delete: one of those that are like that. The last are the messages themselves:
# the checker excuses what that costs.
KEYS = (
    "chat_map_uid_fd:*",
    "chat_map_fd_uid:*",
    "chat_node_queue:*",
    "chat_node_fds:*",
    "chat_nodes",
    "chat_confirmed:*",
    "chat_broadcast",
    "chat_inbox:*",
)
CUTS = ("both", "up", "down")
HEALS = ("continue", "reset")

RECIPES: dict[str, Recipe] = {
    "node-kill": Recipe(14, "node", _down),
    "node-stop": Recipe(9, "node", _between(LEASE_SECONDS + 1, LEASE_SECONDS + 6)),
    "node-end": Recipe(4, "node", _between(0, 3)),
    "redis-kill": Recipe(6, "redis", _between(0.1, 5)),
    "redis-power": Recipe(0, "redis", _between(0.1, 5)),  # only where it is asked for
    "redis-stop": Recipe(4, "redis", _between(0.5, 6)),
    "flushall": Recipe(4, "redis", _at_once),
    "script-flush": Recipe(4, "redis", _at_once),
    "del": Recipe(14, "redis", _at_once, KEYS),
    "link-cut": Recipe(16, "link", _between(0.5, 14), [f"{cut} {heal}" for cut in CUTS for heal in HEALS]),
    "link-refuse": Recipe(3, "link", _between(0.5, 13)),
    "link-delay": Recipe(6, "link", _between(2, 10), ("0.02", "0.1", "0.4")),
    "link-reset": Recipe(4, "link", _at_once),
    "client-reset": Recipe(6, "clients", _at_once),
    "client-freeze": Recipe(5, "clients", _between(1, 14)),
    "client-away": Recipe(5, "clients", _between(1, 15)),
    "client-slow": Recipe(4, "clients", _between(3, 12)),
}
REST_SECONDS = 1.0  # between two faults of one node, link or Redis


def schedule(
    seed: int, nodes: int, gap: float, kinds: Sequence[str] | None = None, without: Sequence[str] = ()
) -> Iterator[Planned]:
    """Faults without end, 'gap' seconds apart on average; of the given kinds, or of all."""
    chance = random.Random(seed)
    recipes = {name: RECIPES[name] for name in kinds or RECIPES if name not in without}
    busy: dict[str, float] = {}
    now = 0.0
    after = 0.0
    while True:
        pause = chance.expovariate(1 / gap)
        after += pause
        now += pause
        free = {kind: _free_targets(recipe.target, nodes, busy, now) for kind, recipe in recipes.items()}
        kinds = [kind for kind in recipes if free[kind]]
        if not kinds:
            continue
        kind = chance.choices(kinds, [recipes[kind].weight for kind in kinds])[0]
        recipe, target = recipes[kind], chance.choice(free[kind])
        lasts = recipe.lasts(chance)
        detail = chance.choice(recipe.details)
        busy[target] = now + lasts + REST_SECONDS
        yield Planned(round(after, 3), kind, target, round(lasts, 3), detail, chance.getrandbits(32))
        after = 0.0


def _free_targets(target: str, nodes: int, busy: dict[str, float], now: float) -> list[str]:
    names = [f"{target} {i}" for i in range(nodes)] if target in ("node", "link") else [target]
    return [name for name in names if name == "clients" or busy.get(name, 0) <= now]
