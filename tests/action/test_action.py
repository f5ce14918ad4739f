"""action.yml does what it says: its steps are run here as they stand, against right and wrong servers.

What GitHub would do is done by run_action(): it fills in the expressions of each step's `env`, runs its
`run` with bash, and reads what the step wrote for outputs and the summary. Steps that use another action are
passed over.
"""

from __future__ import annotations

import dataclasses
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


def filled_in(text: str, inputs: dict[str, str], temp: pathlib.Path) -> str:
    values = {"github.action_path": str(ROOT), "runner.temp": str(temp)}
    values |= {f"inputs.{name}": value for name, value in inputs.items()}
    return re.sub(r"\$\{\{ ([a-z_.-]+) \}\}", lambda match: values[match[1]], text)


def is_done(step: dict[str, Any], temp: pathlib.Path) -> bool:
    """The first run has installed chatcheck for all: each would make the same of it."""
    return step["name"] == "Install chatcheck" and (temp / "chatcheck-venv" / "bin" / "chatcheck").exists()


def run_action(folder: pathlib.Path, **given: str) -> Run:
    temp = folder.parent
    names = {name.replace("-", "_"): name for name in ACTION["inputs"]}
    inputs = {name: str(definition.get("default", "")) for name, definition in ACTION["inputs"].items()}
    inputs |= {names[name]: value for name, value in given.items()}
    output, summary = folder / "output", folder / "summary"
    output.touch()
    summary.touch()
    log = ""
    for step in ACTION["runs"]["steps"]:
        if "run" not in step or is_done(step, temp):
            continue
        assert step["shell"] == "bash"
        environment = {name: filled_in(value, inputs, temp) for name, value in step["env"].items()}
        environment |= {"GITHUB_OUTPUT": str(output), "GITHUB_STEP_SUMMARY": str(summary)}
        environment["PYTHONPATH"] = str(ROOT / "tests" / "conformance")  # for the model server
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            env=os.environ | environment,
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=STEP_LIMIT_S,
            check=False,
        )
        log += done.stdout.decode(errors="replace")
        if done.returncode != 0:
            break
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
    return Run(done.returncode, outputs, summary.read_text(encoding="utf-8"), log)


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
    (tmp_path / "output").unlink()

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
