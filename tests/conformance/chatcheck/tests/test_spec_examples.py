"""SPEC.md's examples, run against the server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from chatcheck.claims import claims
from chatcheck.clauses import load_spec
from chatcheck.client import Client
from chatcheck.conversation import dump, nfkc, same_json
from chatcheck.example import (
    Close,
    Closed,
    Command,
    Example,
    Holds,
    Receive,
    Send,
    Step,
    fd_owner,
    parse,
    with_fresh_names,
)
from chatcheck.target import Server
from chatcheck.tests.helpers import fds_of, fence_devices
from chatcheck.tests.history import order_of
from chatcheck.timing import eventually
from chatcheck.verdict import not_applicable


class Play:
    """One conversation as it runs: who is connected, and what is known of their fds."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._clients: dict[str, Client] = {}
        self._asked: dict[str, dict[str, Any]] = {}  # each client's last request
        self._fds: dict[str, bytes] = {}
        self._ids: dict[str, object] = {}  # what "<id 1>" stands for
        self._patience = 0.0

    def do(self, step: Step) -> None:
        match step:
            case Send(name, text):
                self._send(name, text)
            case Receive(name, message):
                self._receive(name, message)
            case Close(name):
                self._clients.pop(name).close()
                self._patience = 1.0
            case Closed(name, code):
                self._clients.pop(name).expect_closed(code)
            case Command(words):
                if self._server.has_redis:
                    execute(self._server, words)
            case Holds():
                if self._server.has_redis:
                    self._check(step)

    def end(self) -> None:
        """Nobody has received anything that the example does not show."""
        users: dict[str, list[Client]] = {}
        for client in self._clients.values():
            if client.uid:
                users.setdefault(client.uid, []).append(client)
            else:
                client.fence()
        for devices in users.values():
            fence_devices(*devices)

    def _send(self, name: str, text: str) -> None:
        if name not in self._clients:
            self._clients[name] = self._server.connect()
        request = json.loads(text)
        self._asked[name] = request if isinstance(request, dict) else {}
        self._clients[name].own_words.add(self._asked[name])
        self._clients[name].send_text(text)

    def _receive(self, name: str, expected: dict[str, Any]) -> None:
        client = self._clients[name]
        got = client.recv()
        for member, value in expected.items():
            if value == "<token>":
                assert re.fullmatch("[0-9a-f]{32}", str(got.get(member))), f"no token: {dump(got)}"
            elif value == "<time>":
                assert type(got.get(member)) in (int, float), f"no time: {dump(got)}"
            elif member == "id":
                assert same_json(got.get("id"), self._ids.setdefault(value, got.get("id"))), dump(got)
                order_of(got.get("id"))
            elif member == "msg":
                assert nfkc(str(got.get(member))) == nfkc(value), f"{dump(got)} has another msg than {value}"
            elif member != "code" or member in got:  # REPLY-4 is a SHOULD, and has a check of its own
                assert member in got, f"{dump(got)} has no {member}"
                assert same_json(got[member], value), f"{dump(got)} has another {member} than {dump(value)}"
        only_expected = {"status", "from", "cid", "disconnect", "dup", "gap", "broadcast"}
        too_much = only_expected & (got.keys() - expected.keys())
        assert not too_much, f"{dump(got)} has {too_much}"
        if "token" in expected:
            self._learn(name, str(self._asked[name]["uid"]))

    def _learn(self, name: str, uid: str) -> None:
        """The connection is signed: the fd that is new in the uid's set is its."""
        self._clients[name].uid = uid
        if self._server.has_redis and name not in self._fds:
            new = fds_of(self._server, uid) - set(self._fds.values())
            assert len(new) == 1, f"the sign of {name} should have left one new fd: {new}"
            self._fds[name] = new.pop()

    def _check(self, step: Holds) -> None:
        key = b"".join(self._bytes_of(part) for part in re.split("(<fd [A-Z]>)", step.key))
        expected: object = step.value
        if isinstance(step.value, str):
            expected = step.value.encode()
        elif step.value is not None:
            expected = {self._bytes_of(fd) for fd in step.value}
        # A device that has just closed has a second to vanish; everything else is there with the reply.
        is_as_written = eventually(lambda: self._value_of(key) == expected, within=self._patience)
        assert is_as_written, f"Redis has {self._value_of(key)!r} under {key!r}, not {expected!r}"

    def _bytes_of(self, word: str) -> bytes:
        owner = fd_owner(word)
        return self._fds[owner] if owner else word.encode()

    def _value_of(self, key: bytes) -> object:
        redis = self._server.redis
        kind = redis.type(key)
        if kind == b"none":
            return None
        return set(redis.smembers(key)) if kind == b"set" else redis.get(key)


def execute(server: Server, words: list[str]) -> None:
    """Another program's command; the client's own method for any command has no types."""
    command: Callable[..., object] = server.redis.execute_command
    command(*words)


@pytest.mark.spec("REPLY-1")
@pytest.mark.parametrize("example", load_spec().examples, ids=lambda example: example.name)
def test_the_example_happens_as_written(server: Server, example: Example) -> None:
    """REPLY-1: "A server MUST send exactly one reply to each request, to the connection that sent it and to
    no other."
    """
    if not claims("CID-1"):
        not_applicable("the examples use more than the original service has")
    if example.feature is not None and example.feature not in server.documented.features:
        not_applicable(f"the feature {example.feature} is not declared")
    if example.feature == "broadcast" and server.documented.broadcaster is not None:
        not_applicable("the users of the example may not broadcast")
    play = Play(server)
    for step in parse(with_fresh_names(example.text)):
        play.do(step)
    play.end()
    server.signed().fence()
