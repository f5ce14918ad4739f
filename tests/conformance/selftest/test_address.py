"""A server's URL is used as it was given, and every address of its name is tried."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from chatcheck.address import Address, CannotConnect


@pytest.mark.parametrize(
    ("url", "host", "port", "asked_for", "host_header"),
    [
        ("ws://127.0.0.1:9502", "127.0.0.1", 9502, "/", "127.0.0.1:9502"),
        ("ws://127.0.0.1:9502/", "127.0.0.1", 9502, "/", "127.0.0.1:9502"),
        ("ws://a.example/ws", "a.example", 80, "/ws", "a.example"),
        ("ws://a.example/ws/", "a.example", 80, "/ws/", "a.example"),
        ("wss://a.example/a//b/../c%2f", "a.example", 443, "/a//b/../c%2f", "a.example"),
        ("wss://a.example:80?key=1&b", "a.example", 80, "/?key=1&b", "a.example:80"),
        ("WS://A.example:9502/?a=%20?b/", "a.example", 9502, "/?a=%20?b/", "a.example:9502"),
        ("ws://[::1]:9502/ws", "::1", 9502, "/ws", "[::1]:9502"),
        ("ws://[::1]", "::1", 80, "/", "[::1]"),
        ("ws://[fe80::1%25lo]:9502", "fe80::1%lo", 9502, "/", "[fe80::1]:9502"),
        ("ws://a.example:/", "a.example", 80, "/", "a.example"),
        ("ws://bücher.example/ü?ü=ü", "xn--bcher-kva.example", 80, "/%C3%BC?%C3%BC=%C3%BC",
         "xn--bcher-kva.example"),
    ],
)  # fmt: skip
def test_a_url_is_used_as_given(url: str, host: str, port: int, asked_for: str, host_header: str) -> None:
    address = Address.parse(url)

    assert (address.host, address.port, address.tls) == (host, port, url.lower().startswith("wss"))
    assert (address.request_target(), address.host_header) == (asked_for, host_header)


def test_other_paths_are_as_they_are_and_the_query_goes_with_them() -> None:
    address = Address.parse("ws://127.0.0.1:1/ws?key=k")

    assert address.request_target("/other") == "/other?key=k"
    assert address.request_target("/?room=1") == "/ws?key=k&room=1"
    assert address.request_target("/other?room=1") == "/other?key=k&room=1"


@pytest.mark.parametrize(
    ("userinfo", "authorization"),
    [
        ("user:geheim", "Basic dXNlcjpnZWhlaW0="),
        ("user", "Basic dXNlcjo="),
        (":geheim", "Basic OmdlaGVpbQ=="),
        ("user:a%3Ab%40%2F%C3%A9", "Basic dXNlcjphOmJAL8Op"),
        ("", None),
        (":", None),
    ],
)
def test_userinfo_is_sent_as_basic(userinfo: str, authorization: str | None) -> None:
    assert Address.parse(f"ws://{userinfo}@127.0.0.1").authorization == authorization


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1", "expected ws://host:port/ or wss://"),
        ("127.0.0.1:9502", "expected ws://host:port/ or wss://"),
        ("", "expected ws://host:port/ or wss://"),
        ("ws://", "expected ws://host:port/ or wss://"),
        ("ws:///ws", "expected ws://host:port/ or wss://"),
        ("ws://:9502/", "expected ws://host:port/ or wss://"),
        ("ws://user@/", "expected ws://host:port/ or wss://"),
        ("ws://127.0.0.1/#top", "no fragment"),
        ("ws://127.0.0.1/#", "no fragment"),
        ("ws://127.0.0.1/a b", "no spaces"),
        (" ws://127.0.0.1/", "no spaces"),
        ("ws://127.0.0.1/\t", "no spaces"),
        ("ws://127.0.0.1/\u00a0", "no spaces"),
        ("ws://127.0.0.1:0/", "port"),
        ("ws://127.0.0.1:65536/", "port"),
        ("ws://127.0.0.1:-1/", "port"),
        ("ws://127.0.0.1:http/", "port"),
        ("ws://user:geh/eim@127.0.0.1/", "a password, / is %2F"),
        ("ws://::1:9502/", "An IPv6 address is in brackets"),
        ("ws://[::1/", "an IPv6 address is in brackets"),
        ("ws://[host]/", "an IPv6 address is in brackets"),
        ("ws://[::1]x:9502/", "an IPv6 address is in brackets"),
        ("ws://x[::1]:9502/", "an IPv6 address is in brackets"),
        ("ws://user:geheim@[::1]9502/", "an IPv6 address is in brackets"),
        ("user:geheim@127.0.0.1:9502", "expected ws://host:port/ or wss://"),
        ("ws:/user:geh/eim@127.0.0.1/", "expected ws://host:port/ or wss://"),
        ("127.0.0.1:9502/ws?key=geheim", "expected ws://host:port/ or wss://"),
        ("ws://user:ge h/eim@127.0.0.1/", "no spaces"),
        ("ws://127.0.0.1/a b?key=geh eim", "no spaces"),
        ("ws://a\\b/", "no such host"),
        ("ws://a..example/", "no such host"),
        ("ws://a.example/\udce9", "no spaces"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        Address.parse(url)

    assert why in str(caught.value)
    assert "eim" not in str(caught.value)


@pytest.fixture
def listener() -> Any:
    """Somebody on 127.0.0.1 who accepts."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def resolves_to(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Let every name have these addresses."""
    resolve = socket.getaddrinfo

    def fake(_host: str, *arguments: Any, **options: Any) -> list[Any]:
        return [found for host in hosts for found in resolve(host, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", fake)


def test_all_addresses_of_a_name_are_tried(monkeypatch: pytest.MonkeyPatch, listener: socket.socket) -> None:
    resolves_to(monkeypatch, "::1", "127.0.0.1")

    Address.parse(f"ws://some.example:{listener.getsockname()[1]}").connect().close()


def test_what_was_tried_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    resolves_to(monkeypatch, "::1", "127.0.0.1")

    with pytest.raises(CannotConnect) as caught:
        Address.parse("ws://some.example:1").connect()

    assert str(caught.value) == "tried [::1]:1 (Connection refused), 127.0.0.1:1 (Connection refused)"
    assert not caught.value.is_final


def test_the_address_that_has_accepted_is_tried_first(
    monkeypatch: pytest.MonkeyPatch, listener: socket.socket
) -> None:
    resolves_to(monkeypatch, "::1", "127.0.0.1")
    address = Address.parse(f"ws://again.example:{listener.getsockname()[1]}")
    address.connect().close()
    listener.close()

    with pytest.raises(CannotConnect, match=r"tried 127\.0\.0\.1.*\[::1\]"):
        address.connect()


def test_a_name_without_an_address_is_not_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake(*_arguments: Any, **_options: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fake)
    with pytest.raises(CannotConnect, match="no address of no-such-host is known: Name or") as caught:
        Address.parse("ws://no-such-host").connect()

    assert caught.value.is_final
