"""Writes RESULTS.md from the records."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bench import in_words
from fit import Growth
from measure import Comparison, systems_of
from store import Record, Results

_METHOD = """\
Numbers are medians of the rounds (n), with the smallest and largest in brackets. Systems take turns
in every round, in changing order. The ratio is ours to the best other system (by median), or to the
one that the goal names: the median of the rounds' ratios. ✔ and ✘ say whether the ratio, and the
share of the machine's limit, reach the goals.

Speed: every run is a new process on the same file. Each system packs or repacks weights in its own
way (ik_llama.cpp with `-rtr 1`). The prompt gives one row of logits. Decoding starts from an empty
context unless the row says otherwise. The 1.1B shape, whose weights are random, has no warm-up.
Quantize a file: wall time of the whole process, `--pure`, tensors compared byte by byte. Convert:
the same for a folder of safetensors in the page cache, and the peak memory of the process. In
memory: the best of three calls in each round. Start: the best of three processes in each round,
with the file in the page cache.

The machine's limits were measured by `benchmarks/native/probe.cpp` in the same run. Share of
reading: bytes of weights read for a token (or of floats quantized) times speed. Share of writing:
bytes of float32 written. Share of multiply-adds: those of the layers' matrices, without attention.

The load average says how many processes wanted a core before and after the steps. If it is much
higher than the number of threads, other work shared the cores, and the numbers are not reliable."""

_LIMITS = {"read": "GB/s", "write": "GB/s", "copy": "GB/s", "multiply_add": "G/s"}
_SLOPES = {
    "bytes": ("weights read for a token", 1e9, "ms per GB"),
    "multiply-adds": ("multiply-adds for a prompt's token", 1e9, "ms per G"),
    "tokens": ("tokens in the context", 1e3, "ms per 1000"),
}


def markdown(
    results: Results,
    growths: Sequence[Growth],
    pictures: Sequence[str],
    recorded: Sequence[str] = (),
    others: Sequence[str] = (),
) -> str:
    """The whole page; `recorded` has lines of other sections, `others` pages of other machines."""
    lines = ["# Results", "", "Written by `make bench`.", ""]
    if others:
        links = ", ".join(f"[{Path(page).parent.name}]({page})" for page in others)
        lines += [f"Other machines: {links}.", ""]
    lines += [*_machine(results), "", _METHOD, ""]
    for group in dict.fromkeys(comparison.group for comparison in results.comparisons):
        lines += [f"## {group}", "", *_group(group, list(results.records.values())), ""]
    lines += [*_fits(growths, pictures), *recorded]
    notes = [f"- {name}: {note}" for name, r in results.records.items() for note in r.notes]
    if notes:
        lines += ["## Notes", "", *notes, ""]
    if results.missing:
        kinds = Counter(name.partition(" ")[0] for name in results.missing)
        steps = ", ".join(f"{kind} ({count})" for kind, count in kinds.items())
        lines += [f"Steps not measured: {steps}.", ""]
    return "\n".join(lines)


def line(c: Comparison) -> str:
    """One comparison in one line, for the terminal."""
    medians = ", ".join(f"{system} {number(c.median(system))}" for system in c.samples)
    ratios = c.ratios()
    times = f"; {statistics.median(ratios):.2f} × {c.rival}" if ratios else ""
    return f"  {c.work}, {in_words(c.threads)}: {medians} {c.unit}{times}"


def _machine(results: Results) -> list[str]:
    lines = [f"- {name}: {value}" for name, value in results.machine.items() if value]
    lines += ["", "| limit | method | " + " | ".join(map(in_words, results.probes)) + " |"]
    lines += ["| --- | --- |" + " --- |" * len(results.probes)]
    probes = list(results.probes.values())
    for kind, unit in _LIMITS.items():
        for method in probes[0][kind]:
            cells = [number(probe[kind][method]) for probe in probes]
            lines.append(f"| {kind.replace('_', '-')}, {unit} | {method} | {' | '.join(cells)} |")
    return lines


def _group(group: str, records: Sequence[Record]) -> list[str]:
    """The table of a group, and when and on how busy a machine it was measured."""
    mine = [(r, c) for r in records for c in r.comparisons if c.group == group]
    comparisons = [c for _, c in mine]
    systems = systems_of(comparisons)
    judged = any(c.goal is not None for c in comparisons)
    roofed = any(c.roof for c in comparisons)
    head = [f"work ({comparisons[0].unit})", "threads", "n", *systems, "ratio"]
    head += ["goal"] * judged + ["share of the limit"] * roofed
    lines = [_row(head), "|" + " --- |" * len(head)]
    for record, c in mine:
        cells = [c.work, str(c.threads), str(max(map(len, c.samples.values())))]
        cells += [_spread(c.samples[s]) if s in c.samples else "—" for s in systems]
        cells.append(_ratio(c))
        cells += [_goal(c)] * judged + [_share(c, record)] * roofed
        lines.append(_row(cells))
    used = {id(r): r for r, _ in mine}.values()
    return [*lines, "", _state(list(used))]


def _state(records: Sequence[Record]) -> str:
    """When a table was measured, at which commit, and how busy the machine was."""
    dates = sorted(record.date for record in records)
    commits = dict.fromkeys(record.commit for record in records)
    loads = [load for record in records for load in record.load]
    when = " to ".join(dict.fromkeys((dates[0], dates[-1])))
    return f"{when}, commit {', '.join(commits)}; load average {min(loads)} to {max(loads)}."


def _ratio(c: Comparison) -> str:
    ratios = c.ratios()
    return f"{_spread(ratios, 2)} × {c.rival}" if ratios else "—"


def _goal(c: Comparison) -> str:
    if c.goal is None:
        return "—"
    goal = f"{'≤' if c.less else '≥'} {c.goal:g}"
    ratios = c.ratios()
    if not ratios:
        return goal
    middle = statistics.median(ratios)
    return f"{goal} {_mark(middle <= c.goal if c.less else middle >= c.goal)}"


def _share(c: Comparison, record: Record) -> str:
    share = c.share(record.peaks[c.threads])
    if share is None or c.roof is None:
        return "—"
    reached = f"{share:.0%} of {c.roof.kind.replace('_', '-')}"
    if c.roof.goal is None:
        return reached
    return f"{reached}, goal {c.roof.goal:.0%} {_mark(share >= c.roof.goal)}"


def _fits(growths: Sequence[Growth], pictures: Sequence[str]) -> list[str]:
    if not growths:
        return []
    lines = ["## Growth", "", "Time of a token as a fixed part plus a slope, fitted to the points."]
    lines += ["", _row(["grows with", "system", "fixed, ms", "slope", "largest error"])]
    lines += ["|" + " --- |" * 5]
    for growth in growths:
        what, scale, unit = _SLOPES[growth.x]
        fixed, slope = 1e3 * growth.line.fixed, 1e3 * growth.line.slope * scale
        cells = [number(fixed), f"{number(slope)} {unit}", f"{growth.line.worst:.0%}"]
        lines.append(_row([what, growth.system, *cells]))
    return [*lines, "", *(f"![{name}]({name})" for name in pictures), ""]


def _spread(values: Sequence[float], digits: int | None = None) -> str:
    def written(value: float) -> str:
        return number(value) if digits is None else f"{value:.{digits}f}"

    middle = written(statistics.median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({written(min(values))}–{written(max(values))})"


def number(value: float) -> str:
    """Three significant digits, or a whole number from 100 on."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _mark(reached: bool) -> str:
    return "✔" if reached else "✘"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
