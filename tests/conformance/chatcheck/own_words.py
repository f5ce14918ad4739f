"""What a test's own connections have said: a broadcast of anybody else is none of its business.

A broadcast reaches every device there is, so a test may receive those of other tests, and of a server's other
users. A client sets them aside. Its own are those from a uid that the test has used, or with a body that it
has sent: so one that comes from the wrong sender, or although it was refused, is seen.
"""

from __future__ import annotations

import json
from typing import Any


def _key(body: object) -> str:
    return json.dumps(body, sort_keys=True)


class OwnWords:
    """Those of one test. Reader threads ask, the test's thread adds."""

    def __init__(self) -> None:
        self.sets_aside = False  # does the server serve broadcasts at all?
        self.shared_uid: str | None = None  # a uid that other tests use as well
        self._uids: set[str] = set()
        self._bodies: set[str] = set()

    def add(self, members: dict[str, Any]) -> None:
        """A request that one of the test's connections sends."""
        if members.get("type") == "sign":
            self._uids.add(str(members.get("uid")))
        elif members.get("type") == "broadcast":
            self._bodies.add(_key(members.get("body")))

    def is_foreign(self, text: str) -> bool:
        """Is this message a broadcast of somebody else?"""
        if not self.sets_aside:
            return False
        try:
            message = json.loads(text)
        except ValueError:
            return False
        if not isinstance(message, dict) or "broadcast" not in message or "status" in message:
            return False
        sender = str(message.get("from"))
        is_own = sender in self._uids and sender != self.shared_uid
        return not is_own and _key(message.get("body")) not in self._bodies
