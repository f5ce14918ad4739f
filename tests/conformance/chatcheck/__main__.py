"""The command chatcheck, and python -m chatcheck: hears interrupts before it loads what takes a second."""

import sys

from chatcheck.interrupts import interrupts


def main() -> int:
    """The command; its exit status."""
    interrupts.listen()
    from chatcheck import cli  # pytest and redis come with it

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
