"""One matrix of a model, rounded; the reference's rounding where that is no worse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit import _core
from ggmlkit.calibration.methods import Method
from ggmlkit.calibration.rounding import rounded
from ggmlkit.errors import UnstorableError
from ggmlkit.io.pages import release
from ggmlkit.storing import Importance, store
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.calibration.staging import Staging
    from ggmlkit.types import TensorType

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

# Weights that are rounded at a time. The Hessian is factored for each part, so parts are large.
_PART = 32 << 20


@dataclass(frozen=True)
class Entering:
    """What is known of what enters a matrix.

    Attributes:
        hessian: mean of x·xᵀ over tokens, ``(columns, columns)``, or its diagonal ``(columns,)``.
        held_out: other tokens' x, ``(tokens, columns)``; or ``(columns,)`` for as many tokens, each
            of which enters by one column alone.
        held_out_exact: what they are in the float model; None where the matrix is not to make good
            for the difference.
        correction: ``(columns, columns)``: the weights W to be rounded are W + W·correction.
        importance: of the columns, where the reference's rounding takes it.
    """

    hessian: NDArray[np.floating]
    held_out: Floats
    held_out_exact: Floats | None = None
    correction: Floats | None = None
    importance: Importance | None = None


@dataclass(frozen=True)
class Outcome:
    """How well a matrix was rounded.

    Attributes:
        name: of the matrix.
        error: of its output, for the tokens held out, as a part of the reference's.
        is_kept: whether it was taken; otherwise the file gets the reference's rounding.
    """

    name: str
    error: float

    @property
    def is_kept(self) -> bool:
        return self.error < 1


class Rounding:
    """Rounds matrices into a staging file.

    Args:
        method: of `rounding`.
        staging: gets the blocks.
        threads: at most so many; all that the process may use when None.
    """

    def __init__(self, method: Method, staging: Staging, threads: int | None) -> None:
        self._method = method
        self._staging = staging
        self._threads = threads

    def matrix(self, tensor: Tensor, target: TensorType, entering: Entering) -> Outcome:
        """Round a matrix and stage it.

        Raises:
            UnstorableError: a weight is not finite, or too large for the type.
            OSError: the disk is full.
        """
        row_bytes = target.row_bytes(tensor.shape[-1])
        begin = self._staging.place(tensor.rows * row_bytes)
        ours = theirs = 0.0
        for row, weights, blocks in self._parts(tensor):
            reference = self._reference(
                tensor, target, row, blocks, entering.importance
            )  # names a weight at fault
            found = self._calibrated(weights, target, entering)
            drift = _drift(weights, entering)
            theirs += _error(target, reference, weights, drift, entering)
            ours += np.inf if found is None else _error(target, found, weights, drift, entering)
            self._staging.write(begin + row * row_bytes, reference if found is None else found)
            release(blocks)
        error = ours / theirs if theirs > 0 else float(ours > 0)
        outcome = Outcome(tensor.name, error if np.isfinite(error) else np.inf)
        if not outcome.is_kept:
            self._stage_reference(tensor, target, begin, entering.importance)
        self._staging.complete(tensor.name, target, tensor.shape, begin)
        return outcome

    def _parts(self, tensor: Tensor) -> Iterator[tuple[int, Floats, Bytes]]:
        """The first row, the weights and the blocks of each part."""
        columns = tensor.shape[-1]
        row_bytes = tensor.type.row_bytes(columns)
        step = max(1, _PART // columns)
        data = tensor.data
        for row in range(0, tensor.rows, step):
            rows = min(step, tensor.rows - row)
            blocks = data[row * row_bytes : (row + rows) * row_bytes]
            part = Tensor(tensor.type, (rows, columns), blocks, tensor.name)
            yield row, part.dequantize(threads=self._threads), blocks
        tensor.check()

    def _calibrated(self, weights: Floats, target: TensorType, entering: Entering) -> Bytes | None:
        """The blocks; None where a block can't hold what it would have to."""
        if entering.correction is not None:
            weights = np.add(weights, weights @ entering.correction, dtype=np.float32)
        try:
            found = rounded(
                weights, entering.hessian, target, self._method, threads=self._threads or 0
            )  # without a name: the caller goes on without it
        except UnstorableError:
            return None
        blocks: Bytes = found.reshape(-1)
        return blocks

    def _reference(
        self,
        tensor: Tensor,
        target: TensorType,
        row: int,
        blocks: Bytes,
        importance: Importance | None,
    ) -> Bytes:
        columns = tensor.shape[-1]
        rows = blocks.size // tensor.type.row_bytes(columns)
        out = np.empty(rows * target.row_bytes(columns), np.uint8)
        store(
            tensor.type,
            blocks,
            (rows, columns),
            target,
            out,
            name=tensor.name,
            importance=importance if target.takes_importance else None,
            whole=tensor.shape,
            first_row=row,
            threads=self._threads,
        )
        return out

    def _stage_reference(
        self, tensor: Tensor, target: TensorType, begin: int, importance: Importance | None
    ) -> None:
        row_bytes = target.row_bytes(tensor.shape[-1])
        for row, _, blocks in self._parts(tensor):
            found = self._reference(tensor, target, row, blocks, importance)
            self._staging.write(begin + row * row_bytes, found)


def _drift(weights: Floats, entering: Entering) -> Floats | None:
    """How the float model's outputs differ before any rounding, for the tokens held out."""
    if entering.held_out_exact is None:
        return None
    difference: Floats = np.subtract(entering.held_out_exact, entering.held_out)
    return difference @ weights.T


def _error(
    type: TensorType, blocks: Bytes, weights: Floats, drift: Floats | None, entering: Entering
) -> float:
    """Sum of the squares of what differs in the outputs for the tokens held out."""
    values = np.empty(weights.shape, np.float32)
    _core.dequantize(type.index, blocks, values.reshape(-1), 0)
    np.subtract(weights, values, out=values)
    x = entering.held_out
    difference = values * x if x.ndim == 1 else x @ values.T
    if drift is not None:
        difference += drift
    return float(np.einsum("ij,ij->", difference, difference, dtype=np.float64))
