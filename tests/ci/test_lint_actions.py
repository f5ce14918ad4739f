"""ci/lint actions finds what is wrong in the action, the workflows and their examples."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORKFLOW = ".github/workflows/test.yml"
GREEN = "docs/actions/green.yml"
RED = "docs/actions/red.yml"


@pytest.fixture(scope="session")
def actionlint() -> str:
    script = '. ci/lib.sh; install_actionlint && echo "$ACTIONLINT"'
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def project(tmp_path: pathlib.Path) -> pathlib.Path:
    shutil.copy(ROOT / "action.yml", tmp_path)
    for folder in (".github", "docs/actions"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    return tmp_path


def lint(project: pathlib.Path, actionlint: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, ROOT / "ci" / "actions.py", actionlint],
        cwd=project,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_nothing_is_wrong(project: pathlib.Path, actionlint: str) -> None:
    assert lint(project, actionlint) == (0, "")


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("action.yml", "inputs.start-wait", "inputs.start-wiat", '"start-wiat" is not defined'),
        ("action.yml", "'\"$ACTION_PATH/ci/action\" check'", "$ACTION_PATH/ci/action check", "SC2086"),
        ("action.yml", "github.job", "github.jbo", '"jbo" is not defined'),
        ("action.yml", "steps.check.outputs.json", "steps.chekc.outputs.json", '"chekc" is not defined'),
        ("action.yml", "if-no-files-found", "if-no-file-found", '"if-no-file-found" is not defined'),
        ("action.yml", "      shell: bash\n", "", "has no shell"),
        ("action.yml", "    default: core\n", "    defualt: core\n", "inputs: profile: unknown key defualt"),
        ("action.yml", "icon: check-circle", "icon: tick", 'incorrect icon name "tick"'),
        (WORKFLOW, "- name: ci/test\n        run", "- name: ci/test\n        runs", "runs"),
        (WORKFLOW, "run: ci/test", "run: ci/test $x", "SC2086"),
        (WORKFLOW, "retention-days", "retention", '"retention" is not defined'),
        (GREEN, "start: node", "strat: node", '"strat" is not defined'),
        (RED, "outputs.failed", "outputs.fialed", '"fialed" is not defined'),
        (RED, "ubuntu-24.04", "ubuntu-4.20", "ubuntu-4.20"),
    ],
)
def test_what_is_wrong_is_said(
    project: pathlib.Path, actionlint: str, name: str, old: str, new: str, said: str
) -> None:
    text = (project / name).read_text(encoding="utf-8")
    assert old in text
    (project / name).write_text(text.replace(old, new), encoding="utf-8")

    status, log = lint(project, actionlint)

    assert status == 1
    assert said in log
