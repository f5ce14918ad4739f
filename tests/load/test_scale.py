"""bench/scale: its tables, from figures that are made up; that it measures is seen by running it."""

import pathlib
import sys
from typing import Any

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "bench"))

import scale

LOAD = scale.pairs(10, 30, connections=4)


def runs(monkeypatch: pytest.MonkeyPatch, *made_up: scale.Run) -> list[int]:
    """Instead of chatload's; the numbers of messages that were asked for."""
    asked: list[int] = []

    def run_once(nodes: Any, load: scale.Load, n_messages: int) -> scale.Run:
        asked.append(n_messages)
        return made_up[len(asked) - 1]

    monkeypatch.setattr(scale, "run_once", run_once)
    return asked


def test_a_cost_is_the_difference_of_two_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    few = scale.Run(1000, 500, {"xadd": 40, "time": 7, "sadd": 4}, 900)
    many = scale.Run(1160, 580, {"xadd": 200, "time": 19, "sadd": 4}, 1100)
    asked = runs(monkeypatch, few, many)

    found = scale.cost(None, LOAD)  # type: ignore[arg-type]

    assert asked == [10, 30]
    assert found == scale.Cost(2, 1, 1100, {"xadd": 2, "time": 0.15})


def test_tables() -> None:
    figures = scale.Figures(0.5)
    figures.costs["msg"] = scale.Cost(2.04, 1, 12345, {"smembers": 1, "xadd": 2.5})
    figures.idle["idle"] = scale.Idle(512.4, 3.5, 85, 42, 567, 2854, {"sadd": 3.5})
    figures.stored = scale.Stored(149, 216, 136)

    lines = scale.tables(figures)

    assert "| msg | 2.0 | 1.0 | 12,345 | xadd 2.5, smembers 1 |" in lines
    assert "| idle | 512 | 3.5: sadd 3.5 | 85 | 42 | 567 | 2854 |" in lines
    assert "| a message of 100 bytes, stored | 149 |" in lines
