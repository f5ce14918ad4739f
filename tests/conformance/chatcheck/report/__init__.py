"""Reports of a run: the data (model.py), and files made of it, a module for each kind."""

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
    _save(WRITERS[kind](report), path)


def annotate(report: Report, known_failures: Path | None) -> None:
    """Write the annotations where the output is."""
    _save(annotations.render(report, known_failures), _STDOUT)


def compare(reports: Sequence[Report], path: Path) -> None:
    """Write the matrix clause × server: Markdown if the file is called .md, HTML otherwise."""
    render = matrix.markdown if path.suffix == ".md" else matrix.html
    _save(render(reports), path)


def _save(text: str, path: Path) -> None:
    if path == _STDOUT:
        sys.stdout.write(text.encode("utf-8", "backslashreplace").decode())
        sys.stdout.flush()
        return
    path.write_text(text, encoding="utf-8", newline="\n")
