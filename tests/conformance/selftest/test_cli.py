"""The command as users run it: in a process of its own, somewhere else, against the model."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatcheck.clauses import load_spec

SUITE = Path(__file__).parent.parent
MODEL = f"{sys.executable} -m model --port {{port}}"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(SUITE)}

pytestmark = pytest.mark.limit(300)  # processes that start Python and a server, several in a test


def chatcheck(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chatcheck", *words],
        cwd=folder,
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
        timeout=200,
    )


def test_a_conformant_server_gives_0_and_a_short_summary_last(tmp_path: Path) -> None:
    run = chatcheck(tmp_path, "--start", MODEL, "--name", "mine", "--only", "MSG-4", "--only", "REPLY-8")

    assert (run.returncode, run.stderr) == (0, "")
    lines = run.stdout.splitlines()
    assert lines[-3] == "untested: (needs --start with {redis}) REPLY-8"
    assert re.fullmatch(r"clauses: 1 pass, \d+ untested, \d+ not applicable", lines[-2])
    assert lines[-1].startswith("mine: conformant (chat protocol 1.0, profile core; ")


def test_one_that_is_not_gives_1_and_the_failure_explains_itself(tmp_path: Path) -> None:
    run = chatcheck(tmp_path, "--start", f"{MODEL} --fault unsigned-delivered", "--only", "MSG-4")

    assert run.returncode == 1
    assert "\n== fail: MSG-4, MUST, section 4.3 msg\n  A msg of a connection that is not" in run.stdout
    assert "\nexpected: that nothing more comes on A before the delivery " in run.stdout
    assert ' B > {"type":"msg",' in run.stdout
    assert "NOT CONFORMANT" in run.stdout.splitlines()[-1]


def test_a_documented_limit_of_devices_is_no_fault(tmp_path: Path) -> None:
    limited = ["--start", f"{MODEL} --fault 64-devices-only", "--only", "SIGN-9"]

    assert chatcheck(tmp_path, *limited).returncode == 1
    assert chatcheck(tmp_path, *limited, "--device-limit", "64").returncode == 0


def test_a_baseline_allows_what_it_lists_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "chatcheck.toml").write_text(
        f"start = '{MODEL} --fault unsigned-delivered'\nonly = 'MSG-4'\nknown-failures = 'known.toml'\n"
        "annotations = true\n"
    )
    written = chatcheck(tmp_path, "baseline", "--output", "known.toml")
    unfinished = chatcheck(tmp_path)
    known = tmp_path / "known.toml"
    known.write_text(known.read_text().replace('reason = ""', 'reason = "old clients"'))
    allowed = chatcheck(tmp_path)
    again = chatcheck(tmp_path, "baseline", "--output", "known.toml")
    mended = chatcheck(tmp_path, "--start", MODEL)
    worse = chatcheck(tmp_path, "--start", f"{MODEL} --fault unsigned-illegal")

    assert written.returncode == 0
    assert (unfinished.returncode, "has no reason yet" in unfinished.stderr) == (2, True)
    assert (allowed.returncode, "known: MSG-4 old clients" in allowed.stdout) == (0, True)
    assert (again.returncode, "old clients" in known.read_text()) == (0, True)
    assert (mended.returncode, "it passes, but is listed" in mended.stdout) == (1, True)
    assert (worse.returncode, "not the known failure" in worse.stdout) == (1, True)
    assert "::error file=known.toml,line=" in worse.stdout


def test_a_known_failure_of_a_check_that_is_not_there_is_wrong_use(tmp_path: Path) -> None:
    (tmp_path / "known.toml").write_text(
        '[[failure]]\nclause = "MSG-4"\ncheck = "test_04_msg.py::test_no"\nfingerprint = "1"\nreason = "r"\n'
    )
    run = chatcheck(tmp_path, "--start", MODEL, "--known-failures", "known.toml")

    assert run.returncode == 2
    assert "MSG-4 has no check test_04_msg.py::test_no" in run.stderr


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        ([], 2, "say which server to check"),
        (["--url", "ws://127.0.0.1:1", "--only", "STORE-1"], 2, "STORE-1: the feature redis is not declared"),
        (["--start", MODEL, "--only", "REPLY-8"], 2, "nothing was checked"),
        (["--feature", "xyz", "--list"], 2, "there is no 'xyz'; there are auth, broadcast"),
        (["--url", "ws://127.0.0.1:1", "--timeout-factor", "0.01"], 3, "the server cannot be reached"),
        (["--start", "false {port}"], 3, "the server ended with status 1"),
        (["--url", "ws://127.0.0.1:1", "--path", "chat"], 2, "--path chat: expected a path such as /chat"),
        (["--url", "ws://127.0.0.1:1", "--path", "/a b"], 2, "--path /a b: expected a path such as /chat"),
        (["--url", "ws://127.0.0.1:1", "--path", "/a#b"], 2, "--path /a#b: expected a path such as /chat"),
        (["--start", "PORT={port} my-server"], 2, "Write: env PORT={port} my-server"),
        (["--start", "cd d && my-server {port}"], 2, "cd is no program, but a shell's own word"),
        (["--start", "true {port}", "--start-wait", "0"], 2, "--start-wait: expected a number above 0"),
        (["--start", "/no/such/server {port}"], 3, "/no/such/server: No such file"),
        (["baseline", "--output", "b.toml", "--start", "false {port}"], 3, "no baseline is written"),
    ],
)
def test_other_ends_have_their_status_and_say_what_to_do(
    tmp_path: Path, words: list[str], status: int, says: str
) -> None:
    run = chatcheck(tmp_path, *words)

    assert run.returncode == status
    assert says in run.stderr
    assert "Traceback" not in run.stderr


def test_a_feature_that_the_suite_does_not_check_is_told_and_not_probed(tmp_path: Path) -> None:
    run = chatcheck(tmp_path, "--start", MODEL, "--feature", "auth", "--only", "COMPAT-2", "--json", "a.json")
    clauses = {clause["id"]: clause for clause in json.loads((tmp_path / "a.json").read_text())["clauses"]}
    checks = {check["name"]: check["verdict"] for check in clauses["COMPAT-2"]["checks"]}

    assert run.returncode == 0
    assert [name for name, verdict in checks.items() if verdict == "not_applicable"] == [
        "test_10_versions.py::test_a_type_of_a_feature_that_is_not_served_is_illegal[auth]"
    ]
    assert set(checks.values()) == {"pass", "not_applicable"}
    assert "note: the feature auth is declared, but this suite has no checks for it yet" in run.stdout
    assert "untested in part" not in run.stdout


def test_what_lies_around_where_the_user_is_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "conftest.py").write_text("raise SystemExit(5)\n")
    run = chatcheck(tmp_path, "--start", MODEL, "--only", "MSG-1", PYTEST_ADDOPTS="-k nothing")

    assert (run.returncode, run.stderr) == (0, "")


def test_list_needs_no_server(tmp_path: Path) -> None:
    run = chatcheck(tmp_path, "--list", "--profile", "original")

    assert run.returncode == 0
    assert "COMPAT-1" in run.stdout
    assert "STORE-" not in run.stdout


def test_reports_are_written_also_of_a_run_that_broke(tmp_path: Path) -> None:
    run = chatcheck(tmp_path, "--start", "false {port}", "--json", "a.json", "--annotations")

    assert run.returncode == 3
    assert json.loads((tmp_path / "a.json").read_text())["verdict"] == "broken"


def test_a_report_names_the_run_and_explains_the_failure(tmp_path: Path) -> None:
    fault = f"{MODEL} --fault unsigned-delivered"
    run = chatcheck(tmp_path, "--start", fault, "--only", "MSG-4", "--json", "a.json", "--annotations")
    report = json.loads((tmp_path / "a.json").read_text())
    clause = next(clause for clause in report["clauses"] if clause["id"] == "MSG-4")
    (check,) = clause["checks"]

    assert run.returncode == 1
    assert "::error" in run.stdout
    assert (report["verdict"], report["profile"], report["target"]["start"]) == (
        "not conformant",
        "core",
        fault,
    )
    assert len(report["clauses"]) == len(load_spec().clauses)
    assert (clause["verdict"], check["verdict"]) == ("fail", "fail")
    assert check["got"] in check["message"]
    assert [line["text"] for line in check["conversation"]][-1] == '{"status":1,"msg":"sended"}'
    assert "import socket" in check["replay"]


def test_compare_reads_reports_and_refuses_what_is_none(tmp_path: Path) -> None:
    chatcheck(tmp_path, "--start", MODEL, "--only", "MSG-4", "--json", "a.json")
    (tmp_path / "b.json").write_text("{}")
    compared = chatcheck(tmp_path, "compare", "a.json", "a.json", "--html", "matrix.html")
    refused = chatcheck(tmp_path, "compare", "a.json", "b.json", "--html", "matrix.html")

    assert (compared.returncode, compared.stderr) == (0, "")
    assert "MSG-4" in (tmp_path / "matrix.html").read_text()
    assert (refused.returncode, refused.stderr.startswith("chatcheck: b.json: ")) == (2, True)


@contextlib.contextmanager
def server_that_accepts(n_connections: int) -> Iterator[str]:
    """The URL of a server that closes so many connections at once, and is gone."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)

    def serve() -> None:
        with listener:
            for _ in range(n_connections):
                listener.accept()[0].close()

    server = threading.Thread(target=serve)
    server.start()
    yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    server.join()


def test_a_server_that_dies_on_the_way_is_not_conformant_and_not_waited_for_again(tmp_path: Path) -> None:
    words = ["--timeout-factor", "0.2", "--jobs", "1", "--only", "WS-1", "--only", "MSG-9"]
    with server_that_accepts(3) as url:  # is it there, is its store, and is it there before the first check?
        run = chatcheck(tmp_path, "--url", url, *words, "--json", "a.json")
    report = json.loads((tmp_path / "a.json").read_text())

    assert (run.returncode, run.stderr) == (1, "")
    assert report["counts"]["fail"] == 1
    assert "untested: (the server cannot be reached any more) MSG-9" in run.stdout
