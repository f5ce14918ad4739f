"""A pytest plugin for prove.py: run the checks of one clause, and write every check's verdict down."""

import json
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--model-only", metavar="ID", help="run only the checks that name this clause")
    parser.addoption("--model-report", metavar="FILE", type=Path, help="write {check: verdict} there")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("model_only")
    if wanted is not None:
        items[:] = [item for item in items if wanted in _clauses(item)]


def _clauses(item: pytest.Item) -> list[str]:
    return [str(clause) for mark in item.iter_markers("spec") for clause in mark.args]


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("model_report")
    if path is not None:
        config.pluginmanager.register(_Reporter(path))


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
