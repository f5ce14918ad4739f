"""Adds up JUnit reports: prints "passed failed skipped", and on standard error the names of what failed.

ctest and pytest both write such reports, so nothing has to be read out of what they print for people.
"""

import sys
import xml.etree.ElementTree as ElementTree


def verdict(case: ElementTree.Element) -> str:
    # What ctest calls "disabled" or "notrun" was not asked for: it is no skip.
    if case.get("status") in ("disabled", "notrun"):
        return "failed"
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None else "passed"


def main(paths: list[str]) -> int:
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for path in paths:
        for case in ElementTree.parse(path).iter("testcase"):
            counts[verdict(case)] += 1
            if verdict(case) == "failed":
                print(f"    failed: {case.get('classname')} {case.get('name')}", file=sys.stderr)
    print(counts["passed"], counts["failed"], counts["skipped"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
