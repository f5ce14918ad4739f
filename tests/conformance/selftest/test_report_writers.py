"""Every kind of report can be read by what reads it, whatever bytes a server sent."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest

from chatcheck import report as reports
from chatcheck.report import html, junit, markdown, matrix, model
from chatcheck.report.annotations import render as annotate
from chatcheck.report.model import Report
from selftest.report_examples import HOSTILE, report

SAID = pytest.mark.parametrize(
    "said",
    ["nothing", HOSTILE, "x" * (1 << 20), "", "\ud800" * 9],
    ids=["plain", "hostile", "large", "empty", "lone"],
)


def many(n_clauses: int, said: str = "nothing") -> Report:
    """A report in which everything has failed."""
    failed = report(said).clauses[1]
    clauses = tuple(dataclasses.replace(failed, id=f"WS-{i}") for i in range(n_clauses))
    return dataclasses.replace(report(), clauses=clauses, counts=model.count(clauses))


# JSON


@SAID
@pytest.mark.parametrize("kind", sorted(reports.WRITERS))
def test_every_kind_can_be_written(kind: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "report"

    reports.write(report(said), kind, path)

    assert path.read_text(encoding="utf-8").strip()


@SAID
def test_json_is_as_its_schema_says(said: str) -> None:
    schema = json.loads((Path(reports.__file__).parent / "report.schema.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(schema)
    validator.check_schema(schema)
    value = json.loads(reports.WRITERS["json"](report(said)))

    validator.validate(value)
    for member in schema["required"]:
        assert not validator.is_valid({name: item for name, item in value.items() if name != member})


def test_the_schema_knows_every_member_and_every_verdict() -> None:
    schema = json.loads((Path(reports.__file__).parent / "report.schema.json").read_text(encoding="utf-8"))
    kinds = {"clause": model.ClauseResult, "check": model.CheckResult, "line": model.Line}

    assert set(schema["properties"]) == {field.name for field in dataclasses.fields(Report)}
    assert set(schema["required"]) == set(schema["properties"])
    for name, kind in kinds.items():
        members = {field.name for field in dataclasses.fields(kind)}
        assert set(schema["$defs"][name]["properties"]) == members
        assert set(schema["$defs"][name]["required"]) == members - {"section_title"}
    assert tuple(schema["$defs"]["verdict"]["enum"]) == model.VERDICTS


# JUnit


@SAID
def test_junit_is_xml_with_the_right_sums(said: str) -> None:
    root = ElementTree.fromstring(junit.render(report(said)).encode())

    cases = root.findall("testsuite/testcase")
    assert len(cases) == int(root.get("tests", "")) == 9
    assert len(root.findall(".//failure")) == int(root.get("failures", "")) == 2
    assert len(root.findall(".//error")) == int(root.get("errors", "")) == 1
    assert len(root.findall(".//skipped")) == int(root.get("skipped", "")) == 2
    assert all(case.get("classname") and case.get("name") for case in cases)


def test_junit_has_every_character_in_some_form() -> None:
    root = ElementTree.fromstring(junit.render(report("".join(map(chr, range(0x2100))) + "\ufffe\uffff")))

    text = (root.find(".//failure") or ElementTree.Element("x")).text or ElementTree.tostring(root).decode()
    assert "\\x00\\x01" in text
    assert "\\ufffe" in text


def test_what_is_long_is_cut_with_a_note() -> None:
    for render in (junit.render, markdown.render, annotate):
        text = render(report("x" * (1 << 20)))
        assert "left out" in text
        assert len(text) < 500_000


# HTML


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.data: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(attrs) == len(dict(attrs)), f"<{tag}> has an attribute twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.data.append(data)

    @property
    def ids(self) -> list[str]:
        return [attrs["id"] or "" for _, attrs in self.tags if "id" in attrs]


PAGES = pytest.mark.parametrize(
    "render", [html.render, lambda made: matrix.html([made, made])], ids=["report", "matrix"]
)


@SAID
@PAGES
def test_a_page_loads_nothing_and_runs_only_its_own_script(said: str, render: object) -> None:
    assert callable(render)
    page = Page(render(report(said, target=said[:50] or "x")))

    assert page.open == []
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not {"img", "iframe", "object", "base", "form"} & {tag for tag, _ in page.tags}
    for tag, attrs in page.tags:
        assert not any(name.startswith("on") or name == "src" for name in attrs), (tag, attrs)
        assert (attrs.get("href") or "#").startswith(("#", "data:,")), (tag, attrs)


def test_the_links_of_a_page_lead_somewhere() -> None:
    for text in (html.render(report()), matrix.html([report()])):
        page = Page(text)
        targets = {attrs["href"] or "" for _, attrs in page.tags if "href" in attrs} - {"data:,"}
        assert {target.removeprefix("#") for target in targets} <= set(page.ids)
        assert len(set(page.ids)) == len(page.ids)


def test_a_page_shows_every_clause_in_order_with_its_verdict() -> None:
    page = Page(html.render(report()))

    rows = [(a["id"], a["data-verdict"]) for tag, a in page.tags if tag == "tr" and "data-verdict" in a]
    assert rows == [(f"clause-{clause.id}", clause.verdict) for clause in report().clauses]


def test_the_replay_of_a_page_is_the_script_itself() -> None:
    script = "if a < b and '&lt;' > \"</pre>\":\n\tprint('号')\n"
    made = report()
    check = dataclasses.replace(made.clauses[1].checks[1], replay=script)
    clause = dataclasses.replace(made.clauses[1], checks=(check,))

    page = Page(html.render(dataclasses.replace(made, clauses=(clause,))))

    assert script.replace("\t", "\\t") in "".join(page.data)


def test_a_page_about_a_server_that_fails_everything_stays_small() -> None:
    assert len(html.render(many(2000))) < 4_000_000


# Markdown


@SAID
def test_a_row_of_markdown_is_one_line_with_the_cells_of_its_head(said: str) -> None:
    for text, n_cells in ((markdown.render(report(said)), 3), (matrix.markdown([report(said)] * 2), 3)):
        rows = [line for line in text.split("\n") if line.startswith("|")]
        assert rows
        for row in rows:
            assert len(re.findall(r"(?<!\\)\|", row)) == n_cells + 1, row
        assert "<script" not in text
        assert "<img" not in text


def test_markdown_stays_below_what_github_takes() -> None:
    text = markdown.render(many(20_000))

    assert len(text.encode()) < 1 << 20
    assert "lines more" in text


def test_markdown_names_each_failure_with_its_reason() -> None:
    text = markdown.render(report("42"))

    assert "| ❌ WS\\-2 | MUST | <code>expected a reply, got 42</code> |" in text
    assert "1 inconclusive" in text


# Annotations


def unescape(text: str) -> str:
    for code, character in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, character)
    return text


@SAID
def test_each_annotation_is_one_command(said: str) -> None:
    lines = annotate(report(said)).splitlines()

    assert [line.split(" ")[0] for line in lines] == ["::error", "::error", "::error", "::warning"]
    for line, title in zip(lines, ("WS-2", "MSG-1", "MSG-3", "WS-3"), strict=True):
        properties, _, message = line.split(" ", 1)[1].partition("::")
        assert unescape(properties).startswith(f"title={title} (")
        assert "expected a reply" in unescape(message)


def test_what_means_something_in_a_command_is_escaped() -> None:
    line = annotate(report("100%0A\r\n::error::, done")).splitlines()[0]

    assert line.startswith(
        "::error title=WS-2 (MUST)%3A fail::expected a reply, got 100%250A\\r\\n::error::, done%0A"
    )


def test_an_annotation_stands_at_the_line_of_the_known_failures_file(tmp_path: Path) -> None:
    path = tmp_path / "a,b:c%.txt"
    path.write_text("# WS-21 is not WS-2\n\nWS-2 because\n")
    lines = annotate(report(), path).splitlines()

    place = re.match(r"::error file=([^,]*),line=(\d+),title=", lines[0])
    assert place is not None
    assert unescape(place[1]) == str(path)
    assert place[2] == "3"


def test_no_more_annotations_than_github_shows() -> None:
    lines = annotate(many(50)).splitlines()

    assert len(lines) == 10
    assert "41 more clauses" in lines[-1]


def test_standard_output_goes_on_where_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    print("before")
    reports.annotate(report(HOSTILE), None)

    said = capsys.readouterr().out.splitlines()
    assert said[0] == "before"
    assert len(said) == 5


# Matrix


def column(table: Sequence[matrix.Row], number: int) -> list[str | None]:
    return [(result.verdict if (result := row.results[number]) else None) for row in table]


def test_a_matrix_has_all_clauses_of_all_reports() -> None:
    first = report()
    second = dataclasses.replace(
        first, clauses=(*first.clauses[2:], dataclasses.replace(first.clauses[0], id="WS-9"))
    )

    table = matrix.rows([first, second])

    assert [row.clause.id for row in table] == [*(clause.id for clause in first.clauses), "WS-9"]
    assert column(table, 0) == [*(clause.verdict for clause in first.clauses), None]
    assert column(table, 1)[:3] == [None, None, "warn"]


def test_servers_differ_only_where_both_were_checked() -> None:
    first = report()
    second = dataclasses.replace(
        first, clauses=tuple(dataclasses.replace(clause, verdict="pass") for clause in first.clauses)
    )

    differing = [row.clause.id for row in matrix.rows([first, second]) if row.differs]

    assert differing == ["WS-2", "WS-3", "MSG-1", "MSG-2", "MSG-3"]
    assert "They differ in 5 of them." in matrix.html([first, second])
    assert matrix.titles([first, second]) == ["example (1)", "example (2)"]


def test_the_kind_of_a_matrix_is_its_files_name(tmp_path: Path) -> None:
    reports.compare([report(), report()], tmp_path / "m.html")
    reports.compare([report(), report()], tmp_path / "m.md")

    assert (tmp_path / "m.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "m.md").read_text().startswith("## 2 servers, 8 clauses")
