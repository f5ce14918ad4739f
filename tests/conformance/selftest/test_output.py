"""Whatever the terminal is like, and whoever stops reading: no traceback, and the run's own exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from selftest.test_cli import ENVIRONMENT, MODEL, chatcheck

ASCII = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
COMMAND = [sys.executable, "-m", "chatcheck"]
FAILING = ["--start", f"{MODEL} --fault unsigned-delivered", "--only", "MSG-4"]
PASSING = ["--start", MODEL, "--only", "MSG-4"]

pytestmark = pytest.mark.limit(300)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The JSON report of a run, for compare."""
    folder = tmp_path_factory.mktemp("report")
    assert chatcheck(folder, *PASSING, "--name", "ü–服务", "--json", "a.json").returncode == 0
    return folder / "a.json"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["baseline", "--help"], 0),
        (["compare", "--help"], 0),
        (["--list"], 0),
        (["--only", "ü"], 2),
        ([*FAILING, "--name", "ü–服务", "--annotations"], 1),
        (["baseline", "--output", "ü.toml", *FAILING], 0),
        (["compare", "REPORT", "--html", "ü.html"], 0),
        (["compare", "服务.json", "--html", "ü.html"], 2),
    ],
    ids=str,
)
def test_a_terminal_that_knows_ascii_only_is_enough(
    tmp_path: Path, report: Path, words: list[str], status: int
) -> None:
    words = [str(report) if word == "REPORT" else word for word in words]
    run = chatcheck(tmp_path, *words, **ASCII)

    assert (run.returncode, "Traceback" in run.stderr) == (status, False), run.stderr
    assert (run.stdout + run.stderr).isascii()


def test_reports_are_in_utf_8_also_where_the_output_is_not(tmp_path: Path) -> None:
    (tmp_path / "chatcheck.toml").write_text("name = 'ü😀'\n", encoding="utf-8")
    run = chatcheck(tmp_path, *PASSING, "--json", "a.json", "--junit", "a.xml", **ASCII)
    piped = chatcheck(tmp_path, *PASSING, "--json", "/dev/stdout", **ASCII)

    assert (run.returncode, piped.returncode) == (0, 0)
    assert '"name": "ü😀"' in piped.stdout
    assert json.loads((tmp_path / "a.json").read_bytes())["target"]["name"] == "ü😀"
    assert "ü😀" in (tmp_path / "a.xml").read_text(encoding="utf-8")
    ElementTree.parse(tmp_path / "a.xml")


