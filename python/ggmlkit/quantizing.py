"""Arrays to tensors and back."""

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
    """An array in ``type``, with the reference arithmetic, bit for bit.

    Args:
        array: anything numpy can see as real numbers (float32, float16, ml_dtypes, torch, lists),
            any strides; the last axis holds the rows. Contiguous float32, float16 and bfloat16 are
            read where they are.
        type: a type this build can write (``gk.types.ALL``, ``can_quantize``).
        importance: how much an error in each column counts, such as the mean square of the inputs
            that the column is multiplied with, for types with ``takes_importance``: ``(columns,)``,
            or of an array of several matrices ``(matrices, columns)``. Where no column of a matrix
            counts, it is stored as without importance.
        name: of the resulting tensor.
        out: uint8 array of the result's size to hold its blocks, instead of a new one.
        threads: at most this many; the default is all that the process may use.

    Raises:
        UnstorableError: a weight is too large for the type, or not finite where the type is
            quantized; it is the first such in the order of the rows.
        ImportanceError: ``importance`` has another shape, or a number in it is negative or not
            finite.
        ArgumentError: the rows are not whole blocks, the array holds other things than real
            numbers, ``out`` has another size, or ``threads`` is below 1.
        UnsupportedTypeError: the type cannot be written, or has no use for ``importance``.
    """
    target = types.get(type)
    thread_count(threads)
    text(name, "name")
    if isinstance(array, Tensor):
        source = array if not name else array.renamed(name)
    else:
        source = _float_tensor(as_numpy(array), target, name)
    counted = None
    if importance is not None:
        if not target.takes_importance:
            raise UnsupportedTypeError(f"rounding to {target} has no use for importance")
        counted = Importance.of(as_numpy(importance, "importance"), source.shape, source.name)
    return converted(source, target, out, threads, counted)


def _float_tensor(values: NDArray[Any], target: TensorType, name: str) -> Tensor:
    """The array as f16 or bf16 if it is that, else as f32; a view of it where it can be."""
    kind = {"float16": "f16", "bfloat16": "bf16"}.get(values.dtype.name, "f32")
    if kind == "f32":
        own: NDArray[Any] = as_floats(values, target.name, name)
    else:
        own = np.asarray(values, values.dtype.newbyteorder("="), order="C")
    return Tensor(kind, own.shape, own.reshape(-1).view(np.uint8), name)


def tensor_of(array: ArrayLike | Tensor, name: str = "") -> Tensor:
    """The array as a tensor of the type that has its dtype, without a copy where that is possible.

    Args:
        array: of float32, float16, ``ml_dtypes.bfloat16``, float64, or integers of 8 to 64 bits
            with a sign; a tensor is given back as it is.
        name: of the tensor.

    Raises:
        ArgumentTypeError: no type has the array's dtype, or it holds no real numbers.
    """
    if isinstance(array, Tensor):
        return array
    if str(getattr(array, "dtype", "")) == "torch.bfloat16":  # which numpy may not have
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
        ArgumentTypeError: ``tensor`` is none.
    """
    if not isinstance(tensor, Tensor):
        raise ArgumentTypeError(f"dequantize takes a Tensor, not {shown(tensor)}")
    return tensor.dequantize(dtype, out, threads)
