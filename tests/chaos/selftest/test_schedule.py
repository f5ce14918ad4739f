"""The schedule follows from its seed, and breaks nothing twice at once."""

from __future__ import annotations

from itertools import islice

from chaos.schedule import RECIPES, Planned, schedule


def first(n: int, seed: int, **options: list[str]) -> list[Planned]:
    return list(islice(schedule(seed, nodes=3, gap=2.0, **options), n))


def test_the_same_seed_gives_the_same_faults() -> None:
    assert first(200, 7) == first(200, 7)
    assert first(200, 7) != first(200, 8)


def test_every_kind_and_every_node_comes() -> None:
    faults = first(500, 1)

    assert {fault.kind for fault in faults} == {kind for kind, recipe in RECIPES.items() if recipe.weight}
    assert {fault.target for fault in faults if fault.kind == "node-kill"} == {"node 0", "node 1", "node 2"}


def test_faults_of_one_target_do_not_overlap() -> None:
    now = 0.0
    busy: dict[str, float] = {}
    for fault in first(1000, 3):
        now += fault.after
        if fault.target != "clients":
            assert busy.get(fault.target, 0.0) <= now
            busy[fault.target] = now + fault.lasts


def test_only_and_without() -> None:
    assert {fault.kind for fault in first(50, 1, kinds=["flushall", "del"])} == {"flushall", "del"}
    assert "flushall" not in {fault.kind for fault in first(500, 1, without=["flushall"])}


def test_the_gap_is_the_average() -> None:
    assert 1.8 < sum(fault.after for fault in first(2000, 5)) / 2000 < 2.2
