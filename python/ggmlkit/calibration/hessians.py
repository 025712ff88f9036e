"""Sums of products of what enters a matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.calibration.spilling import Spilling

    Floats = NDArray[np.float32]
    Doubles = NDArray[np.float64]

# Rows of the sum that are computed at a time: their products are small beside the sum.
_ROWS = 1024


class Hessian:
    """H = Σ x·xᵀ over tokens, summed in float64.

    Args:
        columns: of the matrix that x enters.
        arrays: where the sum is kept.
    """

    def __init__(self, columns: int, arrays: Spilling) -> None:
        self._arrays = arrays
        self._sum: Doubles = arrays.zeros((columns, columns), np.float64)
        self._tokens = 0

    def add(self, x: Floats) -> None:
        """Add tokens: float32 ``(tokens, columns)``."""
        self._tokens += len(x)
        for begin in range(0, len(self._sum), _ROWS):  # what lies above the diagonal, and on it
            end = begin + _ROWS
            self._sum[begin:end, begin:] += x[:, begin:end].T @ x[:, begin:]

    def mean(self) -> Doubles:
        """The sum, divided by the tokens; once, after all are added."""
        for begin in range(0, len(self._sum), _ROWS):
            end = begin + _ROWS
            self._sum[begin:end, begin:] /= max(1, self._tokens)
            self._sum[end:, begin:end] = self._sum[begin:end, end:].T
            square = self._sum[begin:end, begin:end]
            square[...] = np.triu(square) + np.triu(square, 1).T
        return self._sum

    def free(self) -> None:
        """Give the memory back; the mean is not used any more."""
        self._arrays.free(self._sum)


class CrossSum:
    """C = Σ (f - x)·xᵀ over tokens: how what enters differs from the float model's f.

    Args:
        columns: of the matrix that both enter.
        arrays: where the sum is kept.
    """

    def __init__(self, columns: int, arrays: Spilling) -> None:
        self._arrays = arrays
        self._sum: Doubles = arrays.zeros((columns, columns), np.float64)
        self._tokens = 0

    def add(self, exact: Floats, x: Floats) -> None:
        """Add the same tokens of both: float32 ``(tokens, columns)``."""
        self._tokens += len(x)
        for begin in range(0, len(self._sum), _ROWS):
            own = slice(begin, begin + _ROWS)
            self._sum[own] += (exact[:, own] - x[:, own]).T @ x

    def mean(self) -> Doubles:
        """The sum, divided by the tokens; once, after all are added."""
        self._sum /= max(1, self._tokens)
        return self._sum

    def free(self) -> None:
        """Give the memory back; the mean is not used any more."""
        self._arrays.free(self._sum)
