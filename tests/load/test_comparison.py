"""bench/comparison: its verdicts and its page, from figures that are made up."""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "bench"))

from comparison import plan, report
from comparison.plot import Bar, Panel, draw
from comparison.run import Runs, with_join_ratio

CIRCUMSTANCES = report.Circumstances("bench/compare", 3, 4.0, 0.1)


def runs(*values: float, figure: str = "messages_per_s") -> Runs:
    return Runs([{figure: value} for value in values])


def target(scenario: str, server: str, other: str | None) -> plan.Target:
    return next(
        found
        for found in plan.TARGETS
        if (found.scenario, found.server, found.other, found.figure) == (scenario, server, other, "")
    )


@pytest.mark.parametrize(("node", "met"), [(10.0, True), (10.1, False)])
def test_at_least(node: float, met: bool) -> None:
    """The median of the rounds counts, and the wanted ratio itself is enough."""
    wanted = target("window-16", "chatd", "node")
    results = {"window-16": {"chatd": runs(1, 100, 1000), "node": runs(node, node, node)}}

    value = report.reached(wanted, results)

    assert value is not None
    assert value == pytest.approx(100 / node)
    assert report.is_met(wanted, value) is met


@pytest.mark.parametrize(("ratio", "met"), [(1.2, True), (1.21, False)])
def test_at_most(ratio: float, met: bool) -> None:
    wanted = target("idle", "chatd", None)
    value = report.reached(wanted, {"idle": {"chatd": runs(ratio, figure="p50_ratio")}})

    assert value == ratio
    assert report.is_met(wanted, value) is met


def test_what_was_not_measured_is_no_verdict() -> None:
    results = {"window-16": {"chatd": runs(100), "node": Runs(failure="it fell over")}}

    assert report.reached(target("window-16", "chatd", "node"), results) is None
    assert not any("Node" in line for line in report.target_lines(results))


def test_cpu_time_says_how_much_faster_it_could_be() -> None:
    name = "server_cpu_us_per_message"
    results = {"window-16": {"chatd": runs(2, figure=name), "node": runs(31, figure=name)}}

    assert report.by_cpu_time(target("window-16", "chatd", "node"), results) == 15.5


def test_targets_name_what_there_is() -> None:
    for wanted in plan.TARGETS:
        servers = plan.SCENARIOS[wanted.scenario].servers
        assert wanted.server in servers
        assert wanted.other is None or wanted.other in servers


def test_page_says_why_there_are_no_figures(tmp_path: pathlib.Path) -> None:
    results = {
        "window-16": {"chatd": runs(123456), "node": Runs(failure="message 7 of party 1 is lost")},
        "idle": {"chatd": runs(1.3, figure="p50_ratio")},
    }

    report.write(results, CIRCUMSTANCES, tmp_path)

    page = (tmp_path / "performance.md").read_text()
    assert "| chatd, Redis | 123,456 |" in page
    assert "message 7 of party 1 is lost" in page
    assert "| at most 1.2 | 1.30 | **not met** |  |" in page
    assert '"messages_per_s": 123456' in (tmp_path / "performance.json").read_text()


def test_plot_is_a_picture_to_scale() -> None:
    bars = [Bar("a & b", "#111111", 50, 40, 100, "<1 x"), Bar("c", "#222222", 100, 100, 100, "")]

    root = ElementTree.fromstring(draw([Panel("one", bars)], "caption"))

    widths = [
        float(rect.attrib["width"])
        for rect in root.iter("{http://www.w3.org/2000/svg}rect")
        if rect.attrib["fill"].startswith(("#1", "#2"))
    ]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)


def test_join_ratio_is_of_the_last_and_the_first_three_tenths() -> None:
    joins = {f"joined_per_s_up_to_{i}": float(value) for i, value in enumerate([10] * 3 + [99] * 4 + [5] * 3)}

    assert with_join_ratio(joins)["join_ratio"] == pytest.approx(0.5)
