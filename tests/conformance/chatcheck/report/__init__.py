"""Reports of a run: the data (model.py), and files made of it, a module for each kind."""

import os
import secrets
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from chatcheck.report import annotations, html, json_writer, junit, markdown, matrix
from chatcheck.report.model import Report

WRITERS: dict[str, Callable[[Report], str]] = {
    "json": json_writer.render,
    "junit": junit.render,
    "html": html.render,
    "markdown": markdown.render,
    "annotations": annotations.render,
}
_STDOUT = Path("/dev/stdout")


def write(report: Report, kind: str, path: Path) -> None:
    """Write one of WRITERS' kinds. /dev/stdout goes on where the output is, instead of starting it anew."""
    save(WRITERS[kind](report), path)


def annotate(report: Report, known_failures: Path | None) -> None:
    """Write the annotations where the output is."""
    print(annotations.render(report, known_failures), end="", flush=True)


def compare(reports: Sequence[Report], path: Path) -> None:
    """Write the matrix clause × server: Markdown if the file is called .md, HTML otherwise."""
    render = matrix.markdown if path.suffix == ".md" else matrix.html
    save(render(reports), path)


def save(text: str, path: Path) -> None:
    """Write a file of ours, which is in UTF-8 whatever the terminal's encoding. Raises OSError."""
    data = text.encode("utf-8", "backslashreplace")
    if path == _STDOUT:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    real = Path(os.path.realpath(path))
    if real.exists() and not real.is_file():  # /dev/null, a pipe
        real.write_bytes(data)
    else:
        _replace(real, data)


def _replace(path: Path, data: bytes) -> None:
    """Write the file as a whole, or leave the one that is there."""
    unfinished = path.with_name(f".{secrets.token_hex(8)}.unfinished")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            shutil.copymode(path, unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
