"""A conversation across three nodes, as ci/demo shows it."""

from __future__ import annotations

import contextlib
import json
import secrets
import sys
from typing import Any

from websockets.sync.client import connect

REPLY_SECONDS = 5


class Device:
    """A connection that prints what it sends and receives."""

    def __init__(self, name: str, port: str) -> None:
        self._name = f"{name} on {port}"
        self._open = contextlib.ExitStack()
        self._connection = self._open.enter_context(connect(f"ws://127.0.0.1:{port}/"))

    def send(self, **request: Any) -> None:
        """Send a request."""
        text = json.dumps(request, ensure_ascii=False)
        print(f"{self._name} > {text}")
        self._connection.send(text)

    def expect(self, **members: Any) -> None:
        """Receive a message that has these members."""
        text = self._connection.recv(REPLY_SECONDS)
        print(f"{self._name} < {text!s}")
        message = json.loads(text)
        if members.items() - message.items():
            sys.exit(f"ci/demo: that should have had {members}")

    def close(self) -> None:
        """Leave."""
        print(f"{self._name} leaves")
        self._open.close()


def main(first: str, second: str, third: str) -> None:
    """Alice on the first node; Bob on the second, and later on the third."""
    alice_uid, bob_uid = (f"{name}-{secrets.token_hex(3)}" for name in ("alice", "bob"))
    alice, bob = Device("alice", first), Device("bob", second)
    alice.send(type="sign", uid=alice_uid)
    alice.expect(status=1)
    bob.send(type="sign", uid=bob_uid)
    bob.expect(status=1)

    alice.send(type="msg", to=bob_uid, body="hi", cid="1")
    alice.expect(status=1, cid="1")
    bob.expect(body="hi")
    bob.send(type="msg", to=alice_uid, body="hi yourself")
    bob.expect(status=1)
    alice.expect(body="hi yourself")
    bob.close()

    alice.send(type="msg", to=bob_uid, body="are you there?", cid="2")
    alice.expect(status=1, cid="2")
    back = Device("bob", third)
    back.send(type="sign", uid=bob_uid, since="0-0")
    back.expect(status=1)
    back.expect(body="hi")
    back.expect(body="are you there?")
    back.close()
    alice.close()
    print("ci/demo: as it should be")


if __name__ == "__main__":
    main(*sys.argv[1:4])
