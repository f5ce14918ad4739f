"""An interrupt at any moment leaves a report that says so, and exit status 3."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from chatcheck.report import WRITERS, write
from chatcheck.report.model import Report

from .report_examples import report as a_report
from .test_cli import ENVIRONMENT, MODEL

pytestmark = pytest.mark.limit(300)

# chatcheck, which gets a signal whenever it is about to call one of these functions for the Nth time.
INTERRUPTED = """
import importlib, os, sys

def interrupt_before(place, number, calls):
    module, _, path = place.partition(":")
    holder = importlib.import_module(module)
    *classes, name = path.split(".")
    for step in classes:
        holder = getattr(holder, step)
    function = getattr(holder, name)

    def interrupted(*positional, **named):
        nonlocal calls
        calls -= 1
        if calls == 0:
            os.kill(os.getpid(), number)
        return function(*positional, **named)

    setattr(holder, name, interrupted)

places, arguments = sys.argv[1].split(), sys.argv[2:]
for place in places:
    where, number, calls = place.split(",")
    interrupt_before(where, int(number), int(calls))
from chatcheck import cli
sys.exit(cli.main(arguments))
"""


def interrupted(
    folder: Path, *places: tuple[str, signal.Signals, int]
) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    """A run that gets these signals at these places, and its report."""
    words = ["--jobs", "1", "--start", MODEL, "--json", "a.json", "--html", "a.html", "--only", "MSG-1"]
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, " ".join(f"{p},{s:d},{n}" for p, s, n in places), *words],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert (folder / "a.json").exists(), run.stderr
    return run, json.loads((folder / "a.json").read_text())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize(
    "place",
    [
        "chatcheck.cli:read_settings,1",
        "chatcheck.cli:Recorder,1",
        "chatcheck.cli:_pytest_arguments,1",
        "_pytest.config:_prepareconfig,1",
        "_pytest.config:Config._do_configure,1",
        "_pytest.main:Session.perform_collect,1",
        "chatcheck.plugin:_make_target,1",
        "chatcheck.processes:start,1",
        "socket:socket.connect,1",  # an open socket is lost, of which Python warns when the run ends
        "socket:socket.recv,1",
        "chatcheck.target:Target.destroy,1",
        "_pytest.config:Config._ensure_unconfigure,1",
    ],
)
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_at_any_moment_leaves_a_report(
    place: str, number: signal.Signals, tmp_path: Path
) -> None:
    where, _, calls = place.partition(",")
    run, report = interrupted(tmp_path, (where, number, int(calls)))

    assert (run.returncode, run.stderr) == (3, "chatcheck: interrupted\n")
    assert report["verdict"] == "broken"
    assert (tmp_path / "a.html").exists()


# The command, which gets a signal when it is about to import pytest.
INTERRUPTED_EARLY = """
import builtins, os, runpy, sys

original, number = builtins.__import__, int(sys.argv[1])

def interrupting(name, *arguments, **named):
    if name == "pytest":
        builtins.__import__ = original
        os.kill(os.getpid(), number)
    return original(name, *arguments, **named)

builtins.__import__ = interrupting
sys.argv = ["chatcheck", *sys.argv[2:]]
runpy.run_module("chatcheck", run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_while_the_command_is_loaded_leaves_a_report(
    number: signal.Signals, tmp_path: Path
) -> None:
    words = ["--jobs", "1", "--start", MODEL, "--json", "a.json", "--only", "MSG-1"]
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_EARLY, str(int(number)), *words],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert (run.returncode, run.stderr) == (3, "chatcheck: interrupted\n")
    assert json.loads((tmp_path / "a.json").read_text())["verdict"] == "broken"


def test_the_installed_command_hears_interrupts_first() -> None:
    (command,) = entry_points(group="console_scripts", name="chatcheck")

    assert command.value == "chatcheck.__main__:main"


