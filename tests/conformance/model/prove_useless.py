"""No check passes against a server that is good for nothing."""

import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from .run import MODEL_DOCUMENTED, Run, feature_options, model_command, run_checks, short_name
from .useless import PERSONAS

# A tenth of a second for what should come at once: the personas answer at once or never. Against one that
# never does each check takes that long, so it gets several runs side by side.
HASTE = 0.02
SHARDS = {"mute": 8, "noise": 2}
# A check that is cut short while it connects leaves a socket behind, which is no fault of a later check.
OPTIONS = [*MODEL_DOCUMENTED, "-p", "no:unraisableexception", "--broadcaster=operator"]
OPTIONS += feature_options(("broadcast", "history", "nodes"))
RUN_S_MAX = 300.0
NONE = ("untested", "not_applicable")

# (persona, check without its parameters) -> why it passes, and why it may.
ALLOWED: dict[tuple[str, str], str] = {}


def prove_useless(workers: int) -> bool:
    """Run the whole suite against each persona, and print what passes; does any check that may not?"""
    begin = time.monotonic()
    with ThreadPoolExecutor(4 * workers) as pool:  # they mostly wait
        runs = [(persona, pool.submit(run_checks, run)) for persona in PERSONAS for run in _runs(persona)]
        found: dict[str, list[tuple[dict[str, str], str]]] = defaultdict(list)
        for persona, future in runs:
            found[persona].append(future.result())
    problems, seen = 0, set()
    for persona, results in found.items():
        checks = {short_name(c): v for verdicts, _ in results for c, v in verdicts.items() if v not in NONE}
        notes = [note for _, note in results if note]
        notes += [f"the check itself is broken: {check}" for check, v in checks.items() if v == "error"]
        passes = [check for check, verdict in checks.items() if verdict == "pass"]
        print("\n  ".join([f"{persona}: {len(passes)} of {len(checks)} checks pass", *notes]))
        problems += len(notes)
        for check in passes:
            key = (persona, check.partition("[")[0])
            seen.add(key)
            problems += key not in ALLOWED
            print(f"  {check}: {ALLOWED.get(key, 'MUST NOT PASS')}")
    for persona, check in ALLOWED.keys() - seen:
        print(f"{persona} {check}: is allowed to pass, and does not any more")
        problems += 1
    print(f"{problems} problems, {time.monotonic() - begin:.0f} s")
    return problems > 0


def _runs(persona: str) -> list[Run]:
    n_shards = SHARDS.get(persona, 1)
    shards = [f"--model-shard={i}/{n_shards}" for i in range(n_shards)]
    start = model_command("--persona", persona)
    return [Run(start, [*OPTIONS, shard], RUN_S_MAX, HASTE) for shard in shards]
