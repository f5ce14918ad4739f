"""Over TLS, of whatever version, a right server is right: verdicts do not depend on how bytes come."""

from __future__ import annotations

import contextlib
import datetime
import select
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from chatcheck.address import Address, CannotConnect
from chatcheck.channel import Channel
from chatcheck.report import replay
from chatcheck.target import Documented, Server, Target
from chatcheck.timing import set_factor
from selftest.test_cli import chatcheck
from selftest.tls_front import TLS_1_2, TLS_1_3, make_context, tls_front

MODEL = f"{sys.executable} -m model --port {{port}}"
N_TALKS = 20

pytestmark = pytest.mark.limit(300)


@contextlib.contextmanager
def model() -> Iterator[Target]:
    """The model server, without TLS."""
    target = Target(None, MODEL, None, Documented())
    try:
        target.ensure_running()
        yield target
    finally:
        target.destroy()


@contextlib.contextmanager
def server_in_tls(folder: Path, version: ssl.TLSVersion) -> Iterator[Server]:
    """The model behind a TLS terminator whose CA the suite is told."""
    context = make_context(folder, version)
    with model() as plain, tls_front(plain.address.port, context) as port:
        target = Target(f"wss://localhost:{port}", None, None, Documented(), cafile=folder / "ca.pem")
        server = Server(target)
        try:
            target.ensure_running()
            yield server
        finally:
            server.release()
            target.destroy()


class OneAtATime(ssl.SSLSocket):
    """As Python has it from 3.13 on: who writes waits for a read that waits for the server."""

    def recv(self, *arguments: Any) -> bytes:
        with self.__dict__.setdefault("turn", threading.Lock()):
            return super().recv(*arguments)

    def sendall(self, *arguments: Any) -> None:
        with self.__dict__.setdefault("turn", threading.Lock()):
            super().sendall(*arguments)


