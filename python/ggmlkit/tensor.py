"""Tensor: block bytes with a type and a shape, loaded only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from copy import copy
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit import _core, types
from ggmlkit.arrays import as_numpy
from ggmlkit.errors import UnsupportedTypeError
from ggmlkit.products import Transposed
from ggmlkit.storing import Importance, as_floats, store
from ggmlkit.types import TensorType

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike, NDArray

    Bytes = NDArray[np.uint8]

_NUMPY_DTYPES = {
    "f32": np.float32,
    "f16": np.float16,
    "f64": np.float64,
    "bf16": np.uint16,  # numpy has no bfloat16: the bits
    "i8": np.int8,
    "i16": np.int16,
    "i32": np.int32,
    "i64": np.int64,
}


class Tensor:
    """A typed, shaped run of block bytes.

    Args:
        type: a :class:`TensorType` or its name.
        shape: numpy order, outermost first; the last size is the row length.
        data: uint8 array ``(nbytes,)``, or a function returning one. A function is called at
            each use and its result is never kept, so a model of lazy tensors costs no memory.
        name: what the file calls it.
        sources: tensors that the data is computed from; see :meth:`check`.

    Raises:
        ValueError: the shape does not consist of whole blocks, or the data has another size.
    """

    __slots__ = ("_data", "name", "shape", "sources", "type")

    def __init__(
        self,
        type: str | TensorType,
        shape: tuple[int, ...],
        data: Bytes | Callable[[], Bytes],
        name: str = "",
        sources: Iterable[Tensor] = (),
    ) -> None:
        self.sources = tuple(sources)
        self.type = types.get(type)
        self.shape = tuple(int(n) for n in shape)
        self.name = name
        if any(n < 0 for n in self.shape):
            raise ValueError(f"tensor {name!r} has a negative size in its shape {self.shape}")
        self.type.row_bytes(self.shape[-1] if self.shape else 1)
        self._data = data
        if not callable(data):
            self._check(data)

    def _check(self, data: Bytes) -> None:
        if data.dtype != np.uint8 or data.ndim != 1 or not data.flags.c_contiguous:
            raise ValueError(f"data of tensor {self.name!r} must be one contiguous row of uint8")
        if data.size != self.nbytes:
            raise ValueError(
                f"tensor {self.name!r} of type {self.type} and shape {self.shape} takes "
                f"{self.nbytes} bytes, not {data.size}"
            )

    @property
    def stored_as(self) -> str:
        """What the file calls its type: the type's name, but of a retired layout its own."""
        return self.type.name

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all blocks."""
        return self.size // self.type.block_size * self.type.block_bytes

    @property
    def rows(self) -> int:
        """Number of rows: all sizes but the last, multiplied."""
        return prod(self.shape[:-1])

    @property
    def data(self) -> Bytes:
        """The block bytes, uint8 ``(nbytes,)``; a view of the file where it is mapped."""
        if callable(self._data):
            data = self._data()
            self._check(data)
            for source in self.sources:  # what is computed has been read
                source.check()
            return data
        return self._data

    def renamed(self, name: str) -> Tensor:
        """The same data, as lazy as before, under another name."""
        other = copy(self)
        other.name = name
        return other

    def check(self) -> None:
        """Ask, after the data was read, whether all of it was there.

        Raises:
            FormatError: the file that it comes from was cut short while it was open.
        """
        check = getattr(self._data, "check", None)
        if check is not None:
            check()
        for source in self.sources:
            source.check()

    def numpy(self) -> NDArray[Any]:
        """A view in the type's own dtype (bf16: its bits as uint16).

        Raises:
            UnsupportedTypeError: the type is quantized; use :meth:`dequantize`.
        """
        self._check_known()
        dtype = _NUMPY_DTYPES.get(self.type.name)
        if dtype is None:
            raise UnsupportedTypeError(
                f"tensor {self.name!r} is {self.type}, which numpy has no dtype for; dequantize it"
            )
        return self.data.view(dtype).reshape(self.shape)

    def dequantize(
        self,
        dtype: DTypeLike = np.float32,
        out: NDArray[Any] | None = None,
        threads: int | None = None,
    ) -> NDArray[Any]:
        """The values, shape ``self.shape``.

        Args:
            dtype: of the result, when ``out`` is not given.
            out: array of the right shape to fill; float32 and C-contiguous is fastest.
            threads: at most this many; the default is all that the process may use.

        Raises:
            UnsupportedTypeError: this build has no kernel for the type.
            ValueError: ``out`` has another shape.
        """
        self._check_known()
        if out is not None and out.shape != self.shape:
            raise ValueError(f"out has shape {out.shape}, the tensor {self.shape}")
        direct = out is not None and out.dtype == np.float32 and out.flags.c_contiguous
        values = out if direct and out is not None else np.empty(self.shape, np.float32)
        if not self.type.can_dequantize:
            if self.type.is_quantized:
                raise UnsupportedTypeError(f"this build has no kernel to read {self.type}")
            values[...] = self.numpy()
        else:
            _core.dequantize(self.type.index, self.data, values.reshape(-1), threads or 0)
        self.check()
        if out is not None and not direct:
            out[...] = values
            return out
        return values if out is not None else values.astype(dtype, copy=False)

    def astype(
        self,
        type: str | TensorType,
        *,
        out: Bytes | None = None,
        threads: int | None = None,
    ) -> Tensor:
        """This tensor in another type, computed now; itself when the type is the same.

        Args:
            type: to convert to.
            out: uint8 array of the result's size to hold its blocks, instead of a new one.
            threads: at most this many; the default is all that the process may use.

        Raises:
            UnstorableError: the type can't hold a value, which is named with its index.
            UnsupportedTypeError: this build can't read the one type or write the other.
        """
        self._check_known()
        target = types.get(type)
        if target == self.type and out is None:
            return self
        return _converted(self, target, out, threads)

    @property
    def T(self) -> Transposed:
        """For ``x @ tensor.T``: the quantized matrix product."""
        self._check_known()
        return Transposed(self)

    def _check_known(self) -> None:
        """Raise UnsupportedTypeError where nobody knows the values, as of no ordinary tensor."""

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        return self.dequantize(dtype or np.float32)

    def __repr__(self) -> str:
        name = f"{self.name!r}, " if self.name else ""
        return f"Tensor({name}{self.type}, {self.shape})"


def quantize(
    array: ArrayLike,
    type: str | TensorType,
    *,
    importance: ArrayLike | None = None,
    name: str = "",
    out: Bytes | None = None,
    threads: int | None = None,
) -> Tensor:
    """Round an array to ``type``, with the reference arithmetic, bit for bit.

    Args:
        array: anything numpy can see as numbers (float32, float16, ml_dtypes, torch, lists), any
            strides; the last axis holds the rows. Contiguous float32, float16 and bfloat16 are
            read where they are.
        type: a type this build can write (``gk.types.ALL``, ``can_quantize``).
        importance: how much an error in each column counts, such as the mean square of the inputs
            that column meets, for types with ``takes_importance``: ``(columns,)``, or of an array
            of several matrices ``(matrices, columns)``. Where no column of a matrix counts, it is
            stored as without importance.
        name: of the resulting tensor.
        out: uint8 array of the result's size to hold its blocks, instead of a new one.
        threads: at most this many.

    Raises:
        UnstorableError: a weight is too large for the type, or a quantized type shall hold one
            that is not finite; it is the first such in the order of the rows.
        ImportanceError: ``importance`` has another shape, or a number in it is negative or not
            finite.
        ValueError: the rows are not whole blocks, or ``out`` has another size. The errors above
            are ValueErrors too.
        UnsupportedTypeError: the type cannot be written, or has no use for ``importance``.
    """
    target = types.get(type)
    if isinstance(array, Tensor):
        source = array if not name else array.renamed(name)
    else:
        source = _float_tensor(as_numpy(array), target, name)
    counted = None
    if importance is not None:
        if not target.takes_importance:
            raise UnsupportedTypeError(f"rounding to {target} has no use for importance")
        counted = Importance.of(as_numpy(importance), source.shape, source.name)
    return _converted(source, target, out, threads, counted)


def _float_tensor(values: NDArray[Any], target: TensorType, name: str) -> Tensor:
    """The array as f16 or bf16 if it is that, else as f32; a view of it where it can be."""
    kind = {"float16": "f16", "bfloat16": "bf16"}.get(values.dtype.name, "f32")
    own = as_floats(values, target.name, name) if kind == "f32" else np.ascontiguousarray(values)
    return Tensor(kind, own.shape, own.reshape(-1).view(np.uint8), name)


def _converted(
    source: Tensor,
    target: TensorType,
    out: Bytes | None,
    threads: int | None,
    importance: Importance | None = None,
) -> Tensor:
    if not target.can_quantize:
        raise UnsupportedTypeError(f"this build has no kernel to write {target}")
    nbytes = source.rows * target.row_bytes(source.shape[-1] if source.shape else 1)
    result = Tensor(
        target, source.shape, np.empty(nbytes, np.uint8) if out is None else out, source.name
    )
    store(
        source.type,
        source.data,
        source.shape,
        target,
        result.data,
        name=source.name,
        importance=importance,
        threads=threads,
    )
    source.check()
    return result


def dequantize(tensor: Tensor, dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """The values of a tensor; the same as :meth:`Tensor.dequantize`."""
    return tensor.dequantize(dtype)
