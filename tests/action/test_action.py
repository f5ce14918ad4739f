"""action.yml does what it says: its steps are run here as they stand, against right and wrong servers.

What GitHub would do is done by run_action(): it fills in the expressions of each step's `env`, runs its
`run` with bash in its `working-directory`, and reads what the step wrote for outputs and the summary. Of
steps that use another action only the inputs are filled in.
"""

from __future__ import annotations

import dataclasses
import glob
import os
import pathlib
import re
import subprocess
import sys
from typing import Any

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
MODEL = f"{sys.executable} -m model --port {{port}}"
STEP_LIMIT_S = 300


@dataclasses.dataclass
class Run:
    """What a workflow sees of the action."""

    exit_code: int
    outputs: dict[str, str]
    summary: str
    log: str
    uploaded_as: str
    uploaded: list[str]
    """The names of the files that would be uploaded."""


Context = dict[str, str]


def filled_in(text: str, context: Context) -> str:
    """The text with its expressions' values; an output that no step has written is empty."""

    def value(match: re.Match[str]) -> str:
        return context.get(match[1], "") if match[1].startswith("steps.") else context[match[1]]

    return re.sub(r"\$\{\{ ([a-z_.-]+) \}\}", value, text)


def context_of(temp: pathlib.Path, job_index: int, given: dict[str, str]) -> Context:
    context = {"github.action_path": str(ROOT), "runner.temp": str(temp)}
    context |= {"github.job": "conformance", "strategy.job-index": str(job_index)}
    names = {name.replace("-", "_"): name for name in ACTION["inputs"]}
    inputs = {
        name: filled_in(str(definition.get("default", "")), context)
        for name, definition in ACTION["inputs"].items()
    }
    inputs |= {names[name]: value for name, value in given.items()}
    return context | {f"inputs.{name}": value for name, value in inputs.items()}


def uploaded(path: str, workspace: pathlib.Path) -> list[str]:
    """The files that upload-artifact finds by a path, which may be a pattern but not have '..' in it."""
    assert ".." not in pathlib.PurePath(path).parts
    folders = map(pathlib.Path, glob.glob(str(workspace / path)))
    return sorted(file.name for folder in folders for file in folder.iterdir())


def is_done(step: dict[str, Any], temp: pathlib.Path) -> bool:
    """The first run has installed chatcheck for all: each would make the same of it."""
    return step["name"] == "Install chatcheck" and (temp / "chatcheck-venv" / "bin" / "chatcheck").exists()


def run_action(folder: pathlib.Path, *, job_index: int = 0, **given: str) -> Run:
    temp = folder.parent
    context = context_of(temp, job_index, given)
    output, summary = temp / f"{folder.name}.output", temp / f"{folder.name}.summary"
    output.write_text("")
    summary.write_text("")
    log, exit_code, upload = "", 0, {}
    for step in ACTION["runs"]["steps"]:
        if "uses" in step:
            upload = {name: filled_in(str(value), context) for name, value in step["with"].items()}
        if "run" not in step or is_done(step, temp) or exit_code != 0:
            continue
        assert step["shell"] == "bash"
        environment = {name: filled_in(value, context) for name, value in step["env"].items()}
        environment |= {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
        environment["PYTHONPATH"] = str(ROOT / "tests" / "conformance")  # for the model server
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            env=os.environ | environment,
            cwd=folder / filled_in(step.get("working-directory", "."), context),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=STEP_LIMIT_S,
            check=False,
        )
        log += done.stdout.decode(errors="replace")
        exit_code = done.returncode
        if "id" in step:
            written = (line.split("=", 1) for line in output.read_text().splitlines())
            context |= {f"steps.{step['id']}.outputs.{name}": value for name, value in written}
    outputs = {
        name: filled_in(definition["value"], context) for name, definition in ACTION["outputs"].items()
    }
    files = uploaded(upload["path"], folder) if upload["path"] else []
    return Run(exit_code, outputs, summary.read_text(encoding="utf-8"), log, upload["name"], files)


