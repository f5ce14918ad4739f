"""The plot: for each scenario a bar for each server, with the range of its rounds, as SVG."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

WIDTH, LABEL_WIDTH, VALUE_WIDTH = 860, 190, 170
BAR, GAP, TITLE, MARGIN = 18, 6, 34, 16

STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; } .soft { fill: #59636e; }
.range { stroke: #1f2328; stroke-width: 1.2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .soft { fill: #9198a1; } .range { stroke: #e6edf3; } .back { fill: #0d1117; }
}
</style>"""


@dataclass(frozen=True)
class Bar:
    label: str
    color: str
    median: float
    low: float
    high: float
    note: str


@dataclass(frozen=True)
class Panel:
    title: str
    bars: list[Bar]


def panel_height(panel: Panel) -> int:
    return TITLE + len(panel.bars) * (BAR + GAP) + MARGIN


def draw_bar(bar: Bar, y: int, scale: float) -> list[str]:
    x = LABEL_WIDTH
    middle = y + BAR / 2
    text_y = y + BAR - 5
    most = x + bar.high * scale
    return [
        f'<text x="{x - 8}" y="{text_y}" text-anchor="end">{escape(bar.label)}</text>',
        f'<rect x="{x}" y="{y}" width="{bar.median * scale:.1f}" height="{BAR}" rx="2" fill="{bar.color}"/>',
        f'<line class="range" x1="{x + bar.low * scale:.1f}" x2="{most:.1f}" y1="{middle}" y2="{middle}"/>',
        f'<text x="{most + 8:.1f}" y="{text_y}">{bar.median:,.0f}'
        f' <tspan class="soft">{escape(bar.note)}</tspan></text>',
    ]


def draw(panels: list[Panel], caption: str) -> str:
    """The whole picture."""
    lines: list[str] = []
    y = MARGIN
    for panel in panels:
        lines.append(f'<text class="title" x="{MARGIN}" y="{y + 16}">{escape(panel.title)}</text>')
        largest = max((bar.high for bar in panel.bars), default=1)
        scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / largest
        for i, bar in enumerate(panel.bars):
            lines += draw_bar(bar, y + TITLE - 6 + i * (BAR + GAP), scale)
        y += panel_height(panel)
    lines.append(f'<text class="soft" x="{MARGIN}" y="{y + 12}">{escape(caption)}</text>')
    height = y + 12 + MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
            f' width="{WIDTH}" height="{height}" role="img">',
            f"<title>{escape(caption)}</title>",
            STYLE,
            f'<rect class="back" width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *lines,
            "</svg>\n",
        ]
    )
