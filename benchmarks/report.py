"""RESULTS.md from the measurements."""

from __future__ import annotations

import statistics
from typing import Any

from measure import Comparison, systems_of

_OURS = "ggmlkit"


def markdown(
    machine: dict[str, Any], comparisons: list[Comparison], rounds: int, missing: list[str]
) -> str:
    """The whole page."""
    lines = ["# Results", "", *_machine(machine), "", *_method(rounds), ""]
    groups = dict.fromkeys(comparison.group for comparison in comparisons)
    for group in groups:
        lines += [f"## {group}", "", *_table([c for c in comparisons if c.group == group]), ""]
    if missing:
        lines += ["The run was stopped before: " + ", ".join(missing) + ".", ""]
    return "\n".join(lines)


def _machine(machine: dict[str, Any]) -> list[str]:
    facts = [f"- {name}: {_said(value)}" for name, value in machine.items() if name != "bandwidth"]
    lines = ["Written by `make bench`.", "", *facts, ""]
    lines += ["| memory, GB/s | read | write | copy |", "| --- | --- | --- | --- |"]
    for threads, rates in machine["bandwidth"].items():
        cells = " | ".join(f"{rates[kind]:.1f}" for kind in ("read", "write", "copy"))
        lines.append(f"| {threads} thread(s) | {cells} |")
    return lines


def _method(rounds: int) -> list[str]:
    return [
        f"Medians of {rounds} rounds, smallest and largest in brackets. The systems take turns in "
        "every round; a ratio is the median of the rounds' ratios, ours over theirs. Speed: each "
        "run is a fresh process, warmed up, on the same file. Quantize a file: wall time of the "
        "whole process, start of Python included, and the tensors written were compared byte by "
        "byte. In memory: ours allocates its result and refuses non-finite values, libggml writes "
        "into a given array unchecked; both dequantize into a given array; best of three in each "
        "round. The load average was counted before and after: much more than the threads "
        "measured means that other work shared the cores, and that the numbers are no verdict.",
    ]


def _table(comparisons: list[Comparison]) -> list[str]:
    systems = systems_of(comparisons)
    others = [system for system in systems if system != _OURS]
    head = [f"work ({comparisons[0].unit})", *systems, *(f"ratio to {other}" for other in others)]
    lines = [f"| {' | '.join(head)} |", "|" + " --- |" * len(head)]
    for c in comparisons:
        cells = [c.work, *(_spread(sorted(c.samples[s]), c.median(s), 0) for s in systems)]
        for other in others:
            ratios = c.ratios(_OURS, other)
            cells.append(_spread(ratios, statistics.median(ratios), 2))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _spread(ordered: list[float], middle: float, digits: int) -> str:
    low, high = ordered[0], ordered[-1]
    return f"{middle:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def _said(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {said}" for name, said in value.items())
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)
