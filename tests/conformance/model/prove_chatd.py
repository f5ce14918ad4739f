"""Does the suite find what is wrong with the reference server? Proved with builds of it that have a mistake.

    python -m model.prove_chatd [NAME]...

Each patch in chatd_faults/ is a fault as a tired colleague would make it; its first line names the clause
that it breaks and says how, and a second one may name all that fails in core (for steady.py). chatd as it is
passes the checks of all these clauses. Then it is built with each patch alone, cmake -DCHAT_FAULT=NAME, and a
check of its clause has to fail. Clauses of sections 6 to 8 are checked with these features switched on.
"""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from chatcheck.clauses import load_spec
from chatcheck.settings import FEATURES

from .run import HERE, Run, feature_options, files_of, run_checks, short_name

ROOT = HERE.parent.parent
PATCHES = HERE / "chatd_faults"

# Short times, documented to the suite, so that what takes a while in production is soon seen.
SERVE = (
    "--listen 127.0.0.1:{port} --redis {redis} --redis-refresh-ms 2000 --redis-lease-ms 4000"
    " --message-timeout-ms 2000"
)
DOCUMENTED = ["--refresh-wait=4", "--death-wait=6", "--message-wait=2"]
SERVED = ("broadcast", "history", "nodes")


@dataclass(frozen=True)
class Patch:
    """A fault of chatd."""

    path: Path
    clause: str
    what: str
    in_core: tuple[str, ...]  # what may fail when all of core is checked; empty if that is not told


def main() -> int:
    patches = read_patches()
    if unknown := set(sys.argv[1:]) - {patch.path.stem for patch in patches}:
        print(f"no patch is called {' '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    patches = [patch for patch in patches if patch.path.stem in (sys.argv[1:] or patch.path.stem)]
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="chatd-faults-") as folder:
        build = Build(Path(folder))
        right = build.failures(None, *sorted({patch.clause for patch in patches}))
        print("\n".join([f"wrong without a fault: {line}" for line in right]) or "chatd passes all of it")
        n_caught = sum(_prove(build, patch) for patch in patches)
    print(f"\n{n_caught} of {len(patches)} faults of chatd caught, {time.monotonic() - begin:.0f} s")
    return 0 if n_caught == len(patches) > 0 and not right else 1


def read_patches() -> list[Patch]:
    """All of them, by name."""
    return [_read(path) for path in sorted(PATCHES.glob("*.patch"))]


def _read(path: Path) -> Patch:
    first, second = path.read_text().split("\n")[:2]
    clause, _, what = first.partition(": ")
    in_core = second.removeprefix("in core: ").split() if second.startswith("in core: ") else []
    return Patch(path, clause, what, tuple(in_core))


def _prove(build: "Build", patch: Patch) -> bool:
    failed = build.failures(patch, patch.clause)
    caught_by = failed[0] if failed else f"NOT CAUGHT: {patch.what}"
    print(f"{patch.clause:10} {patch.path.stem:30} {caught_by}", flush=True)
    return bool(failed)


class Build:
    """A build of chatd, with one fault after another."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def make(self, fault: Patch | None) -> Path:
        """Build it; the program. A patch that no longer fits is an error."""
        options = ["-DCMAKE_BUILD_TYPE=Release", "-DCHAT_TESTS=OFF", "-DCHAT_BENCH=OFF"]
        name = fault.path.stem if fault else ""
        _run("cmake", "-S", str(ROOT), "-B", str(self._folder), *options, f"-DCHAT_FAULT={name}")
        _run("cmake", "--build", str(self._folder), "--parallel", str(os.cpu_count()), "--target", "chatd")
        return self._folder / "chatd"

    def failures(self, fault: Patch | None, *clauses: str) -> list[str]:
        """Build it; the checks of these clauses that fail, up to the first of each."""
        chatd = self.make(fault)
        failed = []
        for clause in clauses:
            serve, documented = f"{chatd} {SERVE}", list(DOCUMENTED)
            if is_of_features(clause):
                serve += f" --features {','.join(SERVED)}"
                documented += feature_options(SERVED)
            checks = ["-x", *documented, f"--model-only={clause}", *files_of(clause)]
            verdicts, note = run_checks(Run(serve, checks))
            failed += [short_name(check) for check, v in verdicts.items() if v in ("fail", "inconclusive")]
            if note or "error" in verdicts.values():
                raise SystemExit(f"{clause}: the checks broke: {note or verdicts}")
        return failed


def is_of_features(clause: str) -> bool:
    """Is it a clause of one of the features in SERVED?"""
    chapters = {each.id: each.chapter for each in load_spec().clauses}
    return chapters[clause] in [FEATURES[name] for name in SERVED]


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    sys.exit(main())
