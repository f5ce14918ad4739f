"""The load tool passes a server that is right, and says which message is wrong with one that is not."""

import json
import pathlib
import shlex
import sys
from typing import Any

import pytest
from conftest import Load, running

QUICK = ("--warm-up", "0", "--seconds", "0.3", "--patience", "5")
CONFORMANCE = pathlib.Path(__file__).parents[1] / "conformance"
FINE, WRONG, USAGE, UNMEASURED = 0, 1, 2, 3


def model(*faults: str) -> str:
    """The command that starts the model server."""
    switches = " ".join(f"--fault {fault}" for fault in faults)
    path = shlex.quote(str(CONFORMANCE))
    return f"env PYTHONPATH={path} {shlex.quote(sys.executable)} -m model --port {{port}} {switches}"


def results(load: Load, *arguments: str) -> dict[str, Any]:
    done = load(*QUICK, "--json", "-", *arguments)
    assert done.returncode == FINE, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


# ---- What is right


@pytest.mark.parametrize("loop", [("--window", "8"), ("--rate", "500")], ids=["closed", "open"])
@pytest.mark.parametrize("scenario", ["pairs", "fanout", "broadcast", "sign"])
def test_talk(load: Load, chatd: str, scenario: str, loop: tuple[str, str]) -> None:
    found = results(load, "--start", chatd, "--connections", "18", *loop, scenario)

    assert found["scenario"] == scenario
    assert found["messages_per_s"] > 0
    copies = {"pairs": 1, "fanout": 8, "broadcast": 18, "sign": 0}[scenario]
    assert found["deliveries_per_s"] == pytest.approx(copies * found["messages_per_s"], rel=0.3)
    assert 0 < found["latency_p50_us"] <= found["latency_p99_us"] <= found["latency_max_us"]
    assert found["server_cpu_us_per_message"] > 0
    assert found["server_memory_bytes"] > 1_000_000


def test_open_loop_keeps_its_rate(load: Load, chatd: str) -> None:
    found = results(load, "--start", chatd, "--rate", "1000", "--seconds", "1", "pairs")

    assert found["messages_per_s"] == pytest.approx(1000, rel=0.2)


def test_urls_take_turns(load: Load, chatd: str) -> None:
    """Two servers that know nothing of each other, and the two of a pair: neither hears the other."""
    with running(chatd) as first, running(chatd) as second:
        once = load(*QUICK, "--url", first, "--url", first, "--connections", "2", "pairs")
        torn = load(*QUICK, "--patience", "1", "--url", first, "--url", second, "--connections", "2", "pairs")

    assert once.returncode == FINE, once.stderr
    assert torn.returncode == WRONG


def test_messages_end_the_run(load: Load, chatd: str) -> None:
    """Each of the two groups' senders sends ten, in batches of four, four and two."""
    found = results(
        *(load, "--start", chatd, "--connections", "6", "--devices", "2"),
        *("--window", "4", "--batches", "--messages", "10", "fanout"),
    )

    assert found["messages"] == 20
    assert found["deliveries"] == 40


def test_crowd(load: Load, chatd: str) -> None:
    found = results(load, "--start", chatd, "--connections", "500", "idle")

    assert found["p50_ratio"] > 0
    assert 0 < found["bytes_per_connection"] < 100_000
    assert sum(name.startswith("joined_per_s_up_to_") for name in found) == 10


def test_connects(load: Load, chatd: str) -> None:
    assert results(load, "--start", chatd, "--connections", "20", "connect")["connects_per_s"] > 0


def test_slow_readers(load: Load, chatd: str) -> None:
    found = results(load, "--start", chatd, "--connections", "40", "--senders", "2", "--window", "4", "slow")

    assert found["beside_slow_readers_p50_us"] > 0
    assert found["server_memory_bytes_beside"] > 0


def test_bodies_of_every_length_of_header(load: Load, chatd: str) -> None:
    for size in ("26", "60", "90", "1024", "60000"):
        assert results(load, "--start", chatd, "--connections", "4", "--body", size, "pairs")


def test_another_server(load: Load) -> None:
    assert results(load, "--start", model("none"), "--connections", "18", "--window", "4", "fanout")


# ---- What is wrong


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("delivered-twice", "doubled or overtaken"),
        ("second-device-twice", "doubled or overtaken"),
        ("lost-each-tenth", "lost or overtaken"),
        ("deliveries-swapped", "lost or overtaken"),
        ("second-device-late", "lost or overtaken"),
        ("reply-twice", "a reply that its request does not get"),
        ("reply-lost", "no reply to its request"),
        ("reply-to-newest", "a reply without a request"),
        ("from-of-last-sign", "from somebody who does not write to it"),
        ("to-newest-too", "from somebody who does not write to it"),
        ("strings-cut-at-1024", "a body that nobody sent"),
        ("closes-after-third-error", None),  # no request is wrong, so nothing is
    ],
)
def test_fault(load: Load, fault: str, says: str | None) -> None:
    done = load(
        *("--start", model(fault), "--connections", "9", "--devices", "2", "--window", "4"),
        *("--body", "1100", "--warm-up", "0", "--seconds", "0.3", "--patience", "3", "fanout"),
    )

    assert done.returncode == (FINE if says is None else WRONG), done.stderr
    assert says is None or says in done.stderr


def test_last_message_lost(load: Load) -> None:
    """Nothing comes behind it that would show the gap; window 1, and each tenth is lost."""
    done = load(
        *("--start", model("lost-each-tenth"), "--connections", "2", "--patience", "2"),
        *("--warm-up", "0", "--seconds", "0.3", "pairs"),
    )

    assert done.returncode == WRONG
    assert "is lost" in done.stderr


# ---- Use


def test_help_names_every_scenario(load: Load) -> None:
    done = load("--help")

    assert done.returncode == FINE
    for scenario in ("pairs", "fanout", "broadcast", "idle", "connect", "sign", "slow"):
        assert f"\n  {scenario} " in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("sideways",),
        ("pairs", "fanout"),
        ("--window", "0", "pairs"),
        ("--window", "x", "pairs"),
        ("--body", "25", "pairs"),
        ("--nothing", "pairs"),
        ("--messages", "10", "idle"),
        ("--messages", "10", "--rate", "10", "pairs"),
        ("--url", "http://127.0.0.1/", "pairs"),
        ("--start", "true", "pairs"),
        ("--start", "true {port}", "--url", "ws://127.0.0.1:1/", "pairs"),
        (*["--url", "ws://127.0.0.1:1/"] * 17, "pairs"),
        ("--prefix", 'a"b', "pairs"),
    ],
)
def test_wrong_use(load: Load, arguments: tuple[str, ...]) -> None:
    assert load(*arguments).returncode == USAGE


@pytest.mark.parametrize(
    "arguments",
    [
        ("--start", "exit 1 # {port}", "pairs"),
        ("--url", "ws://127.0.0.1:1/", "pairs"),
        ("--connections", "1000000", "pairs"),
    ],
)
def test_nothing_to_measure(load: Load, arguments: tuple[str, ...]) -> None:
    assert load(*arguments).returncode == UNMEASURED
