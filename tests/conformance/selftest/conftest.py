"""The suite's own parts are tested with pytest running pytest."""

import signal
from collections.abc import Iterator

import pytest

from chatcheck.interrupts import ENDS

pytest_plugins = ["pytester"]

_LIMIT_SECONDS = (
    120  # for a test without a mark of its own: a check's limit is for machines that are not so busy
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("limit") is None:
            item.add_marker(pytest.mark.limit(_LIMIT_SECONDS))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Children hear every signal of ENDS, also if this process was started where one is ignored."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
