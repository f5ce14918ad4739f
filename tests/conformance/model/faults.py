"""The faults that the model can be given: name -> the clause that each breaks, and how."""

_on: set[str] = set()


def fault(name: str) -> bool:
    """Is this fault switched on?"""
    return name in _on
