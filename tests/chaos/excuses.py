"""What each fault may cost: which messages it may lose, when a node knows nothing, when it may be late."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from chaos.journal import Fault

LEASE_SECONDS = 3.0  # until a node that has Redis again has said that it is there
EVERYSEC_SECONDS = 2.0  # what appendfsync everysec may lose: Redis writes a second late if the disk is slow
AWAY = ("link-cut", "link-refuse", "redis-kill", "redis-power", "redis-stop")
NODE_GONE = ("node-kill", "node-stop", "node-end")


class Loss(NamedTuple):
    """Messages that were stored from 'since' on and were not delivered when it 'began' may be lost."""

    since: float
    began: float
    done: float


class Window(NamedTuple):
    begin: float
    end: float


class Faults:
    """The faults of a run, by what they touch."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._all = sorted(faults, key=lambda fault: fault.began)
        self._losses: list[tuple[str | None, Loss]] = [
            (uid, loss) for fault in self._all for uid, loss in _losses_by(fault)
        ]
        self._by_uid: dict[str, list[Loss]] = {}
        self._windows: dict[tuple[str, int], list[Window]] = {}

    def losses_of(self, uid: str) -> list[Loss]:
        if uid not in self._by_uid:
            self._by_uid[uid] = [loss for whose, loss in self._losses if whose in (None, uid)]
        return self._by_uid[uid]

    def may_lose(self, uid: str, stored: Window, got_later: float) -> bool:
        """May a device never get a message of 'uid' that was stored in that window?

        'got_later' is when it got a message behind this one, math.inf if it never did.
        """
        return any(
            stored.begin < loss.done and stored.end >= loss.since and got_later >= loss.began
            for loss in self.losses_of(uid)
        )

    def forgot_between(self, uid: str, begin: float, end: float) -> bool:
        """May Redis have forgotten something of 'uid' in that time, cids among it?"""
        return any(loss.began <= end and begin <= loss.done for loss in self.losses_of(uid)) or any(
            fault.kind == "del" and fault.target.startswith(f"chat_dup:{tag_of(uid)}")
            for fault in self._all
            if fault.began <= end and begin <= fault.healed
        )

    def cut_off(self, node: int) -> list[Window]:
        """When the node certainly could not hear from Redis."""
        return self._cached("cut", node, lambda fault: Window(fault.effective, fault.healing), AWAY)

    def slowed(self, node: int) -> list[Window]:
        """When the node was frozen, not there, or far away from Redis: then requests queue up."""
        kinds = (*NODE_GONE, "link-delay")
        return self._cached("slowed", node, lambda fault: Window(fault.began, fault.healed), kinds)

    def disturbed(self, node: int) -> list[Window]:
        """When anything was wrong with the node, its link or Redis that may keep it from its work."""
        kinds = (*AWAY, *NODE_GONE, "link-delay", "link-reset", "script-flush")
        return self._cached("any", node, lambda fault: Window(fault.began, fault.healed), kinds)

    def lost_broadcasts(self, node: int, begin: float, end: float) -> bool:
        """May Redis have forgotten in that time a broadcast that was on its way to the node?

        Or the node, while it could not say that it is there.
        """
        keys = ("chat_broadcast", "chat_nodes", f"chat_node_queue:{{{node_name(node)}-")
        begin = self._troubled_since(node, begin)
        return any(
            (fault.kind == "del" and fault.target.startswith(keys)) or _forgets_all(fault)
            for fault in self._all
            if fault.began <= end and begin <= fault.healed
        )

    def _troubled_since(self, node: int, at: float) -> float:
        """When the trouble began that had not ended for long by then."""
        for window in sorted(self.disturbed(node), key=lambda window: window.end, reverse=True):
            if window.begin < at <= window.end + LEASE_SECONDS:
                at = window.begin
        return at

    def _cached(self, name: str, node: int, window_of: _WindowOf, kinds: tuple[str, ...]) -> list[Window]:
        key = (name, node)
        if key not in self._windows:
            self._windows[key] = [
                window_of(fault)
                for fault in self._all
                if fault.kind in kinds and fault.target in (f"node {node}", f"link {node}", "redis")
            ]
        return self._windows[key]


class _WindowOf(Protocol):
    """Fault -> Window, for the type checker."""

    def __call__(self, fault: Fault) -> Window: ...


def overlaps(windows: Iterable[Window], begin: float, end: float) -> bool:
    return any(window.begin <= end and begin <= window.end for window in windows)


def inside(windows: Iterable[Window], begin: float, end: float) -> bool:
    return any(window.begin <= begin and end <= window.end for window in windows)


def tag_of(uid: str) -> str:
    """The hash tag of the uid's own keys."""
    escaped = uid.replace("%", "%25").replace("{", "%7B").replace("}", "%7D")
    return "{chat_map_uid_fd:" + escaped + "}"


def node_name(number: int) -> str:
    """A node's configured name. In Redis more follows."""
    return f"chaos-{number}"


def _forgets_all(fault: Fault) -> bool:
    return fault.kind == "flushall" or (
        fault.kind in ("redis-kill", "redis-power") and fault.detail in ("everysec", "none")
    )


def _losses_by(fault: Fault) -> Iterable[tuple[str | None, Loss]]:
    """Whose messages (None: everybody's)."""
    if _forgets_all(fault):
        is_partly = fault.detail == "everysec"
        since = fault.began - EVERYSEC_SECONDS if is_partly else -math.inf
        yield None, Loss(since, fault.began, fault.healing)
    elif fault.kind == "del" and fault.target.startswith("chat_inbox:"):
        yield fault.detail, Loss(-math.inf, fault.began, fault.healed)
