"""Checks action.yml, the workflows and the examples of workflows with actionlint: ci/lint actions.

actionlint reads workflows only, and of an action beside them its inputs and outputs. So it is given a copy
of the project in which action.yml is also a workflow, with its steps as they are, and the examples use the
action beside them instead of the published one.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

ACTION_KEYS = {"name", "description", "author", "branding", "inputs", "outputs", "runs"}
INPUT_KEYS = {"description", "required", "default", "deprecationMessage"}
OUTPUT_KEYS = {"description", "value"}
PUBLISHED = re.compile(r"(uses: +)chatref/chatref@\S+")
PINNED = re.compile(r"(uses: +actions/\S+@v[0-9]+)[.0-9]+")


def problems(action: dict[str, Any]) -> list[str]:
    """What GitHub asks of an action and not of a workflow, so that actionlint does not see it."""
    found = [f"unknown key {key}" for key in sorted(action.keys() - ACTION_KEYS)]
    for kind, known in (("inputs", INPUT_KEYS), ("outputs", OUTPUT_KEYS)):
        for name, definition in action[kind].items():
            found += [f"{kind}: {name}: unknown key {key}" for key in sorted(definition.keys() - known)]
            if not definition.get("description"):
                found.append(f"{kind}: {name} has no description")
    for step in action["runs"]["steps"]:
        if "run" in step and "shell" not in step:
            found.append(f"step {step.get('name', step['run'])!r} has no shell")
    return found


def as_workflow(action: dict[str, Any]) -> dict[str, Any]:
    """A workflow with the steps of a composite action, its inputs, and its outputs."""
    defaults = {name.upper(): str(value.get("default", "")) for name, value in action["inputs"].items()}
    inputs = {name: {"type": "string"} for name in action["inputs"]}
    job = {
        "runs-on": "ubuntu-24.04",
        "steps": [{"name": "Defaults", "env": defaults, "run": "env"}, *action["runs"]["steps"]],
        "outputs": {name: value["value"] for name, value in action["outputs"].items()},
    }
    return {"name": action["name"], "on": {"workflow_call": {"inputs": inputs}}, "jobs": {"action": job}}


def write_project(action: dict[str, Any], folder: Path) -> None:
    """The copy of the project, as actionlint finds it by its folders."""
    workflows = folder / ".github" / "workflows"
    workflows.mkdir(parents=True)
    (folder / ".git").mkdir()
    shutil.copy("action.yml", folder)
    texts = {"steps-of-action.yml": yaml.safe_dump(as_workflow(action), sort_keys=False, width=1000)}
    for name in sorted(Path(".github/workflows").glob("*.y*ml")):
        texts[name.name] = name.read_text(encoding="utf-8")
    for name in sorted(Path("docs/actions").glob("*.y*ml")):
        texts[f"docs-actions-{name.name}"] = PUBLISHED.sub(r"\1./", name.read_text(encoding="utf-8"))
    for file, text in texts.items():
        # The inputs of GitHub's own actions are known to actionlint by their major version.
        (workflows / file).write_text(PINNED.sub(r"\1", text), encoding="utf-8")


def main(actionlint: str) -> int:
    """Check the project in the working directory."""
    action = yaml.safe_load(Path("action.yml").read_text(encoding="utf-8"))
    found = problems(action)
    for problem in found:
        print(f"action.yml: {problem}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        write_project(action, Path(folder))
        command = [actionlint, "-no-color", "-shellcheck=shellcheck", "-pyflakes="]
        status = subprocess.run(command, cwd=folder, stdout=sys.stderr, check=False).returncode
    return int(bool(found) or status != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
