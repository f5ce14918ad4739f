"""The programs: --chatd=PATH --chatload=PATH."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chatd", required=True, help="the chatd to test, a release build", type=Path)
    parser.addoption("--chatload", required=True, help="the load tool", type=Path)


@pytest.fixture
def chatd(request: pytest.FixtureRequest) -> Path:
    path: Path = request.config.getoption("--chatd")
    return path.resolve()


@pytest.fixture
def chatload(request: pytest.FixtureRequest) -> Path:
    path: Path = request.config.getoption("--chatload")
    return path.resolve()
