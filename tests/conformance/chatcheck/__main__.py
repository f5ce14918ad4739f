"""python -m chatcheck --url ws://… : pytest with this suite's checks, and nothing else to set up."""

import sys

import pytest


def main() -> int:
    """Run the checks; all arguments are pytest's and the plugin's."""
    settings = ["-p", "chatcheck.plugin", "-p", "no:cacheprovider", "--strict-markers", "--tb=short"]
    return int(pytest.main([*settings, "-W", "error", "--pyargs", "chatcheck.tests", *sys.argv[1:]]))


if __name__ == "__main__":
    sys.exit(main())
