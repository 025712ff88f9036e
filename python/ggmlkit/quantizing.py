"""Converts arrays to tensors and back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from ggmlkit import types
from ggmlkit.arguments import shown, text, thread_count
from ggmlkit.arrays import as_numpy
from ggmlkit.dtypes import type_of
from ggmlkit.errors import ArgumentTypeError, UnsupportedTypeError
from ggmlkit.storing import Importance, as_floats
from ggmlkit.tensor import Tensor, converted
from ggmlkit.types import TensorType

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Bytes = NDArray[np.uint8]
    _Scalar = TypeVar("_Scalar", bound=np.generic)


def quantize(
    array: ArrayLike | Tensor,
    type: str | TensorType,
    *,
    importance: ArrayLike | None = None,
    name: str = "",
    out: Bytes | None = None,
    threads: int | None = None,
) -> Tensor:
    """An array quantized to ``type``, bit for bit as the reference does it.

    Args:
        array: real numbers in any object that numpy can convert (float32, float16, ml_dtypes,
            torch, lists), with any strides; the last axis holds the rows. Contiguous float32,
            float16 and bfloat16 are read without a copy.
        type: a type that this build can write (``gk.types.ALL``, ``can_quantize``).
        importance: the weight of an error in each column, such as the mean square of the inputs
            that the column is multiplied by; for types with ``takes_importance``. ``(columns,)``,
            or ``(matrices, columns)`` for an array of several matrices. A matrix whose columns are
            all 0 is quantized as without importance.
        name: of the resulting tensor.
        out: uint8 array of the result's size for its blocks, instead of a new one.
        threads: the most to use; the default is all that the process may use.

    Raises:
        UnstorableError: a weight is too large for the type, or the type is quantized and a weight
            is not finite; the error names the first such weight in row order.
        ImportanceError: ``importance`` has another shape, or a number in it is negative or not
            finite.
        ArgumentError: the rows are not whole blocks, the array holds anything else than real
            numbers, ``out`` has another size, or ``threads`` is below 1.
        UnsupportedTypeError: the type can't be written, or can't use ``importance``.
    """
    target = types.get(type)
    thread_count(threads)
    text(name, "name")
    if isinstance(array, Tensor):
        source = array if not name else array.renamed(name)
    else:
        source = _float_tensor(as_numpy(array), target, name)
    weights = None
    if importance is not None:
        if not target.takes_importance:
            raise UnsupportedTypeError(f"quantizing to {target} can't use importance")
        weights = Importance.of(as_numpy(importance, "importance"), source.shape, source.name)
    return converted(source, target, out, threads, weights)


def _float_tensor(values: NDArray[Any], target: TensorType, name: str) -> Tensor:
    """The array as an f16 or bf16 tensor if it has this dtype, else as f32; a view if possible."""
    kind = {"float16": "f16", "bfloat16": "bf16"}.get(values.dtype.name, "f32")
    if kind == "f32":
        own: NDArray[Any] = as_floats(values, target.name, name)
    else:
        own = np.asarray(values, values.dtype.newbyteorder("="), order="C")
    return Tensor(kind, own.shape, own.reshape(-1).view(np.uint8), name)


def tensor_of(array: ArrayLike | Tensor, name: str = "") -> Tensor:
    """The array as a tensor whose type has its dtype, without a copy if possible.

    Args:
        array: of float32, float16, ``ml_dtypes.bfloat16``, float64, or signed integers of 8 to 64
            bits; a tensor is returned unchanged.
        name: of the tensor.

    Raises:
        ArgumentTypeError: no type has the array's dtype, or it holds anything else than real
            numbers.
    """
    if isinstance(array, Tensor):
        return array
    if str(getattr(array, "dtype", "")) == "torch.bfloat16":  # unknown to numpy alone
        return _of_torch_bfloat16(array, name)
    values = as_numpy(array, f"array {name!r}" if name else "the array")
    kind = type_of(values.dtype, name)
    own = np.asarray(values, values.dtype.newbyteorder("="), order="C")
    return Tensor(kind, own.shape, own.reshape(-1).view(np.uint8), name)


def _of_torch_bfloat16(array: Any, name: str) -> Tensor:
    bits = array.detach().cpu().contiguous().reshape(-1).view(sys.modules["torch"].uint8)
    return Tensor("bf16", tuple(array.shape), bits.numpy(), name)


@overload
def dequantize(tensor: Tensor, *, threads: int | None = None) -> NDArray[np.float32]: ...
@overload
def dequantize(
    tensor: Tensor,
    dtype: type[_Scalar] | np.dtype[_Scalar],
    out: None = None,
    threads: int | None = None,
) -> NDArray[_Scalar]: ...
@overload
def dequantize(
    tensor: Tensor, *, out: NDArray[_Scalar], threads: int | None = None
) -> NDArray[_Scalar]: ...
@overload
def dequantize(
    tensor: Tensor,
    dtype: DTypeLike = ...,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
) -> NDArray[Any]: ...
def dequantize(
    tensor: Tensor,
    dtype: DTypeLike = np.float32,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
) -> NDArray[Any]:
    """The values of a tensor; the same as :meth:`Tensor.dequantize`.

    Raises:
        ArgumentTypeError: ``tensor`` is not a :class:`Tensor`.
    """
    if not isinstance(tensor, Tensor):
        raise ArgumentTypeError(f"dequantize takes a Tensor, not {shown(tensor)}")
    return tensor.dequantize(dtype, out, threads)
