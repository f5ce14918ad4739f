"""Each abuse, small enough for every day; ci/abuse has them in full."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from abuse.everything import abuses
from abuse.field import Abuse
from abuse.run import run


@pytest.mark.parametrize("abuse", abuses, ids=lambda abuse: abuse.name)
def test_abuse(abuse: Abuse, chatd: Path, chatload: Path) -> None:
    asyncio.run(run(abuse, chatd, chatload, is_full=False))
