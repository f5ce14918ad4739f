"""python -m chatcheck: the same as the command chatcheck."""

import sys

from chatcheck.cli import main

if __name__ == "__main__":
    sys.exit(main())
