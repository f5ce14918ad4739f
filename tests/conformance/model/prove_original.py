"""The original service has the faults that SPEC.md's notes say, and no others.

It satisfies each clause marked *(original)* when it claims no more; and of the others a check fails, so that
the report of the profile full reads as the list of its faults.
"""

import time
from concurrent.futures import ThreadPoolExecutor

from chatcheck.clauses import load_spec

from .run import Run, files_of, model_command, run_checks, short_name

DOCUMENTED = [
    "--message-limit=2097152",
    "--nesting-limit=511",
    "--ping-wait=1",
    "--refresh-wait=1",
    "--death-wait=1",
]
HASTE = 0.1
RIGHT_SECONDS_MAX = 300.0

ACCEPTED = ("pass", "untested", "not_applicable")
BROKEN = ("fail", "inconclusive", "warn")

# Clauses that it breaks only because of its store.
BROKEN_WITH_REDIS = ("REPLY-8", "ID-1", "ID-3")

# The sections of features, of which it has none.
FEATURES = (6, 7, 8)

# Clauses that are about a limit which it does not document.
UNDOCUMENTED = ("WS-18",)


def _original(*, redis: bool) -> str:
    return model_command("--persona", "original", redis=redis)


def prove_original(workers: int) -> bool:
    """Print what is not as it should be; is anything?"""
    begin = time.monotonic()
    clauses = load_spec().clauses
    others = [clause for clause in clauses if not clause.original and clause.chapter not in FEATURES]
    faulty = [
        clause.id for clause in others if clause.id not in UNDOCUMENTED and not clause.id.startswith("COMPAT")
    ]
    with ThreadPoolExecutor(workers) as pool:
        claimed = ["--profile=original", *DOCUMENTED]
        claims = pool.submit(run_checks, Run(_original(redis=False), claimed, RIGHT_SECONDS_MAX))
        runs = {
            clause: pool.submit(
                run_checks,
                Run(
                    _original(redis=clause.startswith(("STORE", *BROKEN_WITH_REDIS))),
                    ["-x", *DOCUMENTED, f"--model-only={clause}", *files_of(clause)],
                    patience=HASTE,
                ),
            )
            for clause in faulty
        }
    verdicts, note = claims.result()
    originals = {clause.id for clause in clauses if clause.original}
    problems = [f"profile original: {note}"] if note else []
    problems += [f"profile original: {short_name(c)}: {v}" for c, v in verdicts.items() if v not in ACCEPTED]
    for clause, run in runs.items():
        verdicts, note = run.result()
        failed = [short_name(check) for check, verdict in verdicts.items() if verdict in BROKEN]
        if failed:
            print(f"{clause:10} {failed[0]}")
        else:
            problems.append(f"{clause}: no check fails {note}")
    print("\n".join(problems))
    print(f"the original: {len(originals)} clauses satisfied, {len(faulty)} not", end="; ")
    print(f"{len(problems)} problems, {time.monotonic() - begin:.0f} s")
    return bool(problems)