def test_a_right_server_is_green(tmp_path: pathlib.Path) -> None:
    run = run_action(tmp_path, start=MODEL, arguments="--only=SIGN-1\n--only=MSG-2")

    assert run.exit_code == 0, run.log
    assert run.outputs["verdict"] == "conformant"
    assert (run.outputs["passed"], run.outputs["failed"]) == ("2", "0")
    for name in ("json", "html", "junit"):
        assert pathlib.Path(run.outputs[name]).stat().st_size > 0
    assert "is conformant" in run.summary


def test_a_wrong_server_is_red_and_says_why(tmp_path: pathlib.Path) -> None:
    run = run_action(tmp_path, start=f"{MODEL} --fault unsigned-delivered", arguments="--only=MSG-4")

    assert run.exit_code == 1, run.log
    assert run.outputs["verdict"] == "not conformant"
    assert run.outputs["failed"] == "1"
    assert r"MSG\-4" in run.summary
    assert "::error" in run.log


def test_known_failures_are_allowed(tmp_path: pathlib.Path) -> None:
    start = f"{MODEL} --fault unsigned-delivered"
    run_action(tmp_path, start=start, arguments="--only=MSG-4")
    chatcheck = tmp_path.parent / "chatcheck-venv" / "bin" / "chatcheck"
    subprocess.run(
        [
            chatcheck,
            "baseline",
            "--output",
            "known.toml",
            "--start",
            start,
            "--only",
            "MSG-4",
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT / "tests" / "conformance")},
        check=False,
        timeout=STEP_LIMIT_S,
    )
    known = tmp_path / "known.toml"
    known.write_text(known.read_text().replace('reason = ""', 'reason = "old clients do so"'))

    run = run_action(tmp_path, start=start, arguments="--only=MSG-4", known_failures="known.toml")

    assert run.exit_code == 0, run.log


def test_a_server_that_does_not_start_is_broken(tmp_path: pathlib.Path) -> None:
    run = run_action(tmp_path, start="/bin/false {port}", arguments="--only=MSG-2")

    assert run.exit_code == 3, run.log


def test_a_ca_and_a_slow_start_can_be_given(tmp_path: pathlib.Path) -> None:
    no_ca = run_action(tmp_path, url="wss://127.0.0.1:1", cafile="no-such.pem")
    no_time = run_action(tmp_path, start="true {port}", start_wait="0")

    assert (no_ca.exit_code, no_time.exit_code) == (2, 2)
    assert "--cafile no-such.pem: No such file" in no_ca.log
    assert "--start-wait: expected a number above 0" in no_time.log


REPORTS = ["report.html", "report.json", "report.md", "report.xml"]
SIGN_1 = "--only=SIGN-1"


def test_reports_of_an_earlier_run_do_not_count(tmp_path: pathlib.Path) -> None:
    before = run_action(tmp_path, start=MODEL, arguments=SIGN_1)
    (tmp_path / "chatcheck-reports" / "mine.txt").touch()

    run = run_action(tmp_path, start=MODEL, arguments="--no-such-argument")

    assert (before.exit_code, run.exit_code) == (0, 2), run.log
    assert run.outputs["verdict"] == "broken"
    assert set(run.outputs.values()) == {"broken", ""}
    assert run.summary == ""
    assert os.listdir(tmp_path / "chatcheck-reports") == ["mine.txt"]
    assert run.uploaded == []


def test_a_report_that_is_not_whole_is_broken(tmp_path: pathlib.Path) -> None:
    run = run_action(tmp_path, start=MODEL, arguments=SIGN_1)
    chatcheck = tmp_path.parent / "chatcheck-venv" / "bin" / "chatcheck"
    whole = chatcheck.read_text()
    chatcheck.write_text('#!/bin/sh\nwhile [ "$1" != --json ]; do shift; done\necho "{" >"$2"; exit 4\n')
    try:
        run = run_action(tmp_path, start=MODEL)
    finally:
        chatcheck.write_text(whole)

    assert (run.exit_code, run.outputs["verdict"], run.outputs["passed"]) == (4, "broken", "")


