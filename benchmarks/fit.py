"""A token's cost as a linear function of the amount of work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from measure import Comparison, systems_of


@dataclass(frozen=True)
class Line:
    """``seconds = fixed + slope · x``."""

    fixed: float
    slope: float
    worst: float  # largest relative error of the line at a point

    def at(self, x: float) -> float:
        return self.fixed + self.slope * x


@dataclass(frozen=True)
class Growth:
    """One system's points, and the line through them.

    Attributes:
        x: what the cost grows with.
    """

    x: str
    system: str
    points: tuple[tuple[float, float], ...]  # (x, seconds a token)
    line: Line


def fitted(points: Sequence[tuple[float, float]]) -> Line:
    """The line with the least squared relative errors, so that small models count too.

    Raises:
        ValueError: fewer than two different x.
    """
    x, seconds = np.array(points, np.float64).T
    if len(set(x)) < 2:
        raise ValueError("a line needs two points")
    columns = np.stack([1 / seconds, x / seconds], axis=1)
    scale = np.abs(columns).max(axis=0)
    solution, *_ = np.linalg.lstsq(columns / scale, np.ones(len(x)), rcond=None)
    fixed, slope = solution / scale
    worst = np.max(np.abs(fixed + slope * x - seconds) / seconds)
    return Line(float(fixed), float(slope), float(worst))


def growths(comparisons: Iterable[Comparison]) -> list[Growth]:
    """A line for each system and each quantity that its cost grows with."""
    lines = [c for c in comparisons if c.x]
    found = []
    for x in dict.fromkeys(x for c in lines for x in c.x):
        mine = [c for c in lines if x in c.x]
        for system in systems_of(mine):
            points = sorted((c.x[x], 1 / c.median(system)) for c in mine if system in c.samples)
            if len(dict(points)) > 1:
                found.append(Growth(x, system, tuple(points), fitted(points)))
    return found
