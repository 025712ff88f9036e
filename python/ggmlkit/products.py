"""Matrix products with weights of any type, as they are stored or packed in advance."""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar, overload

import numpy as np

from ggmlkit import _core
from ggmlkit.arguments import shown, thread_count
from ggmlkit.arrays import as_numpy
from ggmlkit.errors import ArgumentError, ArgumentTypeError, UnsupportedTypeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ggmlkit.types import TensorType


class TorchTensor(Protocol):
    """Methods that a torch tensor has and a numpy array hasn't; for typing without torch."""

    def detach(self) -> Any: ...
    def backward(self) -> Any: ...


_Torch = TypeVar("_Torch", bound=TorchTensor)


class Weights(Protocol):
    """The part of :class:`ggmlkit.Tensor` that a product uses."""

    @property
    def type(self) -> TensorType: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def data(self) -> NDArray[np.uint8]: ...
    def check(self) -> None: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]: ...


class PackedMatrix:
    """Weights in the layout that is fastest on this processor, for many products.

    A product with a :class:`Tensor` packs its rows each time, which takes as long as the product
    itself for a few rows of activations. Quantized weights are copied, with about the tensor's
    size; float weights stay a view of the tensor's data. The results are the same, bit for bit.

    Args:
        weights: ``(m, n)``.
        threads: the most to use for packing; the default is all that the process may use.

    Raises:
        ArgumentError: the weights are not a matrix, or ``threads`` is below 1.
        UnsupportedTypeError: this build has no kernel for their type.
    """

    __slots__ = ("_core", "shape", "type")

    type: TensorType
    shape: tuple[int, int]

    def __init__(self, weights: Weights, threads: int | None = None) -> None:
        self.shape = _matrix_shape(weights)
        self.type = weights.type
        count = thread_count(threads)
        self._core = _core.PackedMatrix(self.type.index, weights.data, *self.shape, count)
        weights.check()

    @property
    def nbytes(self) -> int:
        """Memory in bytes that is used in addition to the tensor's data."""
        return self._core.nbytes

    @property
    def T(self) -> Transposed:
        """For ``x @ packed.T``."""
        return Transposed(self)

    __array_ufunc__ = None  # numpy then leaves `x @ packed` to __rmatmul__

    def __rmatmul__(self, x: object) -> NoReturn:
        raise ArgumentTypeError("packed weights are only for x @ packed.T")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NoReturn:
        raise ArgumentTypeError(
            "packed weights are only for x @ packed.T; take the values of the tensor itself"
        )

    def __reduce__(self) -> NoReturn:
        raise ArgumentTypeError("packed weights can't be pickled; pickle the tensor, then pack it")

    def __repr__(self) -> str:
        return f"PackedMatrix({self.type}, {self.shape})"


class Transposed:
    """The right operand of ``x @ W.T``; see :func:`matmul`. A torch x gives a torch tensor.

    Other functions of numpy read it as an array of its values, ``(n, m)``.
    """

    __slots__ = ("weights",)

    def __init__(self, weights: Weights | PackedMatrix) -> None:
        self.weights: Weights | PackedMatrix = weights

    @property
    def shape(self) -> tuple[int, int]:
        """``(n, m)`` of weights ``(m, n)``."""
        m, n = self.weights.shape
        return n, m

    @overload
    def __rmatmul__(self, x: _Torch) -> _Torch: ...
    @overload
    def __rmatmul__(self, x: ArrayLike) -> NDArray[np.float32]: ...
    def __rmatmul__(self, x: Any) -> Any:
        return matmul(x, self.weights)

    def __matmul__(self, x: object) -> NoReturn:
        raise ArgumentTypeError("a transposed tensor must be on the right: x @ tensor.T")

    @property
    def T(self) -> Weights | PackedMatrix:
        """The weights themselves."""
        return self.weights

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The values, transposed.

        Raises:
            ArgumentTypeError: the weights are packed, and can't be read.
        """
        return self.weights.__array__(dtype, copy).T

    def __array_ufunc__(self, function: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """numpy calls this for ``x @ W.T``, ``np.matmul`` and other functions of elements."""
        if function is np.matmul and method == "__call__" and not options.keys() - {"out"}:
            left, right = inputs
            found = left @ right if left is self else matmul(left, right.weights)
            return found if "out" not in options else _copied(found, *options["out"])
        values = [np.asarray(each) if isinstance(each, Transposed) else each for each in inputs]
        return getattr(function, method)(*values, **options)

    @classmethod
    def __torch_function__(
        cls,
        function: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        from ggmlkit.torch_products import torch_product  # deferred: only torch's users need it

        arguments = args if not kwargs else (*args, *kwargs.values())
        right = next(each for each in arguments if isinstance(each, cls))
        return torch_product(function, arguments, right, lambda x: matmul(x, right.weights))

    def __repr__(self) -> str:
        return f"{self.weights!r}.T"


def matmul(
    x: ArrayLike, weights: Weights | PackedMatrix, threads: int | None = None
) -> NDArray[np.float32]:
    """``x @ weights.T`` with the weights as they are stored, or packed.

    Quantized weights are multiplied with activations quantized to 8 bits per 32 elements, or both
    as bfloat16 (processors with AMX, whole panels of sixteen rows of ``x``); float weights with
    float32 activations.

    Args:
        x: ``(..., n)``, real numbers in any object that numpy or torch can convert.
        weights: ``(m, n)``.
        threads: the most to use; the default is all that the process may use.

    Returns:
        float32 ``(..., m)``.

    Raises:
        ArgumentError: the inner sizes differ, the weights are not a matrix, x holds anything else
            than real numbers, or ``threads`` is below 1.
        UnsupportedTypeError: this build has no kernel for the weights' type.
    """
    rows = np.asarray(as_numpy(x, "x"), np.float32, order="C")
    m, n = weights.shape if isinstance(weights, PackedMatrix) else _matrix_shape(weights)
    if rows.ndim == 0 or rows.shape[-1] != n:
        raise ArgumentError(
            f"x of shape {rows.shape} does not fit weights of shape {weights.shape}"
        )
    count = thread_count(threads)
    out = np.empty((*rows.shape[:-1], m), np.float32)
    tokens = rows.size // n if n else prod(rows.shape[:-1])
    activations, results = rows.reshape(tokens, n), out.reshape(tokens, m)
    if isinstance(weights, PackedMatrix):
        weights._core.matmul(activations, results, count)
    else:
        _core.matmul(weights.type.index, weights.data, m, n, activations, results, count)
        weights.check()
    return out


def _copied(found: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
    np.copyto(out, found, casting="same_kind")
    return out


def _matrix_shape(weights: Weights) -> tuple[int, int]:
    if not hasattr(weights, "check"):  # arrays and transposed tensors don't have it
        raise ArgumentTypeError(
            "weights must be a Tensor or a PackedMatrix, not "
            f"{shown(weights)}; gk.quantize makes a Tensor from an array"
        )
    if len(weights.shape) != 2:
        raise ArgumentError(f"weights of shape {weights.shape} are not a matrix")
    if not weights.type.can_dequantize:
        raise UnsupportedTypeError(f"this build has no kernel to read {weights.type}")
    m, n = weights.shape
    return m, n
