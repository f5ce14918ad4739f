"""The suite's own parts are tested with pytest running pytest."""

import pytest

pytest_plugins = ["pytester"]

_LIMIT_SECONDS = (
    120  # for a test without a mark of its own: a check's limit is for machines that are not so busy
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("limit") is None:
            item.add_marker(pytest.mark.limit(_LIMIT_SECONDS))
