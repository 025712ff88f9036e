"""Rounds one matrix with knowledge of what enters it.

A matrix W that multiplies activations x is stored as V. What that costs, summed over tokens, is
the trace of E·H·Eᵀ, with E = W - V and the Hessian H = Σ x·xᵀ.

Methods:
    search: the scale of each group that costs least, where the columns' errors are taken to be
        independent: H is its diagonal.
    feedback: column after column, each making good for the errors before it; LDLQ of QuIP
        (https://arxiv.org/abs/2307.13304), which equals GPTQ (https://arxiv.org/abs/2210.17323).
        Scales are tried on the weights that are to be made good for.
    descent: the same, then every code and scale in turn is moved to where it costs least beside
        all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit import _core
from ggmlkit.errors import UnstorableError, UnsupportedTypeError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.calibration.methods import Method
    from ggmlkit.types import TensorType

    Floats = NDArray[np.float32]

# Part of the mean of H's diagonal that is added to the diagonal: H of few tokens has directions
# that no token had.
_DAMPING = 0.01
# Rounds of descent; each later one gains less.
_PASSES = 2


def can_calibrate(type: TensorType) -> bool:
    """Whether matrices can be rounded to this type here."""
    return bool(_core.can_calibrate(type.index))


def rounded(
    weights: Floats,
    hessian: NDArray[np.floating],
    type: TensorType,
    method: Method = "descent",
    *,
    name: str = "",
    damping: float = _DAMPING,
    passes: int = _PASSES,
    threads: int = 0,
) -> NDArray[np.uint8]:
    """The blocks of a matrix.

    Args:
        weights: float32 ``(rows, columns)``, finite.
        hessian: ``(columns, columns)``, symmetric, or its diagonal ``(columns,)`` for "search".
        type: that `can_calibrate` says.
        method: see the module.
        name: of the matrix, for errors.
        damping: part of the mean of the diagonal that is added to it.
        passes: of descent.
        threads: at most so many; 0: all.

    Returns:
        uint8 ``(rows, bytes of a row)``.

    Raises:
        UnsupportedTypeError: the type can't be calibrated.
        UnstorableError: a block can't hold its weights.
    """
    if not can_calibrate(type):
        raise UnsupportedTypeError(f"{type.name} can't be calibrated")
    rows, columns = weights.shape
    factors = _independent(hessian) if method == "search" else _factored(hessian, damping, type)
    out = np.empty((rows, type.row_bytes(columns)), np.uint8)
    lost = _core.calibrate(
        type.index,
        np.ascontiguousarray(weights, np.float32),
        out.reshape(-1),
        factors.order,
        factors.diagonal,
        factors.upper,
        factors.hessian if method == "descent" else None,
        passes,
        threads,
    )
    if lost >= 0:
        row, column = divmod(lost, columns)
        raise UnstorableError(name, (row, column), float(weights[row, column]), type.name)
    return out


@dataclass(frozen=True)
class _Factors:
    """H in the order of work = U · diag(D) · Uᵀ, with U unit upper triangular."""

    order: NDArray[np.uint32]
    diagonal: Floats
    upper: Floats | None = None
    hessian: Floats | None = None


def _independent(hessian: NDArray[np.floating]) -> _Factors:
    diagonal = hessian if hessian.ndim == 1 else np.diagonal(hessian)
    weights = np.ascontiguousarray(diagonal, np.float32)
    if not weights.any():
        weights = np.ones_like(weights)
    return _Factors(np.arange(len(weights), dtype=np.uint32), weights)


def _factored(hessian: NDArray[np.floating], damping: float, type: TensorType) -> _Factors:
    diagonal = np.diagonal(hessian)
    order = _order(diagonal, type)
    mean = float(diagonal.mean()) or 1.0
    h = hessian[np.ix_(order, order)].astype(np.float64) / mean
    h[np.diag_indices_from(h)] += damping
    # Turned around, a lower factor is an upper one: H = M·Mᵀ with M upper triangular.
    upper = np.linalg.cholesky(h[::-1, ::-1])[::-1, ::-1]
    roots = np.diagonal(upper).copy()
    return _Factors(
        order,
        np.square(roots).astype(np.float32),
        np.ascontiguousarray(upper / roots, np.float32),
        np.ascontiguousarray(h, np.float32),
    )


def _order(diagonal: NDArray[np.floating], type: TensorType) -> NDArray[np.uint32]:
    """Columns with large activations first, as far as blocks and their groups stay whole."""
    size, group = type.block_size, int(_core.scale_group(type.index))
    blocks = diagonal.reshape(-1, size // group, group)
    columns = np.arange(diagonal.size).reshape(blocks.shape)
    by_block = np.argsort(-blocks.sum((1, 2)), kind="stable")
    within = np.argsort(-blocks, axis=2, kind="stable")
    ordered = np.take_along_axis(columns, within, axis=2)[by_block]
    return ordered.reshape(-1).astype(np.uint32)
