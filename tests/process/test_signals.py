"""What chatd does at each signal: it ends in order, or goes on; none kills it."""

import contextlib
import pathlib
import signal
import socket
import struct
import subprocess
import time

import pytest
from clients import ask, close_code, raw_client, sign
from conftest import Chatd, Redis, Start, environment, wait_until
from websockets.sync.client import connect

ENDING = [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGXCPU, signal.SIGPWR]
NOTED = [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2]
SILENT = [
    signal.SIGPIPE,
    signal.SIGXFSZ,
    signal.SIGTTOU,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGIO,
    signal.SIGSTKFLT,
    signal.SIGRTMIN,
    signal.SIGRTMAX,
]
STOP_SECONDS_MAX = 5


@pytest.mark.parametrize("number", ENDING)
def test_an_ending_signal_closes_with_1001_and_exits_with_0(start: Start, number: signal.Signals) -> None:
    chatd = start()
    with connect(chatd.url) as alice, connect(chatd.url) as unsigned:
        sign(alice, "alice")

        chatd.signal(number)

        assert close_code(alice) == 1001
        assert close_code(unsigned) == 1001
        assert chatd.exit_code() == 0
    assert f" info stopping signal={int(number)} " in chatd.log()


@pytest.mark.parametrize("number", NOTED)
def test_a_signal_for_other_daemons_is_noted_in_the_log(start: Start, number: signal.Signals) -> None:
    chatd = start()
    with connect(chatd.url) as alice:
        sign(alice, "alice")

        chatd.signal(number)

        wait_until(lambda: f" info signal_ignored signal={number.name} " in chatd.log(), "it is noted")
        assert ask(alice, type="msg", to="nobody", body="x")["status"] == 1


@pytest.mark.parametrize("number", SILENT)
def test_any_other_signal_changes_nothing(start: Start, number: signal.Signals) -> None:
    chatd = start()
    with connect(chatd.url) as alice:
        chatd.signal(number)
        sign(alice, "alice")
    assert chatd.process.poll() is None


def test_a_signal_for_other_daemons_does_not_hurry_the_end(start: Start) -> None:
    chatd = start()
    with raw_client(chatd) as mute:
        chatd.signal(signal.SIGTERM)
        assert mute.recv(4) == b"\x88\x02\x03\xe9"

        chatd.signal(signal.SIGHUP)

        assert chatd.exit_code() == 0


@pytest.mark.parametrize("number", ENDING)
def test_a_second_ending_signal_ends_it_at_once(start: Start, number: signal.Signals) -> None:
    chatd = start()
    with raw_client(chatd) as mute:
        chatd.signal(signal.SIGTERM)
        assert mute.recv(4) == b"\x88\x02\x03\xe9"

        chatd.signal(number)

        assert chatd.exit_code() == 128 + number


def test_signals_that_the_parent_has_blocked_or_ignored_still_end_it(program: str) -> None:
    """As under nohup, or started by a thread that leaves signals to others."""
    command = [
        "python3",
        "-c",
        "import os, signal, sys\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())\n"
        "for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n",
        program,
        "--listen",
        "127.0.0.1:0",
    ]
    chatd = Chatd(*command, env=environment()).until_ready()
    try:
        chatd.signal(signal.SIGTERM)
        assert chatd.exit_code() == 0
    finally:
        chatd.end()


def seconds_to_end(chatd: Chatd) -> float:
    """Of a process that is told to end."""
    began = time.monotonic()
    chatd.signal(signal.SIGTERM)
    assert chatd.exit_code() == 0
    return time.monotonic() - began


def test_peers_and_a_redis_that_do_nothing_do_not_hold_up_the_end(start: Start, private_redis: Redis) -> None:
    """One that never reads, one that answers no close, handshakes that are open, a request without answer."""
    chatd = start("--features", "nodes,broadcast,history", redis=private_redis.url)
    with (
        connect(chatd.url) as alice,
        raw_client(chatd) as deaf,
        socket.create_connection(("127.0.0.1", chatd.port)),
        socket.create_connection(("127.0.0.1", chatd.port)) as half,
    ):
        half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nUpg")
        deaf.sendall(frame(b'{"type":"sign","uid":"deaf"}'))
        sign(alice, "alice")
        for _ in range(12):
            ask(alice, type="msg", to="deaf", body="x" * 60000)
        private_redis.client.client_pause(20_000)
        alice.send('{"type":"msg","to":"deaf","body":"never answered"}')

        # The machine may be busy, so this is a bound of ours, not the documented one.
        assert seconds_to_end(chatd) < 2 * STOP_SECONDS_MAX


def frame(payload: bytes) -> bytes:
    assert len(payload) < 126
    return struct.pack("BB", 0x81, 0x80 | len(payload)) + bytes(4) + payload


def test_redis_that_accepts_and_says_nothing_does_not_hold_up_the_end(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        chatd = start("--redis", f"redis://127.0.0.1:{mute.getsockname()[1]}")
        assert seconds_to_end(chatd) < 2 * STOP_SECONDS_MAX


def test_redis_whose_socket_is_full_holds_up_nothing(start: Start, tmp_path: pathlib.Path) -> None:
    """A blocking connect to a UNIX socket waits until somebody accepts."""
    path = str(tmp_path / "redis.sock")
    with socket.socket(socket.AF_UNIX) as full, contextlib.ExitStack() as stack:
        full.bind(path)
        full.listen(0)
        while True:
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            if waiting.connect_ex(path) != 0:
                break
        chatd = start("--redis", f"redis+unix://{path}")
        with connect(chatd.url) as alice:
            assert ask(alice, type="sign", uid="alice")["code"] == "unavailable"
        assert seconds_to_end(chatd) < 2 * STOP_SECONDS_MAX


def test_a_stopped_process_ends_when_it_is_let_go_on(start: Start) -> None:
    chatd = start()
    with connect(chatd.url) as alice:
        sign(alice, "alice")
        chatd.signal(signal.SIGSTOP)
        chatd.signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            chatd.process.wait(0.2)
        chatd.signal(signal.SIGCONT)
        assert chatd.exit_code() == 0