@pytest.mark.parametrize(
    ("folder", "reports"),
    [
        ("deep/server", "out"),
        ("deep/server", "../out"),
        ("deep/server", "{here}/my reports"),
        ("{here}/deep/server", "out"),
        ("{here}/deep/server", "{here}/out"),
        (".", ".hidden/[out]"),
        (".", "."),
    ],
)
def test_relative_and_absolute_paths(tmp_path: pathlib.Path, folder: str, reports: str) -> None:
    (tmp_path / "deep" / "server").mkdir(parents=True)
    folder, reports = folder.format(here=tmp_path), reports.format(here=tmp_path)

    run = run_action(tmp_path, start=MODEL, arguments=SIGN_1, working_directory=folder, reports=reports)

    assert run.exit_code == 0, run.log
    wanted = (tmp_path / folder / reports).resolve()
    for name, file in {"json": "report.json", "html": "report.html", "junit": "report.xml"}.items():
        assert run.outputs[name] == str(wanted / file)
        assert (wanted / file).stat().st_size > 0
    assert run.uploaded == REPORTS


def test_the_command_runs_in_the_working_directory(tmp_path: pathlib.Path) -> None:
    server = tmp_path / "server"
    server.mkdir()
    (server / "start").write_text(f"#!/bin/sh\nexec {MODEL.format(port='$1')}\n")
    (server / "start").chmod(0o755)

    run = run_action(tmp_path, start="./start {port}", arguments=SIGN_1, working_directory="server")

    assert run.exit_code == 0, run.log


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path: pathlib.Path) -> None:
    (tmp_path / "file").touch()

    run = run_action(tmp_path, start=MODEL, arguments=SIGN_1, reports="file/reports")

    assert (run.exit_code, run.outputs["verdict"]) == (2, "broken")
    assert f"::error::reports: {tmp_path}/file/reports cannot be written to" in run.log


def test_no_two_uploads_of_a_workflow_have_one_name(tmp_path: pathlib.Path) -> None:
    run_action(tmp_path, start="/bin/false {port}", arguments=SIGN_1)  # installs chatcheck
    names = []
    for job_index in (0, 1):  # each job of a matrix has a machine of its own
        temp = tmp_path / str(job_index)
        (temp / "workspace").mkdir(parents=True)
        (temp / "chatcheck-venv").symlink_to(tmp_path.parent / "chatcheck-venv")
        for _ in range(2):
            names.append(
                run_action(temp / "workspace", job_index=job_index, start=MODEL, arguments=SIGN_1).uploaded_as
            )
        given = run_action(
            temp / "workspace", job_index=job_index, start=MODEL, arguments=SIGN_1, artifact="mine"
        )
        assert given.uploaded_as == "mine"

    assert names == [
        "chatcheck-conformance-0",
        "chatcheck-conformance-0-2",
        "chatcheck-conformance-1",
        "chatcheck-conformance-1-2",
    ]


@pytest.mark.parametrize("name", ["reports", "artifact"])
def test_an_input_does_not_forge_outputs(tmp_path: pathlib.Path, name: str) -> None:
    forged = "x\nverdict=conformant\nx=x"
    run = run_action(tmp_path, job_index=0, start="/bin/false {port}", **{name: forged})

    assert run.exit_code != 0
    assert run.outputs["verdict"] == "broken"


def test_each_line_of_arguments_is_one(tmp_path: pathlib.Path) -> None:
    run = run_action(tmp_path, start=MODEL, arguments="--message-wait=none\n--broadcast-wait=1\n")

    assert run.exit_code == 2
    assert "--message-wait" in run.log


def test_an_input_is_never_run_as_a_script(tmp_path: pathlib.Path) -> None:
    run = run_action(tmp_path, start=MODEL, arguments='--only=SIGN-1\n--path=/$(touch "$PWD/run")`touch run`')

    assert not (tmp_path / "run").exists(), run.log


@pytest.mark.parametrize(
    "step", [s for s in ACTION["runs"]["steps"] if "run" in s], ids=lambda step: step["name"]
)
def test_no_expression_stands_in_a_script(step: dict[str, str]) -> None:
    assert "${{" not in step["run"]


@pytest.mark.parametrize("example", ["green.yml", "red.yml"])
def test_the_examples_give_inputs_that_exist(example: str) -> None:
    workflow = yaml.safe_load((ROOT / "docs" / "actions" / example).read_text(encoding="utf-8"))
    steps = workflow["jobs"]["conformance"]["steps"]
    (ours,) = [step for step in steps if step.get("uses", "").startswith("chatref/")]

    assert ours["with"].keys() <= ACTION["inputs"].keys()
