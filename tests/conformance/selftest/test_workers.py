"""Checks that workers make side by side: all is as with one job, but for the time."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace
from typing import Any, NoReturn
from xml.etree import ElementTree

import pytest

from chatcheck import workers
from chatcheck.interrupts import ENDS
from chatcheck.redis_control import PrivateRedis
from chatcheck.timing import eventually

from .test_cli import ENVIRONMENT, MODEL, chatcheck, server_that_accepts

pytestmark = pytest.mark.limit(300)

CHECKS = '''
import os, pytest
from chatcheck.verdict import Mismatch

@pytest.mark.spec("WS-1")
@pytest.mark.parametrize("number", range(40))
def test_where(server, number):
    """WS-1: "It MUST be somewhere." """
    server.signed().fence()
    with open("made", "a") as made:
        made.write(f"{number} {os.getpid()} {server.address.port}\\n")
'''


@pytest.fixture
def url() -> Iterator[str]:
    """A port that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture(autouse=True)
def finds_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])


def run(pytester: pytest.Pytester, checks: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(test_checks=checks)
    return pytester.runpytest_subprocess("-p", "chatcheck.plugin", *arguments)


def server_that_first(folder: Path, does: str) -> str:
    """The command of a model that does something else first, such as to leave a trace in this folder."""
    program = folder / "server.py"
    program.write_text(
        f"import os, sys\nos.chdir({str(folder)!r})\n{does}\n"
        "os.execv(sys.executable, [sys.executable, '-m', 'model', '--port', sys.argv[1]])\n"
    )
    return f"{sys.executable} {program} {{port}}"


def what_does_not_vary(report: dict[str, Any]) -> object:
    """A report without times, ports and random names."""
    clauses = [
        {
            **clause,
            "checks": [
                (check["name"], check["verdict"], check["fingerprint"], bool(check["conversation"]))
                for check in clause["checks"]
            ],
        }
        for clause in report["clauses"]
    ]
    return clauses, report["counts"], report["verdict"]


def test_the_reports_are_the_same_with_one_job_and_with_more(tmp_path: Path) -> None:
    clauses = [word for name in ("MSG-4", "MSG-2", "SIGN-1", "JSON-2") for word in ("--only", name)]
    words = [
        "--start",
        f"{MODEL} --fault unsigned-delivered",
        *clauses,
        "--json",
        "a.json",
        "--junit",
        "a.xml",
    ]
    runs, reports, cases = [], [], []
    for jobs in ("1", "3"):
        runs.append(chatcheck(tmp_path, *words, "--jobs", jobs))
        reports.append(json.loads((tmp_path / "a.json").read_text()))
        cases.append([c.get("name") for c in ElementTree.parse(tmp_path / "a.xml").iter("testcase")])
    failed = next(clause for clause in reports[1]["clauses"] if clause["id"] == "MSG-4")["checks"][0]

    assert [run.returncode for run in runs] == [1, 1]
    assert what_does_not_vary(reports[0]) == what_does_not_vary(reports[1])
    assert reports[0]["counts"]["pass"] > 0
    assert cases[0] == cases[1]
    assert runs[0].stdout.splitlines()[-2] == runs[1].stdout.splitlines()[-2]
    assert failed["conversation"][-1]["text"] == '{"status":1,"msg":"sended"}'
    assert "import socket" in failed["replay"]


def test_each_check_is_made_once_and_each_worker_has_a_server(pytester: pytest.Pytester) -> None:
    result = run(pytester, CHECKS, "--start", MODEL, "--jobs", "3")
    made = [line.split() for line in (pytester.path / "made").read_text().splitlines()]

    result.assert_outcomes(passed=40)
    assert sorted(int(number) for number, _, _ in made) == list(range(40))
    assert len({(process, port) for _, process, port in made}) == len({port for _, _, port in made}) == 3


def test_a_server_that_cannot_be_started_ends_the_run_with_3(tmp_path: Path) -> None:
    run = chatcheck(tmp_path, "--start", "false {port}", "--jobs", "2")

    assert run.returncode == 3
    assert "the server ended with status 1" in run.stderr


def test_a_worker_that_is_ended_while_it_says_why_leaves_no_traceback(pytester: pytest.Pytester) -> None:
    # Only the first of two says so; the second is about to when the first one's word ends the run.
    checks = """
import os, time
from chatcheck import workers
from chatcheck.interrupts import ENDS

says = workers._Said.__init__

def says_second(said, *reports, leave=None, **others):
    if leave:
        try:
            os.mkdir("first")
        except FileExistsError:
            open("second", "w").close()
            time.sleep(100)  # until the signal comes
        while not os.path.exists("second"):
            time.sleep(0.01)
    says(said, *reports, leave=leave, **others)

workers._Said.__init__ = says_second
"""
    result = run(pytester, checks + CHECKS, "--start", "false {port}", "--jobs", "2")

    assert result.ret == 3
    assert "Traceback" not in result.stderr.str()


def work_until(line: int, stderr: int) -> None:
    """In a process of its own: a worker that gets SIGTERM when this many lines of the suite have run."""
    seen: set[tuple[object, int]] = set()
    os.dup2(stderr, 2)
    sys.stderr = os.fdopen(2, "w")
    here, there = multiprocessing.Pipe()
    here.send(0)
    here.send(None)

    def make_check(*_: object, **_more: object) -> NoReturn:
        PrivateRedis().destroy()
        raise pytest.exit.Exception("the server cannot be reached", 3)

    def count(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        nonlocal line
        if not frame.f_code.co_filename.startswith(os.path.dirname(workers.__file__)):
            return None
        where = frame.f_code, frame.f_lineno
        if event == "line" and where not in seen:
            seen.add(where)
            line -= 1
            if line == 0:
                os.kill(os.getpid(), signal.SIGTERM)
        return count

    workers.runtestprotocol = make_check  # type: ignore[assignment]
    workers.tear_down = lambda _session: None
    plugins = SimpleNamespace(getplugin=lambda _name: None)
    session = SimpleNamespace(config=SimpleNamespace(pluginmanager=plugins), items=[None], shouldstop="")
    sys.settrace(count)
    workers._work(session, there, [])  # type: ignore[arg-type]
    sys.settrace(None)
    print("to the end", file=sys.stderr, flush=True)


def test_a_worker_can_be_ended_at_any_line_and_takes_with_it_what_it_has_started() -> None:
    said, line = "", 2  # SIGTERM is heard from the second line on; before, the parent holds it back
    while not said:
        line += 1
        reading, writing = os.pipe()
        process = multiprocessing.get_context("fork").Process(target=work_until, args=(line, writing))
        process.start()
        os.close(writing)
        with os.fdopen(reading) as stderr:
            said = stderr.read()  # ends when nobody is left who could write, and Redis could
        process.join()

    assert (said, process.exitcode) == ("to the end\n", 0)
    assert line > 50


def test_a_server_that_dies_while_the_workers_begin_is_not_conformant(tmp_path: Path) -> None:
    with server_that_accepts(1) as url:  # the first look, before there are workers
        run = chatcheck(tmp_path, "--url", url, "--jobs", "2", "--timeout-factor", "0.2", "--only", "WS-1")

    assert (run.returncode, run.stderr) == (1, "")
    assert "the server cannot be reached any more" in run.stdout


def test_a_server_that_is_gone_is_not_waited_for_by_each_check(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    starts_once = server_that_first(tmp_path, "os.mkdir(sys.argv[1])")
    checks = CHECKS.replace("server.signed()", "server.kill(); server.signed()")
    result = run(pytester, checks, "--start", starts_once, "--jobs", "2")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["*the server cannot be reached any more*"])
    assert result.parseoutcomes()["failed"] <= 4  # of 40: each worker's first, and the next


def test_a_worker_that_dies_breaks_the_run(pytester: pytest.Pytester, url: str) -> None:
    checks = CHECKS.replace("server.signed()", "os.kill(os.getpid(), 9); server.signed()")
    result = run(pytester, checks, "--url", url, "--jobs", "2")

    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "a worker ended (exit code -9) while it made test_checks.py::test_where" in result.stdout.str()


def test_maxfail_ends_the_run(pytester: pytest.Pytester, url: str) -> None:
    checks = CHECKS.replace("server.signed()", 'raise Mismatch("1", "2"); server.signed()')
    result = run(pytester, checks, "--url", url, "--jobs", "2", "-x")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(failed=1)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("number", ENDS)
def test_an_interrupt_ends_the_workers_and_their_servers(
    number: signal.Signals, jobs: int, tmp_path: Path
) -> None:
    server = server_that_first(tmp_path, "open(str(os.getpid()), 'w').close()")
    process = subprocess.Popen(
        [sys.executable, "-m", "chatcheck", "--jobs", str(jobs), "--start", server, "--json", "a.json"],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def servers() -> list[int]:
        return [int(path.name) for path in tmp_path.iterdir() if path.name.isdigit()]

    assert eventually(lambda: len(servers()) >= jobs, within=60)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    report = json.loads((tmp_path / "a.json").read_text())

    assert (process.returncode, "chatcheck: interrupted" in errors) == (3, True)
    assert report["verdict"] == "broken"
    assert any(clause["reason"] == "the run ended early" for clause in report["clauses"])
    for pid in servers():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
