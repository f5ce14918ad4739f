"""All abuses, in the order in which they are run."""

from __future__ import annotations

from abuse import connections, readers, requests, store, uids
from abuse.field import abuses

__all__ = ["abuses", "connections", "readers", "requests", "store", "uids"]
