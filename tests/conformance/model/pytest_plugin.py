"""A pytest plugin for prove.py: run the checks of one clause, and write every check's verdict down."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chatcheck import redis_control, target
from chatcheck.timing import eventually


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--model-only", metavar="ID", help="run only the checks that name this clause")
    parser.addoption("--model-shard", metavar="I/N", help="run only each Nth check, from the Ith on")
    parser.addoption("--model-report", metavar="FILE", type=Path, help="write {check: verdict} there")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("model_only")
    if wanted is not None:
        items[:] = [item for item in items if wanted in _clauses(item)]
    if shard := config.getoption("model_shard"):
        first, n_shards = map(int, shard.split("/"))
        items[:] = items[first::n_shards]


def _clauses(item: pytest.Item) -> list[str]:
    return [str(clause) for mark in item.iter_markers("spec") for clause in mark.args]


def pytest_configure(config: pytest.Config) -> None:
    _wait_for_what_is_started(min(1.0, config.getoption("timeout_factor")))
    path = config.getoption("model_report")
    if path is not None:
        config.pluginmanager.register(_Reporter(path))


def _wait_for_what_is_started(factor: float) -> None:
    """A factor that hurries the checks does not hurry what the suite starts, so it does not count there."""

    def unhurried(condition: Callable[[], object], within: float = 1.0, every: float = 0.01) -> bool:
        return eventually(condition, within / factor, every)

    for module in (target, redis_control):
        assert hasattr(module, "eventually")
        setattr(module, "eventually", unhurried)  # noqa: B010 - mypy lets no name of a module be replaced


class _Reporter:
    """Keeps the verdicts of the suite's own plugin, which it leaves in each report's properties."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._verdicts: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        verdict = dict(report.user_properties).get("verdict")
        if verdict is not None and self._verdicts.get(report.nodeid, "pass") == "pass":
            self._verdicts[report.nodeid] = str(verdict)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._verdicts[report.nodeid] = "error"

    def pytest_sessionfinish(self) -> None:
        self._path.write_text(json.dumps(self._verdicts))