def closed_early(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it with nobody who reads its output."""
    reads, writes = os.pipe()
    os.close(reads)
    try:
        return subprocess.run(
            [*COMMAND, *words], cwd=folder, env=ENVIRONMENT, stdout=writes, stderr=subprocess.PIPE, text=True
        )
    finally:
        os.close(writes)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["--help"], 0),
        (["--version"], 0),
        (["baseline", "--help"], 0),
        (["--list"], 0),
        ([], 2),
        (FAILING, 1),
        (PASSING, 0),
        (["baseline", "--output", "known.toml", *FAILING], 0),
        ([*PASSING, "--json", "/dev/stdout"], 0),
        ([*FAILING, "--annotations"], 1),
        (["compare", "REPORT", "--html", "a.html"], 0),
        (["compare", "REPORT", "--html", "/dev/stdout"], 0),
    ],
    ids=str,
)
def test_whoever_stops_reading_changes_nothing(
    tmp_path: Path, report: Path, words: list[str], status: int
) -> None:
    words = [str(report) if word == "REPORT" else word for word in words]
    run = (
        closed_early(tmp_path, *words, "--html", "r.html")
        if "--json" in words
        else closed_early(tmp_path, *words)
    )

    assert run.returncode == status
    assert "Traceback" not in run.stderr
    assert "Broken pipe" not in run.stderr
    if status == 0:
        assert run.stderr == ""


@pytest.mark.parametrize("words", [["--list"], ["--help"], PASSING], ids=str)
def test_output_that_is_lost_on_a_full_disk_is_an_error(tmp_path: Path, words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [*COMMAND, *words], cwd=tmp_path, env=ENVIRONMENT, stdout=full, stderr=subprocess.PIPE, text=True
        )

    assert run.returncode == 3
    assert run.stderr == "chatcheck: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize(("words", "status"), [("--list", 0), ("--only x", 2)])
def test_descriptors_may_be_closed(tmp_path: Path, closed: str, words: str, status: int) -> None:
    command = f"{sys.executable} -m chatcheck {words} {closed}"
    run = subprocess.run(
        ["sh", "-c", command], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=100
    )

    assert (run.returncode, "Traceback" in run.stderr) == (status, False)


@pytest.mark.parametrize("name", ["ü.json", "a\\u0000b"])
def test_a_name_that_no_file_can_have_here_is_wrong_use(tmp_path: Path, name: str) -> None:
    (tmp_path / "chatcheck.toml").write_text(f'json = "{name}"\n', encoding="utf-8")
    run = chatcheck(tmp_path, *PASSING, **ASCII)

    assert (run.returncode, "no file can have this name here" in run.stderr) == (2, True)


def test_a_whole_run_needs_no_descriptors(tmp_path: Path) -> None:
    words = f"--start '{MODEL}' --only MSG-4 --json a.json 0<&- 1>&- 2>&-"
    run = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m chatcheck {words}"], cwd=tmp_path, env=ENVIRONMENT, timeout=200
    )

    assert run.returncode == 0
    assert json.loads((tmp_path / "a.json").read_text())["verdict"] == "conformant"


def test_a_report_that_cannot_be_written_is_told_and_the_others_are_written(tmp_path: Path) -> None:
    run = chatcheck(tmp_path, *PASSING, "--json", "/dev/full", "--junit", "a.xml", "--annotations")
    red = chatcheck(tmp_path, *FAILING, "--json", "/dev/full")

    told = "chatcheck: --json /dev/full cannot be written: No space left on device\n"
    assert (run.returncode, run.stderr) == (3, told)
    assert (red.returncode, red.stderr) == (1, told)
    ElementTree.parse(tmp_path / "a.xml")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--json", "no/a.json", *PASSING], "--json: no/a.json cannot be written: there is no folder no"),
        (["--html", ".", *PASSING], "--html: . cannot be written: it is a folder"),
        (
            ["baseline", "--output", "no/k.toml", *PASSING],
            "--output: no/k.toml cannot be written: there is no",
        ),
        (["baseline", "--output", ".", *PASSING], "--output: . cannot be written: it is a folder"),
        (
            ["compare", "REPORT", "--html", "no/a.html"],
            "--html: no/a.html cannot be written: there is no folder",
        ),
        (["compare", "REPORT", "--html", "."], "--html: . cannot be written: it is a folder"),
        (["compare", ".", "--html", "a.html"], ".: [Errno 21] Is a directory"),
    ],
)
def test_a_path_that_cannot_be_written_is_told_before_the_run(
    tmp_path: Path, report: Path, words: list[str], says: str
) -> None:
    run = chatcheck(tmp_path, *[str(report) if word == "REPORT" else word for word in words])

    assert (run.returncode, run.stdout) == (2, "")
    assert run.stderr.startswith(f"chatcheck: {says}")


@pytest.mark.parametrize(
    "words", [["baseline", "--output", "/dev/full", *FAILING], ["compare", "REPORT", "--html", "/dev/full"]]
)
def test_a_file_that_is_lost_on_a_full_disk_is_an_error(
    tmp_path: Path, report: Path, words: list[str]
) -> None:
    run = chatcheck(tmp_path, *[str(report) if word == "REPORT" else word for word in words])

    assert run.returncode == 3
    assert "/dev/full cannot be written: No space left on device" in run.stderr
    assert "Traceback" not in run.stderr
