"""The report as JSON, for programs; report.schema.json describes it."""

from __future__ import annotations

import json

from chatcheck.report.model import Report, to_json


def render(report: Report) -> str:
    """JSON text that any parser of RFC 8259 reads, whatever a server sent."""
    return json.dumps(to_json(report), ensure_ascii=False, indent=1, allow_nan=False) + "\n"