@pytest.mark.parametrize(
    "second",
    [
        "chatcheck.target:Target.destroy",
        "chatcheck.recorder:Recorder.report",
        "chatcheck.report:save",
        "chatcheck.console:Console.summarize",
    ],
)
def test_a_second_interrupt_does_not_lose_the_report(second: str, tmp_path: Path) -> None:
    first = ("chatcheck.plugin:Server", signal.SIGTERM, 1)
    run, report = interrupted(tmp_path, first, (second, signal.SIGINT, 1), (second, signal.SIGTERM, 2))

    assert (run.returncode, run.stderr) == (3, "chatcheck: interrupted\n")
    assert report["verdict"] == "broken"
    assert any(clause["reason"] == "the run ended early" for clause in report["clauses"])
    assert (tmp_path / "a.html").exists()


@pytest.mark.parametrize("place", ["chatcheck.report:save", "chatcheck.console:Console.summarize"])
def test_an_interrupt_after_the_last_check_does_not_change_what_was_found(place: str, tmp_path: Path) -> None:
    run, report = interrupted(tmp_path, (place, signal.SIGTERM, 1))

    assert (run.returncode, run.stderr) == (0, "")
    assert report["verdict"] == "conformant"


def test_an_interrupt_that_something_swallows_ends_the_run_before_the_next_check(tmp_path: Path) -> None:
    swallowing = INTERRUPTED.replace(
        "os.kill(os.getpid(), number)",
        "\n            try:\n                os.kill(os.getpid(), number)"
        "\n            except KeyboardInterrupt:\n                pass",
    )
    words = ["--jobs", "1", "--start", MODEL, "--json", "a.json", "--only", "MSG-1", "--only", "MSG-2"]
    run = subprocess.run(
        [sys.executable, "-c", swallowing, f"chatcheck.plugin:Server,{signal.SIGTERM:d},1", *words],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=200,
    )
    report = json.loads((tmp_path / "a.json").read_text())

    assert (run.returncode, run.stderr) == (3, "chatcheck: interrupted\n")
    assert sum(len(clause["checks"]) for clause in report["clauses"]) == 1


def test_a_baseline_that_is_interrupted_is_not_written(tmp_path: Path) -> None:
    words = ["baseline", "--output", "known.toml", "--start", MODEL, "--only", "MSG-1"]
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, f"chatcheck.plugin:Server,{signal.SIGTERM:d},1", *words],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert run.returncode == 3
    assert not (tmp_path / "known.toml").exists()


# What is written


@pytest.fixture
def report() -> Report:
    return a_report()


def test_a_report_is_replaced_as_a_whole(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    path.write_text("the one before")

    def disk_is_full(*_: object, **_more: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_is_full)
    with pytest.raises(OSError, match="No space left"):
        write(report, "json", path)

    assert path.read_text() == "the one before"
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_a_link_to_a_report_stays_a_link_and_a_mode_stays(report: Report, tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("")
    real.chmod(0o640)
    link.symlink_to(real)
    write(report, "json", link)

    assert link.is_symlink()
    assert json.loads(real.read_text())["verdict"]
    assert real.stat().st_mode & 0o777 == 0o640


def test_what_is_no_file_is_written_to(report: Report, tmp_path: Path) -> None:
    path = Path("/dev/null")
    write(report, "json", path)

    assert path.is_char_device()


def test_a_report_that_cannot_be_written_does_not_lose_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to(tmp_path / "no folder" / "a.json")
    words = ["--start", MODEL, "--only", "MSG-1", "--json", "a.json", *_all_but_json()]
    run = subprocess.run(
        [sys.executable, "-m", "chatcheck", *words],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=200,
    )

    assert (run.returncode, "--json a.json cannot be written" in run.stderr) == (3, True)
    assert {file.name for file in tmp_path.iterdir()} >= {
        f"a.{kind}" for kind in ("html", "junit", "markdown")
    }


def _all_but_json() -> list[str]:
    kinds = [kind for kind in WRITERS if kind not in ("json", "annotations")]
    return [word for kind in kinds for word in (f"--{kind}", f"a.{kind}")]
