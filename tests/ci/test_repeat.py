"""ci/repeat counts what fails, says why, and keeps the reports of each start."""

from __future__ import annotations

import contextlib
import pathlib
import re

import pytest
import repeat

SOMETIMES = """
import pathlib

def test_right():
    pass

def test_sometimes():
    n_runs = pathlib.Path(__file__).with_name("runs")
    n_runs.touch()
    n_runs.write_text(n_runs.read_text() + "x")
    print("run", n_runs.read_text())
    assert len(n_runs.read_text()) % 2
"""
NO_START = "raise RuntimeError('the last words')\n"
NOISE = (
    "def test_noisy():\n    print('\\n'.join(f'line {n} of many' for n in range(1000)))\n    assert False\n"
)


@pytest.fixture
def tests(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """The file of tests that is run instead of the project's own, on a machine that is not busy."""

    def command(kind: str, report: pathlib.Path, select: str | None) -> tuple[pathlib.Path, list[str]]:
        return tmp_path, [*repeat.pytest(report, select), "test_some.py"]

    monkeypatch.setattr(repeat, "command", command)
    monkeypatch.setattr(repeat, "busy", contextlib.nullcontext)
    monkeypatch.setattr(repeat, "REPORTS", tmp_path / "reports")
    return tmp_path / "test_some.py"


def kept(tests: pathlib.Path) -> list[str]:
    """The reports and logs that were kept, each in the folder of its start."""
    return sorted(path.name for path in (tests.parent / "reports").glob("*/*"))


def test_a_test_that_fails_is_named_with_its_output(
    tests: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tests.write_text(SOMETIMES)

    status = repeat.main(["--rounds", "3", "--only", "selftest"])

    said = capsys.readouterr().out
    assert status == 1
    assert "round 2: FAILED selftest: test_some test_sometimes\n" in said
    assert re.search(r"^ +\| run xx$", said, re.MULTILINE)
    assert "    1 of   3  selftest: test_some test_sometimes" in said
    assert "3 of 3 rounds, 1 tests failed at least once" in said
    assert kept(tests) == ["selftest-2.log", "selftest-2.xml"]


def test_only_the_tail_of_much_output_is_said(
    tests: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tests.write_text(NOISE)

    repeat.main(["--rounds", "1", "--only", "selftest"])

    said = capsys.readouterr().out
    assert "line 999 of many" in said
    assert "line 900 of many" not in said


def test_a_runner_that_breaks_is_a_failure_with_its_last_words(
    tests: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tests.with_name("conftest.py").write_text(NO_START)

    status = repeat.main(["--rounds", "1", "--only", "process"])

    said = capsys.readouterr().out
    assert status == 1
    assert "FAILED process: (the runner, exit status 4)" in said
    assert re.search(r"^ +\| .*the last words", said, re.MULTILINE)


def test_each_start_keeps_its_reports(tests: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    tests.with_name("conftest.py").write_text(NO_START)

    for _ in range(2):
        repeat.main(["--rounds", "1", "--only", "unit"])

    assert kept(tests) == ["unit-1.log", "unit-1.log"]
    folders = re.findall(r"^reports: (.+)$", capsys.readouterr().out, re.MULTILINE)
    assert {pathlib.Path(folder) for folder in folders} == set((tests.parent / "reports").iterdir())


def test_all_green_is_a_success(tests: pathlib.Path) -> None:
    tests.write_text("def test_right():\n    pass\n")

    assert repeat.main(["--rounds", "2"]) == 0
    assert kept(tests) == []
