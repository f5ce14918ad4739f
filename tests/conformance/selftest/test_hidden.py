"""What is secret in a URL is never printed, also where a server says it again."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatcheck import hidden
from chatcheck.hidden import hide, remember
from selftest.test_cli import chatcheck
from selftest.test_tls import model


@pytest.fixture(autouse=True)
def _nothing_is_known() -> Iterator[None]:
    hidden.forget()
    yield
    hidden.forget()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ws://user:pw@h:1/ws", "ws://***@h:1/ws"),
        ("see redis://:pw@h:1/0, or rediss://u:p@h", "see redis://***@h:1/0, or rediss://***@h"),
        ("wss://h/?key=k&b&c=", "wss://h/?key=***&***&c=***"),
        (
            "wss://h/?key=k: no (ws://h?a=b), 'ws://h?c=d'.",
            "wss://h/?key=***: no (ws://h?a=***), 'ws://h?c=***'.",
        ),
        ("unix:///run/redis?password=p", "unix:///run/redis?password=***"),
        ("ws://user:p/w@h:1/", "ws://***@h:1/"),
        ("ws://h:80/@me", "ws://h:80/@me"),
        ("ws://h/@me", "ws://h/@me"),
        ("a@b and ws://h/ and ?c=d", "a@b and ws://h/ and ?c=d"),
        ("--redis=redis://:pw@h", "--redis=redis://***@h"),
    ],
)
def test_secrets_of_urls_are_hidden(text: str, shown: str) -> None:
    assert hide(text) == shown
    assert hide(shown) == shown


def test_a_secret_is_hidden_wherever_it_comes_again() -> None:
    remember("--redis redis://:se%20cret@h and ws://user:geheim@h/?key=0123456789&v=1")

    assert hide("AUTH se cret, geheim: 0123456789; v=1") == "AUTH ***, ***: ***; v=1"
    assert hide("Authorization: Basic dXNlcjpnZWhlaW0=") == "Authorization: Basic ***"
    remember("wss://sk_live_4711@h/?room=lobby")
    assert hide("sk_live_4711 in the lobby") == "*** in the lobby"
    assert hide("x0123456789y: geheimnis") == "x***y: geheimnis"


PASSWORD, KEY = "geheim-4711", "0123456789abcdef"
SECRET = f"user:{PASSWORD}"
BASIC = "dXNlcjpnZWhlaW0tNDcxMQ=="
WRONG, WRONG_BASIC = "no-geheim-1234", "dXNlcjpuby1nZWhlaW0tMTIzNA=="
SECRETS = re.compile("|".join((PASSWORD, KEY, BASIC, WRONG, WRONG_BASIC)))


class Gate:
    """Lets those in who ask for /ws with the key and the password; tells others what they have said."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.asked_for: set[bytes] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=self._serve, args=self._listener.accept()[:1], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := client.recv(4096)):
                    return
                head += data
            asked_for = head.split()[1]
            self.asked_for.add(asked_for)
            said = re.search(rb"(?im)^authorization: Basic (.*)\r$", head)
            if (
                not asked_for.startswith(f"/ws?key={KEY}".encode())
                or said is None
                or said[1] != BASIC.encode()
            ):
                client.sendall(
                    b"HTTP/1.1 403 No\r\nX-Said: " + asked_for + (said[1] if said else b"") + b"\r\n\r\n"
                )
                return
            with socket.create_connection(("127.0.0.1", self._target)) as server:
                server.sendall(head)
                pumps = [
                    threading.Thread(target=pump, args=ends) for ends in ((client, server), (server, client))
                ]
                for thread in pumps:
                    thread.start()
                for thread in pumps:
                    thread.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def gate() -> Iterator[Gate]:
    """The model behind a gate."""
    with model() as plain:
        made = Gate(plain.address.port)
        yield made
        made.close()


ONLY = ("--only", "WS-1", "--only", "MSG-4", "--only", "WS-17")
REPORTS = {"json": "r.json", "junit": "r.xml", "html": "r.html", "markdown": "r.md"}


