"""Would a mistake be noticed? A saboteur before one of the nodes makes it, one kind in each run."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace

from chaos.checker import check
from chaos.journal import read_folder
from chaos.run import Plan, Run
from chaos.saboteur import FAULTS
from chaos.schedule import schedule

SECONDS = 8.0
GAP_SECONDS = 1.0
KINDS = ("client-reset", "client-away", "link-cut", "link-refuse")  # a lie needs a node that is cut off


def prove(plan: Plan) -> list[str]:
    """The faults that were not noticed, or not by their rule."""
    missed = []
    for fault, rule in FAULTS.items():
        folder = plan.folder / "proof"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        own = replace(
            plan, sabotage=fault, folder=folder, seconds=SECONDS, n_faults=0, messages=0, is_quiet=True
        )
        course = asyncio.run(Run(own, schedule(plan.seed, plan.nodes, GAP_SECONDS, KINDS)).go())
        verdict = check(read_folder(folder), course.world)
        found = ", ".join(f"{name} {n:,}" for name, n in verdict.counts.items()) or "nothing"
        is_caught = rule in verdict.counts
        print(
            f"{'caught' if is_caught else 'MISSED'}: {fault}, which breaks '{rule}': found {found}",
            flush=True,
        )
        if not is_caught:
            missed.append(fault)
    return missed