@pytest.fixture
def _tickets_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The session tickets of TLS 1.3 are there before the client says anything, as on a quick line."""
    connect = Address.connect

    def connect_and_wait(self: Address, *arguments: Any) -> Channel:
        channel = connect(self, *arguments)
        if self.tls:
            select.select([channel], [], [], 0.1)
        return channel

    monkeypatch.setattr(Address, "connect", connect_and_wait)
    monkeypatch.setattr(ssl.SSLContext, "sslsocket_class", OneAtATime)


@pytest.mark.usefixtures("_tickets_come_first")
@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
def test_both_clients_talk_each_time(tmp_path: Path, version: ssl.TLSVersion) -> None:
    with server_in_tls(tmp_path, version) as server:
        for number in range(N_TALKS):
            alice, bob = server.signed(), server.raw()
            bob.sign(server.uid())
            alice.msg(bob.uid, [number, "x" * 40_000])
            bob.expect_delivery([number, "x" * 40_000], alice.uid)
            bob.msg(alice.uid, number)
            alice.expect_delivery(number, bob.uid)
            alice.ping(b"still there?")
            bob.ping()
            alice.close()
            bob.send_close(1000)
            bob.expect_closed(1000)


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
@pytest.mark.parametrize("end", ["half_close", "abort"])
def test_a_connection_ends_as_its_client_ends_it(tmp_path: Path, version: ssl.TLSVersion, end: str) -> None:
    """The end reaches the server, whichever it is: the device is gone, and another one is not."""
    with server_in_tls(tmp_path, version) as server:
        alice, stays, ends = server.signed(), server.signed(), server.raw()
        ends.sign(stays.uid)
        getattr(ends, end)()
        if end == "half_close":
            ends.expect_end()
        stays.fence()
        alice.msg(stays.uid, "hello")
        stays.expect_delivery("hello", alice.uid)


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
def test_a_replay_talks_in_tls_too(tmp_path: Path, version: ssl.TLSVersion) -> None:
    with server_in_tls(tmp_path, version) as server:
        alice, bob = server.signed(), server.raw()
        bob.sign(server.uid())
        alice.msg(bob.uid, "hello")
        bob.expect_delivery("hello", alice.uid)
        bob.half_close()
        bob.expect_end()
        script = replay.script(server.transcript.snapshot())
        assert script is not None
        (tmp_path / "replay.py").write_text(script)
        command = [sys.executable, "-I", str(tmp_path / "replay.py"), str(server.address)]
        trusted = subprocess.run([*command, str(tmp_path / "ca.pem")], capture_output=True, text=True)
        not_trusted = subprocess.run(command, capture_output=True, text=True)

    assert trusted.returncode == 0, trusted.stderr
    assert f'B< {{"body":"hello","from":"{alice.uid}"}}' in trusted.stdout
    assert "B< (end of TCP)" in trusted.stdout.partition("B> (end of TCP)")[2]
    assert not_trusted.returncode == 1
    assert "cannot be reached: [SSL: CERTIFICATE_VERIFY_FAILED]" in not_trusted.stderr
    assert "Traceback" not in not_trusted.stderr


@pytest.mark.parametrize("version", [TLS_1_2, TLS_1_3], ids=["1.2", "1.3"])
def test_the_checks_find_a_right_server_right(tmp_path: Path, version: ssl.TLSVersion) -> None:
    context = make_context(tmp_path, version)
    (tmp_path / "chatcheck.toml").write_text('cafile = "ca.pem"\n')
    only = [f"--only={clause}" for clause in ("WS-1", "WS-8", "WS-12", "SIGN-1", "MSG-2", "ID-3")]
    with model() as plain, tls_front(plain.address.port, context) as port:
        words = ["--message-limit=1048576", "--timeout-factor=4"]  # the terminator shares the machine
        run = chatcheck(tmp_path, "--url", f"wss://localhost:{port}", *words, *only)

    assert (run.returncode, run.stderr) == (0, ""), run.stdout


def without_a_server(folder: Path, host: str, context: ssl.SSLContext, *words: str) -> str:
    """What the suite says of a URL with which nothing can be checked, and soon."""
    with tls_front(1, context) as port:
        run = chatcheck(folder, "--url", f"wss://{host}:{port}", *words)
        assert run.returncode == 3, run.stdout
    assert "Traceback" not in run.stderr
    return run.stderr


def test_a_certificate_that_is_not_trusted_is_told_with_the_way_out(tmp_path: Path) -> None:
    context = make_context(tmp_path, TLS_1_3)
    (tmp_path / "other").mkdir()
    make_context(tmp_path / "other", TLS_1_3)

    unknown = without_a_server(tmp_path, "localhost", context)
    wrong_ca = without_a_server(tmp_path, "localhost", context, "--cafile", "other/ca.pem")

    assert "is not trusted: unable to get local issuer certificate; if a CA of your own" in unknown
    assert "name that with --cafile FILE" in unknown
    assert "nor has a CA in other/ca.pem signed it" in wrong_ca


@pytest.mark.parametrize(("year", "why"), [(2020, "has expired"), (2120, "is not yet valid")])
def test_a_certificate_of_another_time_is_told(tmp_path: Path, year: int, why: str) -> None:
    ca = trustme.CA()
    context = make_context(tmp_path, TLS_1_3, ca=ca)
    begin = datetime.datetime(year, 1, 1, tzinfo=datetime.UTC)
    end = begin + datetime.timedelta(days=1)
    ca.issue_cert("localhost", not_before=begin, not_after=end).configure_cert(context)

    told = without_a_server(tmp_path, "localhost", context, "--cafile", "ca.pem")

    assert f"certificate {why}; renew it, or look at this machine's clock" in told
    assert "signed" not in told


def test_the_trusted_certificates_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    make = ssl.create_default_context
    monkeypatch.setattr(ssl, "create_default_context", lambda: made.append(make()) or made[-1])

    with server_in_tls(tmp_path, TLS_1_3) as server:
        server.signed()
        server.signed()

    assert len(made) <= 1


@pytest.mark.parametrize(("host", "names"), [("localhost", ["example.org"]), ("127.0.0.1", ["localhost"])])
def test_a_certificate_for_another_name_is_told(tmp_path: Path, host: str, names: list[str]) -> None:
    context = make_context(tmp_path, TLS_1_2, *names)

    told = without_a_server(tmp_path, host, context, "--cafile", "ca.pem")

    assert f"certificate is not valid for '{host}'" in told
    assert "use a name in --url that the certificate has" in told


def test_a_node_whose_certificate_is_not_trusted_is_told(tmp_path: Path) -> None:
    context = make_context(tmp_path, TLS_1_3)
    with model() as plain, tls_front(plain.address.port, context) as port:
        run = chatcheck(tmp_path, "--url", str(plain.address), "--url", f"wss://localhost:{port}/")

    assert run.returncode == 3
    assert f"the certificate of wss://localhost:{port}/ is not trusted" in run.stderr


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak TLS: try ws://"),
        (b"", "(no answer to the TLS handshake; without TLS it is ws://)"),
    ],
)
def test_a_server_without_tls_is_told(answer: bytes, told: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        answers = threading.Thread(target=answer_once, args=(listener, answer))
        answers.start()
        set_factor(0.1)
        try:
            with pytest.raises(CannotConnect) as caught:
                Address.parse(f"wss://127.0.0.1:{listener.getsockname()[1]}").connect()
        finally:
            set_factor(1)
        answers.join()
    assert told in str(caught.value)


def answer_once(listener: socket.socket, answer: bytes) -> None:
    connection = listener.accept()[0]
    with connection, contextlib.suppress(OSError):
        connection.sendall(answer)
        while connection.recv(4096):
            pass


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "No such file"), ("no certificate\n", "it has no certificate in PEM")],
)
def test_a_cafile_that_is_none_is_wrong_use(tmp_path: Path, content: str | None, why: str) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    run = chatcheck(tmp_path, "--url", "wss://127.0.0.1:1", "--cafile", "ca.pem")

    assert (run.returncode, "--cafile ca.pem: " + why in run.stderr) == (2, True)
