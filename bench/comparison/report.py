"""What came out, as a page, a plot and JSON."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

from comparison.plan import BUILD, ROOT, SCENARIOS, SERVERS, TARGETS, Scenario, Target, bun
from comparison.plot import Bar, Panel, draw
from comparison.run import Runs

Results = dict[str, dict[str, Runs]]  # by scenario and server


@dataclass(frozen=True)
class Circumstances:
    command: str
    rounds: int
    seconds: float
    load_average: float  # before the first run


def median(runs: Runs | None, figure: str) -> float | None:
    values = [figures[figure] for figures in runs.rounds if figure in figures] if runs else []
    return statistics.median(values) if values else None


# ---- Targets


def reached(target: Target, results: Results) -> float | None:
    """The figure or ratio; None if it was not measured."""
    runs = results.get(target.scenario, {})
    figure = target.figure or SCENARIOS[target.scenario].figure
    own = median(runs.get(target.server), figure)
    if own is None or target.other is None:
        return own
    other = median(runs.get(target.other), figure)
    return own / other if other else None


def by_cpu_time(target: Target, results: Results) -> float | None:
    """The same ratio, had both had a core for themselves: it does not depend on who else is there."""
    runs = results.get(target.scenario, {})
    if target.other is None:
        return None
    own = median(runs.get(target.server), "server_cpu_us_per_message")
    other = median(runs.get(target.other), "server_cpu_us_per_message")
    return other / own if own and other else None


def is_met(target: Target, value: float) -> bool:
    return value <= target.wanted if target.at_most else value >= target.wanted


def target_lines(results: Results) -> list[str]:
    lines = ["| chatd | wanted | measured | | by server's CPU time |", "| --- | --- | --- | --- | --- |"]
    for target in TARGETS:
        value = reached(target, results)
        if value is not None:
            word = "at most" if target.at_most else "at least"
            met = "met" if is_met(target, value) else "**not met**"
            cpu = number(by_cpu_time(target, results))
            lines.append(f"| {target.what} | {word} {target.wanted:,g} | {number(value)} | {met} | {cpu} |")
    return lines


# ---- Tables


def reasons(results: Results) -> list[str]:
    """Why a target is not met, where that is known."""
    missed = [
        target
        for target in TARGETS
        if target.why and (value := reached(target, results)) is not None and not is_met(target, value)
    ]
    return [
        line
        for target in missed
        for line in ("", f"**{target.what[0].upper()}{target.what[1:]}.** {target.why}")
    ]


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio_to_node(scenario: Scenario, runs: dict[str, Runs], name: str) -> str:
    own, node = median(runs.get(name), scenario.figure), median(runs.get("node"), scenario.figure)
    return f"{own / node:.1f}" if own is not None and node else ""


def scenario_lines(scenario: Scenario, runs: dict[str, Runs]) -> list[str]:
    lines = [
        f"### {scenario.what[0].upper()}{scenario.what[1:]}",
        "",
        f"`chatload {' '.join(scenario.arguments)}`",
        "",
        f"| server | {scenario.unit} | in terms of Node's | server CPU | Redis CPU | share of a core"
        " | p50 µs | p99 µs |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    figures = ("server_cpu_us_per_message", "redis_cpu_us_per_message", "server_cpu_share")
    for name, own in runs.items():
        if not own.rounds:
            lines.append(f"| {SERVERS[name].what} | {own.failure} | | | | | | |")
            continue
        cells = [number(median(own, scenario.figure)), ratio_to_node(scenario, runs, name)]
        cells += [number(median(own, figure)) for figure in (*figures, "latency_p50_us", "latency_p99_us")]
        note = f"; {own.failure}" if own.failure else ""
        lines.append(f"| {SERVERS[name].what}{note} | {' | '.join(cells)} |")
    return [*lines, ""]


def idle_lines(scenario: Scenario, runs: dict[str, Runs]) -> list[str]:
    columns = {
        "alone_before_p50_us": "p50 alone, µs",
        "beside_crowd_p50_us": "p50 beside, µs",
        "p50_ratio": "ratio",
        "beside_crowd_p99_us": "p99 beside, µs",
        "bytes_per_connection": "bytes a connection",
        "joined_per_s_up_to_1900": "joins/s, first tenth",
        "joined_per_s_up_to_19000": "last tenth",
    }
    lines = [
        f"### {scenario.what[0].upper()}{scenario.what[1:]}",
        "",
        f"`chatload {' '.join(scenario.arguments)}`; a join is TCP, the handshake and a sign.",
        "",
        "| server | " + " | ".join(columns.values()) + " |",
        "| --- |" + " ---: |" * len(columns),
    ]
    for name, own in runs.items():
        cells = [number(median(own, figure)) for figure in columns]
        lines.append(f"| {SERVERS[name].what} | {' | '.join(cells)} |" + own.failure)
    return [*lines, ""]


# ---- The machine


def first_number(*command: str) -> str:
    """The version in what a program says of itself."""
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout
    except OSError:
        return "?"
    found = re.search(r"\d+(\.\d+)+", said)
    return found[0] if found else "?"


def package_version(folder: str, name: str) -> str:
    manifest = BUILD / "peers" / folder / "node_modules" / name / "package.json"
    return str(json.loads(manifest.read_text())["version"]) if manifest.exists() else "?"


def versions() -> str:
    chatd = f"{BUILD}/release/chatd"
    return ", ".join(
        [
            f"chatd {first_number(chatd, '--version')}",
            f"libwebsockets {first_number('pkg-config', '--modversion', 'libwebsockets')}",
            f"Redis {first_number('redis-server', '--version')}",
            f"Node {first_number('node', '--version')} with ws {package_version('node', 'ws')}"
            f" and ioredis {package_version('node', 'ioredis')}",
            f"Bun {first_number(bun(), '--version')}",
            f"Go {first_number('go', 'version')}",
            f"Linux {first_number('uname', '-r')}",
        ]
    )


# ---- All of it


INTRODUCTION = """# Performance