def test_path_query_and_userinfo_are_sent_by_both_clients(gate: Gate, tmp_path: Path) -> None:
    run = chatcheck(tmp_path, "--url", f"ws://{SECRET}@127.0.0.1:{gate.port}/ws?key={KEY}", *ONLY)

    assert (run.returncode, run.stderr) == (0, ""), run.stdout
    assert gate.asked_for == {f"/ws?key={KEY}".encode(), f"/ws?key={KEY}&room=1&from=there".encode()}


def test_no_secret_is_printed_and_a_replay_sends_its_own(gate: Gate, tmp_path: Path) -> None:
    url = f"ws://{SECRET}@127.0.0.1:{gate.port}/ws?key={KEY}"
    wrong = url.replace(PASSWORD, WRONG)
    files = [word for kind, file in REPORTS.items() for word in (f"--{kind}", file)]
    run = chatcheck(tmp_path, "--url", wrong, "--annotations", *ONLY, *files)
    baseline = chatcheck(tmp_path, "baseline", "--output", "known.toml", "--url", wrong, *ONLY)

    assert (run.returncode, baseline.returncode) == (1, 0)
    written = [file.read_text() for file in tmp_path.iterdir()]
    assert len(written) == len(REPORTS) + 1
    for text in (run.stdout, run.stderr, baseline.stdout, baseline.stderr, *written):
        assert not SECRETS.search(text)
    shown = f"ws://***@127.0.0.1:{gate.port}/ws?key=***"
    assert f"{shown}: NOT CONFORMANT" in run.stdout
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["target"]["url"], shown in report["arguments"]) == (shown, True)

    replays = [c["replay"] for clause in report["clauses"] for c in clause["checks"] if c["replay"]]
    assert any(".bytewise(" in script for script in replays)
    assert any(".raw(" in script for script in replays)
    for script in replays:
        (tmp_path / "replay.py").write_text(script)
        command = [sys.executable, "-I", str(tmp_path / "replay.py"), url]
        again = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert (again.returncode, "< HTTP/1.1 101" in again.stdout) == (0, True), again
        assert not SECRETS.search(again.stdout)


@pytest.mark.parametrize(
    "words",
    [
        ["--url", f"ws://{SECRET}@127.0.0.1:1/", "--timeout-factor", "0.01"],
        ["--url", f"ws://{SECRET}@127.0.0.1:x/"],
        ["--url", f"ws://user:a/{PASSWORD}@127.0.0.1/"],
        ["--url", f"ws://{SECRET}@127.0.0.1/#"],
        ["--url", f"http://{SECRET}@127.0.0.1/?key={KEY}"],
        ["--url", "ws://127.0.0.1:1", "--redis", f"http://:{PASSWORD}@127.0.0.1"],
        ["--url", "ws://127.0.0.1:1", "--redis", f"redis://:{PASSWORD}@127.0.0.1:x"],
        ["--start", f"no-such-server {{port}} redis://:{PASSWORD}@127.0.0.1"],
        ["--start", f"{sys.executable} -c 'print(\"redis://:{PASSWORD}@h\", {{port}})'"],
        [f"ws://{SECRET}@127.0.0.1/"],
        [f"--ulr=ws://{SECRET}@127.0.0.1/"],
        ["--profile", f"ws://{SECRET}@127.0.0.1/"],
        ["--jobs", f"ws://{SECRET}@127.0.0.1/"],
        ["compare", f"ws://{SECRET}@127.0.0.1/", "--html", "a.html"],
        ["--url", f"ws://{SECRET}@127.0.0.1/", "--json", f"ws://{SECRET}@127.0.0.1/"],
    ],
    ids=str,
)
def test_what_goes_wrong_is_said_without_secrets(tmp_path: Path, words: list[str]) -> None:
    run = chatcheck(tmp_path, *words)

    assert run.returncode in (2, 3)
    assert "Traceback" not in run.stderr
    assert not SECRETS.search(run.stdout + run.stderr)
