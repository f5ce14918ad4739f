"""What the server claims: a check of one clause may not ask for what another one says that is not claimed.

A server of the profile `original` satisfies the clauses that the original service does, and no others: it
need not close after an illegal request, echo a cid, or refuse an invalid parameter.
"""

from __future__ import annotations

from functools import cache

from chatcheck.clauses import load_spec

LAST_ID = f"{2**53 - 1}-{2**53 - 1}"  # SPEC 7: none comes behind it

_only_original = False
_has_history = False

_CLAUSES_OF_CODES = {
    "invalid_cid": "CID-3",
    "invalid_uid": "SIGN-8",
    "invalid_to": "MSG-6",
    "missing_body": "MSG-7",
}


def claim_only_original(only: bool) -> None:
    """Set by the plugin, once, before the first test."""
    global _only_original
    _only_original = only


def claims(clause: str) -> bool:
    """Does the server claim to satisfy this clause?"""
    return not _only_original or clause in _originals()


def echoed(cid: str) -> dict[str, str]:
    """What the reply to a request with this cid carries of it."""
    return {"cid": cid} if claims("CID-1") else {}


def refuses(code: str) -> bool:
    """Does the server claim to refuse what is answered with this code?"""
    return code not in _CLAUSES_OF_CODES or claims(_CLAUSES_OF_CODES[code])


def declare_history(declared: bool) -> None:
    """Set by the plugin, once, before the first test."""
    global _has_history
    _has_history = declared


def serves_history() -> bool:
    """Is the feature history declared?"""
    return _has_history


def from_now_on() -> dict[str, str]:
    """What a sign says so that nothing that was sent before it comes behind its reply (HIST-8, HIST-21)."""
    return {"since": LAST_ID} if _has_history else {}


@cache
def _originals() -> frozenset[str]:
    return frozenset(clause.id for clause in load_spec().clauses if clause.original)