Written by `{command}`, which measures all servers in the same run, one after the other, in rounds: {rounds};
medians. Ratios move less from machine to machine than figures do. Every message is checked: once, in order,
unchanged, from the right sender.

The machine has {cores} cores that it shares with others: the server has one of them, Redis and the load tool
the rest. {seconds:g} s for each run; the load average before was {load_average:.1f}. {versions}.

The servers on Node and Bun check less of a message than chatd does: [bench/peers](../bench/peers/README.md).

![Messages a second](performance.svg)

## Targets

{targets}

## Figures

Bodies have 32 bytes unless said otherwise; each connection sends and receives. CPU times are in µs a message.
A share of 1 is a whole core: a server much below it waited for Redis or the load tool. The range of the
rounds is in the plot and in [performance.json](performance.json).

{figures}
"""


def page(results: Results, circumstances: Circumstances) -> str:
    lines: list[str] = []
    for name, runs in results.items():
        write_lines = idle_lines if name == "idle" else scenario_lines
        lines += write_lines(SCENARIOS[name], runs)
    return INTRODUCTION.format(
        command=circumstances.command,
        rounds=circumstances.rounds,
        cores=os.cpu_count(),
        seconds=circumstances.seconds,
        load_average=circumstances.load_average,
        versions=versions(),
        targets="\n".join([*target_lines(results), *reasons(results)]),
        figures="\n".join(lines).rstrip(),
    )


def panel(name: str, runs: dict[str, Runs]) -> Panel:
    scenario = SCENARIOS[name]
    bars = []
    for server, own in runs.items():
        values = [figures[scenario.figure] for figures in own.rounds]
        if values:
            ratio = ratio_to_node(scenario, runs, server)
            note = f"{ratio} × Node" if ratio and server != "node" else ""
            of = SERVERS[server]
            bars.append(Bar(of.what, of.color, statistics.median(values), min(values), max(values), note))
    return Panel(f"{scenario.what}: {scenario.unit}", bars)


def write(results: Results, circumstances: Circumstances, folder: Path) -> None:
    """performance.md, performance.svg and performance.json."""
    folder.mkdir(parents=True, exist_ok=True)
    panels = [panel(name, runs) for name, runs in results.items() if name != "idle"]
    caption = f"Medians of {circumstances.rounds} rounds, and their range; each server has one core."
    figures = {
        scenario: {server: own.rounds or own.failure for server, own in runs.items()}
        for scenario, runs in results.items()
    }
    (folder / "performance.svg").write_text(draw(panels, caption), encoding="utf-8")
    (folder / "performance.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    (folder / "performance.md").write_text(page(results, circumstances), encoding="utf-8")


def relative(folder: Path) -> str:
    return os.path.relpath(folder, ROOT)
