"""python -m abuse: runs the abuses one after the other, and may write the table."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

from abuse.everything import abuses
from abuse.report import table
from abuse.run import Outcome, run

ROOT = Path(__file__).parents[2]


def read_words() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="ci/abuse", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these; without, all")
    parser.add_argument("--small", action="store_true", help="the small numbers that ci/test has")
    parser.add_argument("--write", action="store_true", help="write docs/abuse.md")
    parser.add_argument("--list", action="store_true", help="say what there is")
    parser.add_argument("--chatd", type=Path, default=ROOT / "build/release/chatd")
    parser.add_argument("--chatload", type=Path, default=ROOT / "build/release/chatload")
    words = parser.parse_args()
    known = {abuse.name for abuse in abuses}
    if unknown := set(words.names) - known:
        parser.error(f"there is no {', '.join(sorted(unknown))}; --list says what there is")
    if words.write and (words.names or words.small):
        parser.error("--write needs all, in full")
    return words


def main() -> int:
    words = read_words()
    if words.list:
        for abuse in abuses:
            print(f"{abuse.name:24} {abuse.what}")
        return 0
    outcomes: list[Outcome] = []
    n_failed = 0
    for abuse in abuses:
        if words.names and abuse.name not in words.names:
            continue
        try:
            outcomes.append(asyncio.run(run(abuse, words.chatd, words.chatload, not words.small)))
        except AssertionError as error:
            print(f"{abuse.name}: FAILED: {error}", flush=True)
            n_failed += 1
    print(f"{len(outcomes)} kept their bounds, {n_failed} did not")
    if n_failed == 0 and words.write:
        (ROOT / "docs/abuse.md").write_text(table(outcomes, os.cpu_count() or 1), encoding="utf-8")
    return 1 if n_failed else 0


if __name__ == "__main__":
    sys.exit(main())
