"""Interleaved measurements: every system takes its turn in every round, so drift hits all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Comparison:
    """One piece of work, measured on several systems; more is better in every unit used.

    Attributes:
        group: table that the line belongs to.
        work: what was done.
        unit: of the samples.
        samples: system → one number a round; round i of each system ran side by side.
    """

    group: str
    work: str
    unit: str
    samples: dict[str, list[float]] = field(default_factory=dict)

    def median(self, system: str) -> float:
        return statistics.median(self.samples[system])

    def ratios(self, system: str, other: str) -> list[float]:
        """Of each round, sorted."""
        pairs = zip(self.samples[system], self.samples[other], strict=True)
        return sorted(ours / theirs for ours, theirs in pairs)

    def as_json(self) -> dict[str, Any]:
        medians = {system: self.median(system) for system in self.samples}
        return {**asdict(self), "medians": medians}


def interleave(
    systems: Mapping[str, Callable[[], Mapping[str, float]]], rounds: int
) -> dict[str, dict[str, list[float]]]:
    """Run every system once a round; the order turns round by round.

    Each callable returns its numbers by kind; the result is kind → system → samples.
    """
    order = list(systems)
    found: dict[str, dict[str, list[float]]] = {}
    for turn in range(rounds):
        shift = turn % len(order)
        for system in order[shift:] + order[:shift]:
            for kind, value in systems[system]().items():
                found.setdefault(kind, {name: [] for name in order})[system].append(value)
    return found


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best(work: Callable[[], object], times: int = 3) -> float:
    """Shortest wall time of a few calls."""
    return min(seconds(work) for _ in range(times))


def compared(
    group: str,
    names: Mapping[str, tuple[str, str]],
    found: Mapping[str, dict[str, list[float]]],
) -> list[Comparison]:
    """`found` as comparisons; `names` gives each kind its work and unit."""
    return [Comparison(group, *names[kind], samples) for kind, samples in found.items()]


def systems_of(comparisons: Sequence[Comparison]) -> list[str]:
    """All systems, in the order they were first seen."""
    return list(dict.fromkeys(s for comparison in comparisons for s in comparison.samples))
