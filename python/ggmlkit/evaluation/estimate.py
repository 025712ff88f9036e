"""Means with their standard errors."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, sqrt
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Estimate:
    """A figure that a text gives an estimate of.

    Attributes:
        value: the estimate.
        error: its standard error: how far another text of this kind may lead, two times of three.
            It takes positions for independent, as llama-perplexity does.
    """

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.6g} ± {self.error:.2g}"


def mean_of(values: NDArray[np.floating | np.integer | np.bool_]) -> Estimate:
    """The mean of one number for each position."""
    numbers = values.astype(np.float64).ravel()
    if not numbers.size:
        return Estimate(0.0, 0.0)
    mean = float(numbers.mean())
    # The variance of the sample over n - 1, as llama-perplexity has it.
    spread = float(((numbers - mean) ** 2).mean())
    return Estimate(mean, sqrt(spread / max(1, numbers.size - 1)))


def exponential_of(logarithm: Estimate) -> Estimate:
    """``exp`` of an estimate: a perplexity of a mean log-probability."""
    try:
        value = exp(logarithm.value)
    except OverflowError:
        return Estimate(inf, inf)
    return Estimate(value, value * logarithm.error)


def root_mean_square_of(values: NDArray[np.floating]) -> Estimate:
    """The root of the mean of the squares."""
    square = mean_of(values.astype(np.float64) ** 2)
    root = sqrt(square.value)
    return Estimate(root, 0.5 * square.error / root if root else 0.0)
