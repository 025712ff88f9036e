"""Interleaved measurements: all systems take turns in every round, so drift affects all equally."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

OURS = "ggmlkit"

# A system's numbers of one round, by kind of work; later rounds can have fewer kinds.
Measure = Callable[[int], Mapping[str, float]]


@dataclass(frozen=True)
class Roof:
    """The machine's limit on a piece of work: it takes ``per_unit`` bytes or multiply-adds.

    Attributes:
        kind: of the probe's numbers: read, write or multiply_add.
        per_unit: spent on one of the comparison's units.
        goal: share of the probe's number to reach, if any.
    """

    kind: str
    per_unit: float
    goal: float | None = None


@dataclass
class Comparison:
    """One piece of work, measured on several systems.

    Attributes:
        group: table that the line belongs to.
        work: what was done.
        unit: of the samples.
        threads: that each system had.
        samples: system → one number a round; round i of each system ran side by side.
        goal: ratio to reach, to the best other system or the one in `against`.
        less: whether less is better, and the goal a ceiling.
        roof: the machine's limit on it.
        x: the sizes that growth is fitted to.
        against: the system that the goal names; the best other one where it names none.
    """

    group: str
    work: str
    unit: str
    threads: int
    samples: dict[str, list[float]]
    goal: float | None = None
    less: bool = False
    roof: Roof | None = None
    x: dict[str, float] = field(default_factory=dict)
    against: str | None = None

    def median(self, system: str) -> float:
        return statistics.median(self.samples[system])

    @property
    def best_other(self) -> str | None:
        """The best system other than ours, by median; None if there is no other."""
        others = [system for system in self.samples if system != OURS]
        pick = min if self.less else max
        return pick(others, key=self.median) if others else None

    @property
    def rival(self) -> str | None:
        """The system that ours is compared with."""
        return self.against if self.against in self.samples else self.best_other

    def ratios(self) -> list[float]:
        """Our number divided by the rival's in each round, sorted; empty if either is missing."""
        other = self.rival
        if other is None or OURS not in self.samples:
            return []
        pairs = zip(self.samples[OURS], self.samples[other], strict=True)
        return sorted(ours / theirs for ours, theirs in pairs)

    def share(self, peaks: Mapping[str, float]) -> float | None:
        """The share of the machine's limit that ours reached; `peaks` by kind of probe, in G/s."""
        if self.roof is None or OURS not in self.samples:
            return None
        return self.median(OURS) * self.roof.per_unit / (peaks[self.roof.kind] * 1e9)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def from_json(values: Mapping[str, Any]) -> Comparison:
    """What `Comparison.as_json` gave."""
    roof = values["roof"]
    return Comparison(**{**values, "roof": Roof(**roof) if roof else None})


def interleave(
    systems: Mapping[str, Measure], rounds: int
) -> tuple[dict[str, dict[str, list[float]]], list[str]]:
    """Run every system once a round; the order rotates from round to round.

    Returns:
        kind → system → samples, and error messages: a system that fails once is left out.
    """
    order = list(systems)
    found: dict[str, dict[str, list[float]]] = {}
    failures: dict[str, str] = {}
    for turn in range(rounds):
        shift = turn % len(order)
        for system in order[shift:] + order[:shift]:
            if system in failures:
                continue
            try:
                numbers = systems[system](turn)
            except Exception as error:  # whatever a peer does, the others' numbers are kept
                failures[system] = f"{system}: {_reason(error)}"
                continue
            for kind, value in numbers.items():
                found.setdefault(kind, {}).setdefault(system, []).append(value)
    whole = {
        kind: {s: by_system[s] for s in order if s in by_system and s not in failures}
        for kind, by_system in found.items()
    }
    return {kind: samples for kind, samples in whole.items() if samples}, list(failures.values())


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def best(work: Callable[[], object], times: int = 3) -> float:
    """Shortest wall time of a few calls."""
    return min(seconds(work) for _ in range(times))


def systems_of(comparisons: Iterable[Comparison]) -> list[str]:
    """All systems, in the order they were first seen."""
    return list(dict.fromkeys(s for comparison in comparisons for s in comparison.samples))


def _reason(error: Exception) -> str:
    """The error in one line; for a failed process, the last line that it wrote."""
    if isinstance(error, subprocess.CalledProcessError):
        stderr = error.stderr or ""
        text = stderr if isinstance(stderr, str) else stderr.decode(errors="replace")
        lines = text.strip().splitlines()
        return f"exit code {error.returncode}" + (f", {lines[-1][:160]}" if lines else "")
    return f"{type(error).__name__}: {str(error).strip()[:160]}"
