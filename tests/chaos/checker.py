"""The checker: reads every side's journals and says which rules were broken. No network, no clock."""

from __future__ import annotations

from collections.abc import Sequence

from chaos.deliveries import check_deliveries
from chaos.excuses import Faults
from chaos.journal import Journal, World
from chaos.ledger import write_ledger
from chaos.verdict import SENDED, Verdict


def check(journals: Sequence[Journal], world: World) -> Verdict:
    """Every rule of verdict.RULES over a whole run."""
    verdict = Verdict()
    faults = Faults(world.faults)
    ledger = write_ledger(journals, faults, verdict)
    verdict.checked[SENDED] = sum(message.is_answered for message in ledger.messages.values())
    check_deliveries(journals, ledger, faults, verdict)
    for look in world.looks:
        verdict.broken(look.rule, f"at {look.at:.1f}: {look.what}")
    return verdict
