"""The wheel has all that the suite needs: installed in an environment of its own, it checks a server."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

SUITE = Path(__file__).parent.parent

pytestmark = pytest.mark.limit(120)  # processes that start Python and a server, several in a test


def run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command chatcheck of a fresh virtual environment, in which pip has installed the wheel.

    What the suite depends on is taken from where these tests run. The suite itself, if that is there too, is
    not seen, for it is installed there by a .pth file, which is not read again.
    """
    folder = tmp_path_factory.mktemp("install")
    source = folder / "source"
    shutil.copytree(SUITE, source, ignore=shutil.ignore_patterns(".*", "*.egg-info", "build", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    built = run(*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source, folder=folder)
    assert built.returncode == 0, built.stdout + built.stderr
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv/bin/python"
    put = run(*pip, "--python", python, "install", "--no-deps", *folder.glob("*.whl"), folder=folder)
    assert put.returncode == 0, put.stdout + put.stderr
    packages = next((folder / "venv/lib").glob("python*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "venv/bin/chatcheck"


def test_the_installed_command_is_the_wheels_and_has_the_clauses(installed: Path, tmp_path: Path) -> None:
    where = run(
        installed.with_name("python"), "-c", "import chatcheck; print(chatcheck.__file__)", folder=tmp_path
    )
    listed = run(installed, "--list", "--profile", "full", folder=tmp_path)

    assert where.stdout.startswith(str(installed.parent.parent))
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "STORE-1 " in listed.stdout


def test_the_installed_command_checks_a_server_and_reports(installed: Path, tmp_path: Path) -> None:
    model = f"env PYTHONPATH={SUITE} {sys.executable} -m model --port {{port}}"
    checked = run(
        installed, "--start", model, "--only", "MSG-1", "--only", "REPLY-1", "--json", "report.json",
        "--html", "report.html", "--junit", "report.xml", "--markdown", "report.md", folder=tmp_path,
    )  # fmt: skip

    assert (checked.returncode, checked.stderr) == (0, "")
    assert "clauses: 2 pass" in checked.stdout
    for name in ("report.json", "report.html", "report.xml"):
        assert "MSG-1" in (tmp_path / name).read_text(encoding="utf-8")
    assert "2 pass" in (tmp_path / "report.md").read_text(encoding="utf-8")
