"""The report as JUnit XML: a test suite for each section, a test case for each check of each clause.

XML 1.0 has no way to write most control characters, so they are escaped as in Python.
"""

from __future__ import annotations

from collections import defaultdict
from xml.etree import ElementTree

from chatcheck.report.model import RED, CheckResult, ClauseResult, Line, Report
from chatcheck.report.text import block, one_line

# What JUnit calls a verdict. A warning and a known failure pass, with their story in system-out.
_ELEMENT = {
    "fail": "failure",
    "inconclusive": "failure",
    "error": "error",
    "untested": "skipped",
    "not_applicable": "skipped",
}


def render(report: Report) -> str:
    """The XML text."""
    sections: dict[str, list[ClauseResult]] = defaultdict(list)
    for clause in report.clauses:
        sections[clause.section].append(clause)
    root = ElementTree.Element("testsuites", name="chatcheck")
    for section, clauses in sections.items():
        root.append(_suite(report, section, clauses))
    for total in ("tests", "failures", "errors", "skipped"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    root.set("time", f"{report.duration_s:.3f}")
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + text + "\n"


def _suite(report: Report, section: str, clauses: list[ClauseResult]) -> ElementTree.Element:
    cases = [case for clause in clauses for case in _cases(clause)]
    suite = ElementTree.Element("testsuite")
    suite.set("name", one_line(f"SPEC {section} {clauses[0].section_title}".strip()))
    suite.set("timestamp", one_line(report.started.removesuffix("Z").removesuffix("+00:00")))
    suite.set("hostname", one_line(report.target.name))
    suite.set("tests", str(len(cases)))
    for total, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(total, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', '0')) for case in cases):.3f}")
    suite.extend(cases)
    return suite


def _cases(clause: ClauseResult) -> list[ElementTree.Element]:
    if not clause.checks:
        case = ElementTree.Element("testcase", name=clause.id, classname=clause.id, time="0.000")
        _tell(case, clause.verdict, clause.reason or "", clause.sentence)
        return [case]
    return [_case(clause, check) for check in clause.checks]


def _case(clause: ClauseResult, check: CheckResult) -> ElementTree.Element:
    case = ElementTree.Element("testcase", name=one_line(check.name), classname=one_line(clause.id))
    case.set("time", f"{check.duration_s:.3f}")
    if check.verdict in RED:
        _tell(case, check.verdict, check.message, _story(clause, check))
    elif check.verdict in _ELEMENT:
        _tell(case, check.verdict, clause.reason or check.message, clause.sentence)
    elif check.verdict != "pass":
        story = f"{check.verdict}: {check.known or check.message}\n\n{_story(clause, check)}"
        ElementTree.SubElement(case, "system-out").text = block(story, limit=1 << 17)
    if check.verdict in RED and check.server_log:
        ElementTree.SubElement(case, "system-err").text = block(check.server_log)
    return case


def _tell(case: ElementTree.Element, verdict: str, message: str, story: str) -> None:
    tag = _ELEMENT.get(verdict)
    if tag is not None:
        told = ElementTree.SubElement(case, tag, message=one_line(message))
        if tag != "skipped":
            told.set("type", verdict)
        told.text = block(story, limit=1 << 17)


def _story(clause: ClauseResult, check: CheckResult) -> str:
    parts = [f'{clause.id} {clause.level}: "{clause.sentence}"']
    if check.expected is not None or check.got is not None:
        parts.append(f"expected: {block(check.expected or '')}\n     got: {block(check.got or '')}")
    if check.conversation:
        parts.append("\n".join(line_text(line) for line in check.conversation))
    return "\n\n".join(parts)


def line_text(line: Line) -> str:
    """An event of the conversation on one line, as the console prints it."""
    arrow = "" if line.direction == "-" else line.direction
    return f"{line.t_s:8.3f}s  {one_line(line.connection):>3}{arrow} {one_line(line.text)}"
