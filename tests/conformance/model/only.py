"""A pytest plugin: --model-only ID runs the checks of one clause."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--model-only", metavar="ID", help="run only the checks that name this clause")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("model_only")
    if wanted is not None:
        items[:] = [item for item in items if wanted in _clauses(item)]


def _clauses(item: pytest.Item) -> list[str]:
    return [str(clause) for mark in item.iter_markers("spec") for clause in mark.args]
