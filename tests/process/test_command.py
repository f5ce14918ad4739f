"""What somebody sees who runs chatd: words, exit codes, signals, logs, Redis. Not the protocol."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import time

import pytest
from clients import ANSWER_SECONDS, accepts, ask, close_code, raw_client, sign
from conftest import Chatd, Redis, Run, Start, environment, free_port, wait_until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

EX_USAGE, EX_UNAVAILABLE, EX_CONFIG = 64, 69, 78
LOG_LINE = re.compile(
    r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warn|info|debug) [a-z_]+( [a-z_]+=("[^"]*"|[^\s"]*))*'
)
QUEUE_LINGERS_MS = 20_000


# ---- Words and exit codes


def test_ready_line_says_where_and_is_all_on_stdout(start: Start) -> None:
    chatd = start()

    assert re.fullmatch(r"listening on ws://127\.0\.0\.1:[1-9]\d*/\n", chatd.stdout)
    with connect(chatd.url) as client:
        sign(client, "alice")
    chatd.signal(signal.SIGTERM)
    assert chatd.exit_code() == 0
    assert chatd.stdout.count("\n") == 1


def test_ipv6(program: str) -> None:
    chatd = Chatd(program, "--listen", "[::1]:0", env=environment())
    try:
        assert re.fullmatch(r"listening on ws://\[::1\]:[1-9]\d*/\n", chatd.until_ready().stdout)
        with connect(chatd.url) as client:
            sign(client, "alice")
        chatd.signal(signal.SIGTERM)
        assert chatd.exit_code() == 0
    finally:
        chatd.end()


def test_help_names_every_setting(run: Run) -> None:
    answer = run("--help")

    assert (answer.returncode, answer.stderr) == (0, "")
    example = pathlib.Path(__file__).parents[2] / "docs" / "chatd.conf.example"
    names = re.findall(r"^#\s*([a-z-]+) = ", example.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) > 10
    assert not [name for name in names if f"--{name}" not in answer.stdout]


def test_version(run: Run) -> None:
    answer = run("--version")

    assert (answer.returncode, answer.stderr) == (0, "")
    assert re.search(r"\b\d+\.\d+\.\d+\b", answer.stdout)


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        (["--no-such-flag"], EX_USAGE, "no-such-flag"),
        (["--listen"], EX_USAGE, "--listen needs a value"),
        (["--node-name", "--reuse-port", "yes"], EX_USAGE, "--node-name needs a value; a flag"),
        (["--broadcasters", ""], EX_CONFIG, "a value is missing"),
        (["surplus"], EX_USAGE, ""),
        (["--listen", "nowhere"], EX_CONFIG, "listen"),
        (["--ping-interval-ms", "1"], EX_CONFIG, "ping-interval-ms"),
        (["--redis", "http://127.0.0.1"], EX_CONFIG, "redis"),
        (["--features", "history,telepathy"], EX_CONFIG, "there is no such feature"),
        (["--broadcasters", "admin,,root"], EX_CONFIG, "broadcasters"),
        (["--history-messages-max", "999"], EX_CONFIG, "history-messages-max"),
        (["--config", "/nonexistent/chatd.conf"], EX_CONFIG, "/nonexistent/chatd.conf"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_served(
    run: Run, flags: list[str], code: int, says: str
) -> None:
    answer = run(*flags)

    assert (answer.returncode, answer.stdout) == (code, "")
    assert answer.stderr.startswith("chatd: ")
    assert says in answer.stderr


def test_wrong_value_in_environment_and_file(run: Run, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "chatd.conf"
    file.write_text("# a comment\nping-timeout-ms = soon\n")

    from_environment = run(ping_timeout_ms="soon")
    from_file = run("--config", str(file))

    assert from_environment.returncode == from_file.returncode == EX_CONFIG
    assert "CHATD_PING_TIMEOUT_MS" in from_environment.stderr
    assert f"{file}:2" in from_file.stderr


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("a pipe", "a pipe, and it has to be a regular file"),
        ("a directory", "a directory, and it has to be a regular file"),
        ("/dev/zero", "a device, and it has to be a regular file"),
        ("too large", "larger than 1048576 bytes"),
        ("a mark", ":1: a byte order mark; save the file as UTF-8 without one"),
    ],
)
def test_file_that_is_none_is_refused_at_once(run: Run, tmp_path: pathlib.Path, kind: str, says: str) -> None:
    path = tmp_path / "chatd.conf"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a directory":
        path.mkdir()
    elif kind == "/dev/zero":
        path.symlink_to("/dev/zero")
    elif kind == "too large":
        with path.open("wb") as file:
            file.truncate(10**12)
    else:
        path.write_text("\ufefflisten = 127.0.0.1:0\n", encoding="utf-8")

    answer = run("--config", str(path))

    assert (answer.returncode, answer.stdout) == (EX_CONFIG, "")
    assert says in answer.stderr
    assert str(path) in answer.stderr


def test_unknown_variable_is_refused_but_not_those_of_an_orchestrator(run: Run) -> None:
    answer = run("--check-config", listn="127.0.0.1:0")
    passed = run("--check-config", port="tcp://10.0.0.1:9502", service_host="10.0.0.1")

    assert answer.returncode == EX_CONFIG
    assert answer.stderr == "chatd: unknown variable CHATD_LISTN; did you mean CHATD_LISTEN?\n"
    assert (passed.returncode, passed.stderr) == (0, "")


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ("--message-size-max 4194304", ("outbox-size-max", "message-size-max")),
        ("--outbox-size-max 66560 --message-size-max 65537", ("outbox-size-max", "message-size-max")),
        ("--outbox-size-max 1073741824", ("outboxes-size-max", "outbox-size-max")),
        (
            "--features history --history-memory-max 1048576 --message-size-max 1040000",
            ("history-memory-max", "message-size-max"),
        ),
        ("--request-rate-max 10001", ("request-burst-max", "request-rate-max")),
        ("--redis redis://h --redis-lease-ms 3999", ("redis-lease-ms", "redis-timeout-ms")),
    ],
)
def test_limits_that_do_not_fit_each_other_are_both_named(
    run: Run, flags: str, names: tuple[str, str]
) -> None:
    answer = run(*flags.split())

    assert (answer.returncode, answer.stdout) == (EX_CONFIG, "")
    assert all(name in answer.stderr for name in names), answer.stderr


def test_a_message_of_the_limit_arrives_at_the_smallest_limits(start: Start) -> None:
    chatd = start(
        *("--features", "broadcast", "--message-size-max", "65536", "--outbox-size-max", "66560"),
        *("--outboxes-size-max", "1048576"),
    )
    uid = '"' * 128  # each byte of it is two in 'from'
    with connect(chatd.url) as one:
        sign(one, uid)
        body = "x" * (65536 - len('{"type":"broadcast","body":""}'))
        one.send(json.dumps({"type": "broadcast", "body": body}, separators=(",", ":")))
        assert json.loads(one.recv(timeout=ANSWER_SECONDS)) == {"body": body, "from": uid, "broadcast": 1}
        assert json.loads(one.recv(timeout=ANSWER_SECONDS))["status"] == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_taken_port(run: Run, host: str) -> None:
    family = socket.AF_INET6 if host == "[::1]" else socket.AF_INET
    with socket.create_server((host.strip("[]"), 0), family=family) as taken:
        answer = run("--listen", f"{host}:{taken.getsockname()[1]}")

    assert (answer.returncode, answer.stdout) == (EX_UNAVAILABLE, "")
    assert re.search(r" error cannot_listen .*reason=\"Address already in use\"", answer.stderr)


def test_flag_counts_more_than_environment_and_that_more_than_file(run: Run, tmp_path: pathlib.Path) -> None:
    file = tmp_path / "chatd.conf"
    file.write_text("ping-interval-ms = 1001\nping-timeout-ms = 1001\nhandshake-timeout-ms = 1001\n")
    environment_settings = {"ping_interval_ms": "1002", "ping_timeout_ms": "1002"}

    answer = run(
        "--check-config", "--config", str(file), "--ping-interval-ms", "1003", **environment_settings
    )

    assert answer.returncode == 0, answer.stderr
    lines = answer.stdout.splitlines()
    assert "ping-interval-ms = 1003" in lines
    assert "ping-timeout-ms = 1002" in lines
    assert "handshake-timeout-ms = 1001" in lines


def test_settings_of_the_file_are_obeyed(program: str, tmp_path: pathlib.Path) -> None:
    port = free_port()
    file = tmp_path / "chatd.conf"
    file.write_text(f"listen = 127.0.0.1:{port}\nping-interval-ms = 100\n")
    chatd = Chatd(program, env=environment(config=str(file)))
    try:
        assert chatd.until_ready().port == port
        with raw_client(chatd) as client:
            assert client.recv(2) == b"\x89\x00"  # a ping
    finally:
        chatd.end()


# ---- Serving


def test_client_of_the_original_service_is_served(start: Start) -> None:
    """It sends one frame when it is open and logs what arrives; these are its bytes, and what it logged."""
    chatd = start()
    with connect(chatd.url) as client, connect(chatd.url) as other:
        client.send('{"type":"sign","uid":"1001"}')
        answer = str(client.recv(timeout=ANSWER_SECONDS))
        assert re.fullmatch(r'\{"status":1,"msg":"注册成功","token":"[0-9a-f]{32}"\}', answer)

        other.send('{"type":"sign","uid":"1002"}')
        other.recv(timeout=ANSWER_SECONDS)
        other.send('{"type":"msg","to":"1001","body":"hi"}')

        assert client.recv(timeout=ANSWER_SECONDS) == '{"body":"hi","from":"1002"}'
        assert other.recv(timeout=ANSWER_SECONDS) == '{"status":1,"msg":"sended"}'


def test_peers_that_vanish_do_not_end_it(start: Start) -> None:
    """A write to a socket that was reset raises SIGPIPE, whose default is the end."""
    chatd = start()
    with connect(chatd.url) as alice:
        sign(alice, "alice")
        for _ in range(20):
            with raw_client(chatd) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            ask(alice, type="msg", to="nobody", body="x")
        chatd.signal(signal.SIGPIPE)
        assert ask(alice, type="msg", to="nobody", body="x")["status"] == 1
    assert chatd.process.poll() is None


def test_connections_above_the_limit_of_open_files_are_refused_in_http(program: str) -> None:
    """64 descriptors of the limit are for others, and 64 for handshakes."""
    command = f"ulimit -n 144 && exec {program} --listen 127.0.0.1:0"
    chatd = Chatd("bash", "-c", command, env=environment()).until_ready()
    try:
        with contextlib.ExitStack() as stack:
            for _ in range(16):
                stack.enter_context(raw_client(chatd))
            with socket.create_connection(("127.0.0.1", chatd.port), timeout=ANSWER_SECONDS) as one_too_many:
                one_too_many.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                assert one_too_many.recv(12) == b"HTTP/1.1 200"
            with pytest.raises(InvalidStatus, match="503"), connect(chatd.url):
                pass
        chatd.signal(signal.SIGTERM)
        assert chatd.exit_code() == 0
    finally:
        chatd.end()


# ---- Features


def test_features_that_are_not_named_are_not_served(start: Start) -> None:
    chatd = start("--features", "none")
    with connect(chatd.url) as alice, connect(chatd.url) as bob:
        sign(alice, "alice")
        sign(bob, "bob")

        sent = ask(alice, type="msg", to="nobody", body="x")
        refused = ask(alice, type="broadcast", body="x")

        assert sent == {"status": 1, "msg": "sended"}
        assert (refused["status"], refused["code"]) == (0, "illegal")
        assert close_code(alice) == 1008
        assert ask(bob, type="sign", uid="bob", since="yesterday")["status"] == 1


def test_broadcast_is_served_to_those_who_may(start: Start) -> None:
    chatd = start("--features", "broadcast", "--broadcasters", "root,admin")
    with connect(chatd.url) as admin, connect(chatd.url) as bob:
        sign(admin, "admin")
        sign(bob, "bob")

        denied = ask(bob, type="broadcast", body="x")
        admin.send('{"type":"broadcast","body":"all of you"}')

        assert (denied["status"], denied["code"]) == (0, "denied")
        broadcast = {"body": "all of you", "from": "admin", "broadcast": 1}
        assert json.loads(admin.recv(timeout=ANSWER_SECONDS)) == broadcast
        assert json.loads(admin.recv(timeout=ANSWER_SECONDS)) == {"status": 1, "msg": "sended"}
        assert json.loads(bob.recv(timeout=ANSWER_SECONDS)) == broadcast


def test_broadcast_is_for_everybody_unless_some_are_named(start: Start) -> None:
    chatd = start(features="broadcast")
    with connect(chatd.url) as alice:
        sign(alice, "alice")

        alice.send('{"type":"broadcast","body":1}')

        assert json.loads(alice.recv(timeout=ANSWER_SECONDS)) == {"body": 1, "from": "alice", "broadcast": 1}


def test_history_keeps_a_message_for_who_is_offline(start: Start) -> None:
    chatd = start("--features", "history")
    with connect(chatd.url) as alice, connect(chatd.url) as bob:
        sign(alice, "alice")
        sent = ask(alice, type="msg", to="bob", body="hi", cid="m1")
        again = ask(alice, type="msg", to="bob", body="hi", cid="m1")

        sign(bob, "bob")

        assert again == sent | {"dup": 1}
        delivery = json.loads(bob.recv(timeout=ANSWER_SECONDS))
        assert (delivery["body"], delivery["from"], delivery["id"]) == ("hi", "alice", sent["id"])
        now_ms = time.time() * 1000
        assert now_ms - 60_000 < delivery["time"] < now_ms + 60_000


def test_history_takes_as_many_messages_as_are_configured(start: Start) -> None:
    chatd = start("--features", "history", "--history-messages-max", "1001")
    with connect(chatd.url) as alice:
        sign(alice, "alice")
        for _ in range(1002):
            alice.send('{"type":"msg","to":"bob","body":0}')

        replies = [json.loads(alice.recv(timeout=ANSWER_SECONDS)) for _ in range(1002)]

        assert [reply["status"] for reply in replies] == [1] * 1001 + [0]
        assert replies[-1]["code"] == "full"


def test_history_in_memory_has_a_limit(start: Start) -> None:
    chatd = start("--features", "history", "--history-memory-max", "1048576")
    with connect(chatd.url) as alice:
        sign(alice, "alice")

        replies = [ask(alice, type="msg", to="bob", body="x" * 60000) for _ in range(18)]

        assert [reply["status"] for reply in replies] == [1] * 17 + [0]
        assert replies[-1]["code"] == "unavailable"


def note_at_start(chatd: Chatd) -> str:
    found = re.search(r' info mapping_in_memory note="(.*)"', chatd.log())
    return found[1] if found else ""


def test_what_is_gone_when_it_ends_is_said_at_the_start(start: Start, private_redis: Redis) -> None:
    """Memory keeps what history promises for as long as the process lives: [HIST-2] wants that documented."""
    without = start()
    with_history = start("--features", "history")
    on_redis = start("--features", "history", redis=private_redis.url)

    assert note_at_start(without) == "one node only; who is signed as whom is gone when it ends"
    assert note_at_start(with_history) == (
        "one node only; who is signed as whom, and every message, is gone when it ends"
    )
    assert note_at_start(on_redis) == ""


# ---- Stopping


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_closes_with_1001_and_exits_with_0(start: Start, number: signal.Signals) -> None:
    chatd = start()
    with connect(chatd.url) as alice, connect(chatd.url) as unsigned:
        sign(alice, "alice")

        chatd.signal(number)

        assert close_code(alice) == 1001
        assert close_code(unsigned) == 1001
        assert chatd.exit_code() == 0
    assert " info stopping " in chatd.log()


def test_peer_that_does_not_answer_does_not_hold_up_the_end(start: Start) -> None:
    chatd = start()
    with raw_client(chatd), socket.create_connection(("127.0.0.1", chatd.port)):
        chatd.signal(signal.SIGTERM)

        assert chatd.exit_code() == 0
    assert " warn connections_cut " in chatd.log()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_second_signal_ends_it_at_once(start: Start, number: signal.Signals) -> None:
    chatd = start()
    with raw_client(chatd) as mute:
        chatd.signal(signal.SIGTERM)
        assert mute.recv(4) == b"\x88\x02\x03\xe9"

        chatd.signal(number)

        assert chatd.exit_code() == 128 + number


def test_port_is_free_again_at_once(start: Start, program: str) -> None:
    chatd = start()
    with connect(chatd.url) as client:
        sign(client, "alice")
        chatd.signal(signal.SIGTERM)
        assert chatd.exit_code() == 0

    again = Chatd(program, "--listen", f"127.0.0.1:{chatd.port}", env=environment())
    try:
        assert again.until_ready().port == chatd.port
    finally:
        again.end()


# ---- Logs


def misbehave(chatd: Chatd) -> None:
    """One of each thing that a peer can do wrong, with a secret in it."""
    for frame in (b"\x81\x02{}", b"\x82\xff" + b"\xff" * 8, b"\xc1\x80" + bytes(4)):
        with raw_client(chatd) as client:
            client.sendall(frame)
            client.recv(4)
    for message in ("planted-body", b"planted-body", '{"type":"planted-body"}'):
        with connect(chatd.url) as client:
            client.send(message)
            client.recv(timeout=ANSWER_SECONDS)
    with socket.create_connection(("127.0.0.1", chatd.port), timeout=ANSWER_SECONDS) as client:
        client.sendall(b"GET /planted-body HTTP/1.1\r\nHost: a\r\n\r\n")
        assert client.recv(12) == b"HTTP/1.1 426"


def test_log_is_structured_and_has_no_secret(start: Start, private_redis: Redis) -> None:
    chatd = start("--log-level", "debug", redis=private_redis.url)
    with connect(chatd.url) as alice:
        token = sign(alice, "alice")
        alice.send(json.dumps({"type": "msg", "to": "alice", "body": "planted-body"}))
        assert "planted-body" in str(alice.recv(timeout=ANSWER_SECONDS))
        alice.recv(timeout=ANSWER_SECONDS)
        misbehave(chatd)
        private_redis.client.config_set("requirepass", "another")
        private_redis.client.client_kill_filter(_type="normal", skipme=True)
        wait_until(lambda: " warn redis_" in chatd.log(), "it fails to log in again")
    chatd.signal(signal.SIGTERM)
    assert chatd.exit_code() == 0

    log = chatd.log()
    assert [line for line in log.splitlines() if not LOG_LINE.fullmatch(line)] == []
    assert " info stopping " in log
    assert " warn redis_" in log
    for secret in ("planted-body", token, private_redis.password):
        assert secret not in log + chatd.stdout


def test_no_password_in_the_answer_to_a_wrong_setting(run: Run) -> None:
    for flags, settings in (
        (["--redis", "redis://:planted-password@127.0.0.1:port"], {}),
        (["--redys=redis://:planted-password@127.0.0.1"], {}),
        (["--check-config"], {"redis": "redis://:planted-password@127.0.0.1"}),
        (["--check-config"], {"redis": "redis://:planted-password@/"}),
        (["--check-config"], {"redis_url": "redis://:planted-password@127.0.0.1"}),
        (["--check-config"], {"config": "redis://:planted-password@127.0.0.1"}),
        (["--listen", "redis://:planted-password@127.0.0.1"], {}),
    ):
        answer = run(*flags, **settings)
        assert "planted-password" not in answer.stdout + answer.stderr


# ---- Redis


def test_redis_away_at_start_is_no_reason_not_to_serve(start: Start) -> None:
    chatd = start("--redis", f"redis://:planted-password@127.0.0.1:{free_port()}")
    with connect(chatd.url) as client:
        answer = ask(client, type="sign", uid="alice")

        assert (answer["status"], answer["code"]) == (0, "unavailable")
        chatd.signal(signal.SIGTERM)
        assert close_code(client) == 1001
    assert chatd.exit_code() == 0
    assert " warn redis_" in chatd.log()
    assert "planted-password" not in chatd.log()


def test_traces_in_redis_are_there_while_signed_and_gone_behind_it(
    start: Start, private_redis: Redis
) -> None:
    keys = private_redis.client
    keys.set("somebody's", "own")
    chatd = start("--node-name", "n1", redis=private_redis.url)
    with connect(chatd.url) as alice, connect(chatd.url) as bob:
        sign(alice, "alice")
        sign(bob, "bob")
        (fd,) = keys.smembers("chat_map_uid_fd:alice")
        assert keys.get("chat_map_fd_uid:" + str(fd)) == "alice"
        assert keys.scard("chat_map_uid_fd:bob") == 1

        chatd.signal(signal.SIGTERM)

        assert close_code(alice) == 1001
        assert chatd.exit_code() == 0
    # What other nodes may still write to ends by itself; all else is gone.
    queues = keys.keys("chat_node_queue:*")
    assert all(0 < keys.pttl(queue) <= QUEUE_LINGERS_MS for queue in queues)
    assert sorted(keys.keys("*")) == sorted(["somebody's", *queues])


def test_redis_that_hangs_does_not_hold_up_the_end(start: Start, private_redis: Redis) -> None:
    chatd = start(redis=private_redis.url)
    with connect(chatd.url) as alice:
        sign(alice, "alice")
        private_redis.client.client_pause(20000)

        chatd.signal(signal.SIGTERM)

        assert chatd.exit_code() == 0


def test_program_needs_no_terminal_and_no_stdin(program: str) -> None:
    """As an init system starts it."""
    port = free_port()
    with subprocess.Popen(
        [program, "--listen", f"127.0.0.1:{port}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        start_new_session=True,
    ) as process:
        wait_until(lambda: accepts(port), "it listens")
        assert process.poll() is None
        process.terminate()
        assert process.wait(10) == 0


# ---- More cores


def test_two_processes_on_one_port_serve_the_same_users(start: Start, private_redis: Redis) -> None:
    listen = ["--listen", f"127.0.0.1:{free_port()}", "--reuse-port", "yes"]
    first, second = (start(*listen, "--node-name", name, redis=private_redis.url) for name in ("a1", "a2"))
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connect(first.url)) for _ in range(20)]
        for number, client in enumerate(clients):
            sign(client, f"user-{number}")
        fds = [key.partition(":")[2] for key in private_redis.client.scan_iter("chat_map_fd_uid:*")]
        assert {fd.partition("-")[0] for fd in fds} == {"a1", "a2"}

        for number, client in enumerate(clients):
            client.send(json.dumps({"type": "msg", "to": f"user-{(number + 1) % 20}", "body": number}))

        for number, client in enumerate(clients):
            before = (number - 1) % 20
            heard = [json.loads(client.recv(timeout=ANSWER_SECONDS)) for _ in range(2)]
            assert {"status": 1, "msg": "sended"} in heard
            assert {"body": before, "from": f"user-{before}"} in heard

    second.signal(signal.SIGKILL)
    second.exit_code()
    for _ in range(5):
        with connect(first.url) as client:
            sign(client, "late")


def test_a_port_is_not_shared_by_accident(start: Start, run: Run, private_redis: Redis) -> None:
    listen = ["--listen", f"127.0.0.1:{free_port()}"]
    start(*listen, "--node-name", "a1", redis=private_redis.url)

    answer = run(*listen, "--reuse-port", "yes", "--node-name", "a2", redis=private_redis.url)

    assert answer.returncode == EX_UNAVAILABLE
    assert "Address already in use" in answer.stderr
