"""The clauses of SPEC.md, and whether the checks cover and quote them.

    python -m chatcheck.clauses --check SPEC.md    every clause has a check, every check quotes its clauses
    python -m chatcheck.clauses --write SPEC.md    write clauses.json, which an installed suite reads
    python -m chatcheck.clauses --list SPEC.md     the clauses: id, level, and how many checks

The checks are read from their source, so no server is needed.
"""

from __future__ import annotations

import argparse
import ast
import functools
import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from chatcheck.example import Example, find_examples

_CLAUSE = re.compile(r"- \*\*\[([A-Z]+-\d+)\]\*\*( \*\(original\)\*)? ")
_SECTION = re.compile(r"#{2,3} ([\d.]+) (.*)")
_TITLE = re.compile(r"# .*, version (\d+\.\d+)$", re.MULTILINE)
_LEVEL = re.compile(r"\b(MUST NOT|MUST|SHOULD NOT|SHOULD|MAY)\b")

DATA = Path(__file__).with_name("clauses.json")
# Clauses that no check can prove wrong from outside, each with the reason.
UNCHECKABLE: dict[str, str] = {}


@dataclass(frozen=True)
class Clause:
    """A requirement of SPEC.md."""

    id: str
    level: str
    sentence: str  # as in SPEC.md, with white space folded
    original: bool
    section: str

    @property
    def chapter(self) -> int:
        """The number of the section without its parts: 4 of 4.2."""
        return int(self.section.partition(".")[0])


@dataclass(frozen=True)
class Spec:
    """What the suite needs of SPEC.md."""

    version: str
    sections: dict[str, str]  # number -> title
    clauses: list[Clause]
    examples: list[Example]

    def dump(self) -> str:
        """As clauses.json has it."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1) + "\n"


@dataclass(frozen=True)
class Check:
    """A test of the suite, as its source shows it."""

    name: str
    clauses: tuple[str, ...]
    doc: str  # white space folded


class ClauseError(ValueError):
    """SPEC.md has a clause that breaks the rules for clauses."""


def fold(text: str) -> str:
    """White space means nothing in a comparison of sentences."""
    return " ".join(text.split())


def parse_clauses(text: str) -> list[Clause]:
    """The clauses of a specification, in its order. Raises ClauseError if one is not as 1.3 says."""
    clauses: dict[str, Clause] = {}
    section = ""
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        if heading := _SECTION.match(line):
            section = heading[1]
        if start := _CLAUSE.match(line):
            sentence = fold(" ".join([line[start.end() :], *_continuation(lines[number:])]))
            if start[1] in clauses:
                raise ClauseError(f"line {number}: {start[1]} is there twice")
            levels = set(_LEVEL.findall(sentence))
            if len(levels) != 1:
                raise ClauseError(f"line {number}: {start[1]}: one key word expected, found {sorted(levels)}")
            clauses[start[1]] = Clause(start[1], levels.pop(), sentence, start[2] is not None, section)
    return list(clauses.values())


def parse_spec(text: str) -> Spec:
    """All that clauses.json has of SPEC.md. Raises ClauseError."""
    title = _TITLE.match(text)
    if title is None:
        raise ClauseError("line 1: expected a title that ends with the version")
    sections = {found[1]: found[2] for line in text.splitlines() if (found := _SECTION.match(line))}
    return Spec(title[1], sections, parse_clauses(text), find_examples(text))


@functools.cache
def load_spec() -> Spec:
    """The specification that this suite checks, from clauses.json."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    return Spec(
        data["version"],
        data["sections"],
        [Clause(**clause) for clause in data["clauses"]],
        [Example(**example) for example in data["examples"]],
    )


def _continuation(lines: list[str]) -> Iterator[str]:
    """The lines that still belong to a list item: indented, not empty, and no nested item."""
    for line in lines:
        if not line.startswith("  ") or line.lstrip().startswith(("- ", "* ")):
            return
        yield line


def read_checks(folder: Path) -> list[Check]:
    """The tests in a folder's test_*.py that are marked with clauses."""
    checks = []
    for path in sorted(folder.glob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and (clauses := _marked(node)):
                doc = inspect.cleandoc(ast.get_docstring(node) or "")
                checks.append(Check(f"{path.name}::{node.name}", clauses, fold(doc)))
    return checks


def _marked(function: ast.FunctionDef) -> tuple[str, ...]:
    """The ids in a function's @pytest.mark.spec(…)."""
    return tuple(
        argument.value
        for mark in function.decorator_list
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr == "spec"
        for argument in mark.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    )


def problems(clauses: list[Clause], checks: list[Check], uncheckable: dict[str, str]) -> list[str]:
    """What is wrong between clauses and checks, a line each."""
    by_id = {clause.id: clause for clause in clauses}
    checked = {clause for check in checks for clause in check.clauses}
    found = [f"{c.id}: no check" for c in clauses if c.id not in checked and c.id not in uncheckable]
    found += [
        f"{name}: listed as uncheckable, but there is no such clause" for name in uncheckable.keys() - by_id
    ]
    found += [f"{name}: listed as uncheckable, but there is a check" for name in uncheckable.keys() & checked]
    for check in checks:
        for name in check.clauses:
            if name not in by_id:
                found.append(f"{check.name}: there is no clause {name}")
            elif f'{name}: "{by_id[name].sentence}"' not in check.doc:
                found.append(f'{check.name}: does not quote {name}: "{by_id[name].sentence}"')
    return found


def main(arguments: list[str] | None = None) -> int:
    """The command: exit status 0 if all is well, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m chatcheck.clauses", description=__doc__.split("\n")[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", metavar="SPEC.md", type=Path, help="compare the clauses with the checks")
    what.add_argument("--write", metavar="SPEC.md", type=Path, help="write clauses.json")
    what.add_argument("--list", metavar="SPEC.md", type=Path, help="list the clauses")
    options = parser.parse_args(arguments)
    spec = parse_spec((options.check or options.list or options.write).read_text(encoding="utf-8"))
    if options.write:
        DATA.write_text(spec.dump(), encoding="utf-8")
        return 0
    clauses = spec.clauses
    checks = read_checks(Path(__file__).parent / "tests")
    if options.list:
        for clause in clauses:
            n_checks = sum(clause.id in check.clauses for check in checks)
            print(f"{clause.id:12} {clause.level:11} {n_checks:3}  {clause.sentence}")
        return 0
    found = problems(clauses, checks, UNCHECKABLE)
    if DATA.read_text(encoding="utf-8") != spec.dump():
        found.append(f"{DATA.name} is not made from this {options.check}: use --write")
    print("\n".join(found) or f"{len(clauses)} clauses, {len(checks)} checks: all covered and quoted")
    return 1 if found or not clauses else 0


if __name__ == "__main__":
    sys.exit(main())
