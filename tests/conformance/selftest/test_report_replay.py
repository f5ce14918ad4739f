"""A replay has the recorded conversation again, in its order, with the standard library alone."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatcheck.raw_client import BINARY, CONT, PING, TEXT, build_frame, upgrade_request
from chatcheck.report import recorded, replay
from chatcheck.target import Documented, Server, Target
from chatcheck.transcript import Act, Transcript
from selftest.report_examples import HOSTILE

MODEL = f"{sys.executable} -m model --port {{port}} --fault body-and-to-swapped"


@pytest.fixture
def broken() -> Iterator[Server]:
    """A server that tells a wrong sender."""
    target = Target(None, MODEL, None, Documented())
    try:
        target.ensure_running()
        server = Server(target)
        yield server
        server.release()
    finally:
        target.destroy()


def run(script: str, server: Server, folder: Path) -> list[str]:
    """The events that a replay prints, without their times and ports."""
    path = folder / "replay.py"
    path.write_text(script)
    command = [sys.executable, "-I", "-W", "error::SyntaxWarning", str(path), str(server.address)]
    done = subprocess.run(command, capture_output=True, timeout=30, stdin=subprocess.DEVNULL, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [line.split("s ", 1)[-1].strip() for line in done.stdout.decode().splitlines()]


def test_the_wrong_answer_comes_again(broken: Server, tmp_path: Path) -> None:
    alice, bob = broken.signed(), broken.signed()
    alice.send(type="msg", to=bob.uid, body="号")
    said = bob.recv_text()
    assert alice.uid not in said, "the fault is not there"

    script = replay.script(broken.transcript.snapshot(), 'MSG-1: "a clause"')

    assert script is not None
    events = run(script, broken, tmp_path)
    assert f"B< {said}" in events
    sent = [f"{e.connection}{e.event}" for e in broken.transcript.snapshot() if e.event.startswith(">")]
    assert [event for event in events if event[1:2] == ">" and "GET /" not in event] == sent


def test_events_keep_their_order_across_connections(broken: Server, tmp_path: Path) -> None:
    alice, bob = broken.connect(), broken.connect()
    for client, uid in ((bob, broken.uid()), (alice, broken.uid())):
        client.sign(uid)
    bob.msg(alice.uid, "1")
    alice.recv_text()
    recorded_order = [
        f"{e.connection}{e.event[0]}" for e in broken.transcript.snapshot() if e.event[0] in "<>"
    ]

    script = replay.script(broken.transcript.snapshot())

    assert script is not None
    events = run(script, broken, tmp_path)
    received = [e[:2] for e in events if e[1:2] in ("<", ">") and "GET /" not in e]
    assert received[: len(recorded_order)] == recorded_order


def test_odd_frames_are_sent_again_as_they_were(broken: Server, tmp_path: Path) -> None:
    raw = broken.raw()
    raw.send_frame(TEXT, b'{"type":"si', fin=False, length_bits=64)
    raw.send_frame(PING, b"\x00\xff", mask=b"\x00\x00\x00\x00")
    raw.expect_pong(b"\x00\xff")
    raw.send_frame(CONT, f'gn","uid":"{broken.uid()}"}}'.encode())
    raw.recv_text()
    raw.send_raw(build_frame(TEXT, b"x", mask=None), "a frame without a mask")
    raw.expect_closed(1002)

    script = replay.script(broken.transcript.snapshot())

    assert script is not None
    assert "length_bits=64" in script
    assert "mask=b'\\x00\\x00\\x00\\x00'" in script
    events = run(script, broken, tmp_path)
    assert "A< pong \\x00\\xff" in events
    assert any(event.startswith("A< close 1002") for event in events)
    assert not any(event.startswith("A> (not all sent") for event in events)


def test_a_large_frame_is_packed_and_comes_out_whole(broken: Server, tmp_path: Path) -> None:
    raw = broken.raw()
    raw.send_frame(BINARY, b"x" * (1 << 20))
    raw.recv_frame()

    script = replay.script(broken.transcript.snapshot())

    assert script is not None
    assert len(script) < 20_000
    size = f"({(1 << 20) + len('> binary ')} characters)"
    assert any(size in line for line in run(script, broken, tmp_path))


def test_hostile_events_make_a_script_that_parses(tmp_path: Path) -> None:
    transcript = Transcript()
    name = transcript.new_connection()
    transcript.add(name, " connects", Act("connect", b"/\xff'\"\n", port=1))
    transcript.add(name, f"> {HOSTILE}", Act("text", HOSTILE.encode("utf-8", "surrogatepass"), 1))
    transcript.add(name, f"< {HOSTILE}", Act("text", b"", 1))
    transcript.note(f" {HOSTILE}")

    script = replay.script(transcript.snapshot(), HOSTILE + '\n"""\nimport os')

    assert script is not None
    tree = ast.parse(script.encode())
    assert "os" in {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    assert sum(isinstance(node, ast.Import) and node.names[0].name == "os" for node in tree.body) == 1


def test_a_wait_in_vain_is_a_pause_and_nothing_to_do_by_hand() -> None:
    transcript = Transcript()
    transcript.add("A", " connects to / from port 1", Act("connect", b"/"))
    transcript.add("A", " nothing more comes", Act("silence"))
    transcript.entries[1].seconds += 5

    made = replay.script(transcript.entries)

    assert made is not None
    conversation = made.partition("def main")[2]
    assert "pause(5.0)" in conversation
    assert "note(" not in conversation


def test_nothing_said_or_far_too_much_has_no_replay() -> None:
    transcript = Transcript()
    assert replay.script(transcript.snapshot()) is None
    transcript.note(" nothing was said")
    assert replay.script(transcript.snapshot()) is None


def test_the_lines_of_a_report_are_the_recorded_events(broken: Server) -> None:
    broken.signed()
    raw = broken.raw(handshake=False)
    raw.send_raw(upgrade_request(broken.address))
    raw.recv_response()

    lines = recorded.lines(broken.transcript.snapshot())

    assert [(line.connection, line.direction, line.kind) for line in lines] == [
        ("A", "-", "connect"),
        ("A", "<", "http"),
        ("A", ">", "text"),
        ("A", "<", "text"),
        ("B", "-", "tcp"),
        ("B", ">", "raw"),
        ("B", "<", "http"),
    ]
    assert lines[-1].code == 101
    assert lines[0].port == lines[1].port != lines[-1].port
