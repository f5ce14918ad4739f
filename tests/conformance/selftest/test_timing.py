"""How long is waited: as long as a slow machine needs, but not hundreds of times for the same thing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chatcheck import timing


@pytest.fixture(autouse=True)
def restored(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("_factor", "_n_in_vain", "_slowest_seconds"):
        monkeypatch.setattr(timing, name, getattr(timing, name))
    timing.set_factor(1.0)
    yield
    monkeypatch.undo()


def wait_in_vain(times: int) -> None:
    for _ in range(times):
        timing.came_not()


def test_the_first_waits_are_long_and_after_several_in_vain_they_are_short() -> None:
    waits = []
    for _ in range(6):
        waits.append(timing.at_once())
        wait_in_vain(1)

    assert waits == [5.0, 5.0, 5.0, 5.0, 1.0, 1.0]


@pytest.mark.parametrize(("slowest", "wait"), [(0.01, 1.0), (0.3, 3.0), (2.0, 5.0)])
def test_a_machine_on_which_answers_are_slow_keeps_its_time(slowest: float, wait: float) -> None:
    timing.came_after(slowest)
    timing.came_after(0.0)
    wait_in_vain(100)

    assert timing.at_once() == pytest.approx(wait)


def test_the_factor_counts_for_short_waits_too() -> None:
    timing.set_factor(3.0)
    wait_in_vain(4)

    assert timing.at_once() == 3.0
