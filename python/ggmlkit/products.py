"""Matrix products with weights in any type, as they are stored or packed beforehand."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ggmlkit import _core
from ggmlkit.arrays import as_numpy
from ggmlkit.errors import UnsupportedTypeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ggmlkit.types import TensorType


class Weights(Protocol):
    """What a product needs of a :class:`ggmlkit.Tensor`."""

    @property
    def type(self) -> TensorType: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def data(self) -> NDArray[np.uint8]: ...
    def check(self) -> None: ...


class PackedMatrix:
    """Weights in the layout that multiplies fastest on this processor, for many products.

    A product with a :class:`Tensor` arranges its rows anew each time, which for a few rows of
    activations takes as long as the product. Quantized weights are copied, in about the tensor's
    size; float weights stay a view of the tensor's data. The results are the same, bit for bit.

    Args:
        weights: ``(m, n)``.
        threads: for packing, at most this many.

    Raises:
        ValueError: the weights are no matrix.
        UnsupportedTypeError: this build has no kernel for their type.
    """

    __slots__ = ("_core", "shape", "type")

    type: TensorType
    shape: tuple[int, int]

    def __init__(self, weights: Weights, threads: int | None = None) -> None:
        self.shape = _matrix_shape(weights)
        self.type = weights.type
        self._core = _core.PackedMatrix(self.type.index, weights.data, *self.shape, threads or 0)
        weights.check()

    @property
    def nbytes(self) -> int:
        """Memory taken beyond the tensor's data."""
        return self._core.nbytes

    @property
    def T(self) -> Transposed:
        """For ``x @ packed.T``."""
        return Transposed(self)

    def __repr__(self) -> str:
        return f"PackedMatrix({self.type}, {self.shape})"


class Transposed:
    """The right operand of ``x @ W.T``; see :func:`matmul`."""

    __array_ufunc__ = None  # numpy must hand `x @ W.T` to __rmatmul__
    __slots__ = ("weights",)

    def __init__(self, weights: Weights | PackedMatrix) -> None:
        self.weights = weights

    def __rmatmul__(self, x: ArrayLike) -> NDArray[np.float32]:
        return matmul(x, self.weights)


def matmul(
    x: ArrayLike, weights: Weights | PackedMatrix, threads: int | None = None
) -> NDArray[np.float32]:
    """``x @ weights.T`` with the weights as they are stored, or packed.

    Quantized weights meet activations rounded to 8 bits per 32 elements, or both are rounded to
    bfloat16 (processors with AMX, whole panels of sixteen rows of ``x``); float weights meet
    float32 activations.

    Args:
        x: ``(..., n)``.
        weights: ``(m, n)``.
        threads: at most this many.

    Returns:
        float32 ``(..., m)``.

    Raises:
        ValueError: the inner sizes differ, or the weights are no matrix.
        UnsupportedTypeError: this build has no kernel for the weights' type.
    """
    rows = np.ascontiguousarray(as_numpy(x), dtype=np.float32)
    m, n = weights.shape if isinstance(weights, PackedMatrix) else _matrix_shape(weights)
    if rows.ndim == 0 or rows.shape[-1] != n:
        raise ValueError(f"x of shape {rows.shape} does not fit weights of shape {weights.shape}")
    out = np.empty((*rows.shape[:-1], m), np.float32)
    tokens = rows.size // n if n else prod(rows.shape[:-1])
    activations, results = rows.reshape(tokens, n), out.reshape(tokens, m)
    if isinstance(weights, PackedMatrix):
        weights._core.matmul(activations, results, threads or 0)
    else:
        _core.matmul(weights.type.index, weights.data, m, n, activations, results, threads or 0)
        weights.check()
    return out


def _matrix_shape(weights: Weights) -> tuple[int, int]:
    if len(weights.shape) != 2:
        raise ValueError(f"weights of shape {weights.shape} are no matrix")
    if not weights.type.can_dequantize:
        raise UnsupportedTypeError(f"this build has no kernel to read {weights.type}")
    m, n = weights.shape
    return m, n
