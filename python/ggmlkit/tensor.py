"""Tensor: block bytes with a type and a shape, loaded on demand."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from math import prod
from operator import index as as_integer
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from ggmlkit import _core, dtypes, types
from ggmlkit.arguments import shown, tensor_called, thread_count
from ggmlkit.array_protocols import ArrayProtocols, Origin
from ggmlkit.errors import ArgumentError, ArgumentTypeError, UnsupportedTypeError
from ggmlkit.products import Transposed
from ggmlkit.row_index import check_count, rows_at
from ggmlkit.storing import Importance, store
from ggmlkit.types import TensorType

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray

    Bytes = NDArray[np.uint8]
    Data = Bytes | Callable[[], Bytes]

    _Scalar = TypeVar("_Scalar", bound=np.generic)
    _DtypeOf = type[_Scalar] | np.dtype[_Scalar]
_FLOAT32 = np.dtype(np.float32)


class Tensor(ArrayProtocols):
    """The bytes of blocks, with a type and a shape.

    numpy and torch read it as an array of its values (``np.asarray``, ``torch.from_dlpack``).
    ``tensor[3]`` and ``tensor[10:20]`` are tensors of the same type that read only these rows.
    A file's tensor is pickled as the file's path and the tensor's name; other tensors, such as
    those from :meth:`in_memory`, are pickled with their bytes.

    Args:
        type: a :class:`TensorType` or its name.
        shape: numpy order, outermost first; the last size is the row length.
        data: uint8 array ``(nbytes,)``, ``bytes``, or a function that returns such an array. A
            function is called for each use and its result is not kept, so a model of lazy tensors
            uses no memory.
        name: its name in the file.
        sources: tensors that the data is computed from; see :meth:`check`.

    Raises:
        ArgumentError: the shape does not consist of whole blocks, or the data has another size.
    """

    __slots__ = ("_data", "name", "origin", "shape", "sources", "type")

    def __init__(
        self,
        type: str | TensorType,
        shape: tuple[int, ...],
        data: Data | bytes,
        name: str = "",
        sources: Iterable[Tensor] = (),
    ) -> None:
        self.sources: tuple[Tensor, ...] = tuple(sources)
        self.type: TensorType = types.get(type)
        self.name: str = name
        self.shape: tuple[int, ...] = _checked_shape(shape, name)
        self.type.row_bytes(self.shape[-1] if self.shape else 1)
        self.origin: Origin | None = None
        self._data: Data
        if callable(data):
            self._data = data
        else:
            self._data = self._checked(data)

    def _checked(self, data: object) -> Bytes:
        if isinstance(data, (bytes, bytearray, memoryview)):
            data = np.frombuffer(data, np.uint8)
        what = tensor_called(self.name)
        if not isinstance(data, np.ndarray):
            raise ArgumentTypeError(f"data of {what} must be an array of uint8, not {shown(data)}")
        if data.dtype != np.uint8 or data.ndim != 1 or not data.flags.c_contiguous:
            raise ArgumentError(f"data of {what} must be one contiguous row of uint8")
        if data.size != self.nbytes:
            raise ArgumentError(
                f"{what} of type {self.type} and shape {self.shape} needs {self.nbytes} bytes, "
                f"not {data.size}"
            )
        return data

    # ------------------------------------------------------------- properties

    @property
    def stored_as(self) -> str:
        """The name of the type in the file: differs from ``type`` for a retired layout."""
        return self.type.name

    @property
    def dtype(self) -> np.dtype[Any]:
        """The numpy dtype of the values, as ``np.asarray`` returns them.

        It is the type's own for plain numbers (bf16: ``ml_dtypes.bfloat16``), and float32 for
        quantized types.

        Raises:
            UnsupportedTypeError: the type is bf16 and ml_dtypes is not installed, or the type is
                not known.
        """
        self._check_known()
        return dtypes.dtype_of(self.type.name, self.name) if self._is_plain else _FLOAT32

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

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
        """Number of rows: the product of all sizes except the last."""
        return prod(self.shape[:-1])

    # ---------------------------------------------------------------- the data

    @property
    def data(self) -> Bytes:
        """The block bytes, uint8 ``(nbytes,)``; a view of the file if it is mapped."""
        if callable(self._data):
            data = self._checked(self._data())
            for source in self.sources:  # computing the data has read them
                source.check()
            return data
        return self._data

    def renamed(self, name: str) -> Tensor:
        """The same data, as lazy as before, under another name."""
        other = self.__copy__()
        other.name = name
        return other

    def in_memory(self) -> Tensor:
        """This tensor with its data in memory; the tensor itself if it is there already.

        Raises:
            FormatError: its file was cut short while it was open.
        """
        if not callable(self._data):
            return self
        data = self.data.copy()
        self.check()
        return Tensor(self.type, self.shape, data, self.name)

    def check(self) -> None:
        """Check, after reading the data, that the file had all of it.

        Raises:
            FormatError: its file was cut short while it was open.
        """
        check = getattr(self._data, "check", None)
        if check is not None:
            check()
        for source in self.sources:
            source.check()

    # --------------------------------------------------------------- its values

    def numpy(self) -> NDArray[Any]:
        """A view in the type's own dtype; bf16's is ``ml_dtypes.bfloat16``.

        If the file is mapped, the view is read-only.

        Raises:
            UnsupportedTypeError: the type is quantized, use :meth:`dequantize`; or it is bf16 and
                ml_dtypes is not installed.
        """
        self._check_known()
        dtype = dtypes.dtype_of(self.type.name, self.name)
        return self.data.view(dtype).reshape(self.shape)

    @overload
    def dequantize(self, *, threads: int | None = None) -> NDArray[np.float32]: ...
    @overload
    def dequantize(
        self,
        dtype: _DtypeOf[_Scalar],
        out: None = None,
        threads: int | None = None,
    ) -> NDArray[_Scalar]: ...
    @overload
    def dequantize(
        self, *, out: NDArray[_Scalar], threads: int | None = None
    ) -> NDArray[_Scalar]: ...
    @overload
    def dequantize(
        self,
        dtype: DTypeLike = ...,
        out: NDArray[Any] | None = None,
        threads: int | None = None,
    ) -> NDArray[Any]: ...
    def dequantize(
        self,
        dtype: DTypeLike = np.float32,
        out: NDArray[Any] | None = None,
        threads: int | None = None,
    ) -> NDArray[Any]:
        """The values, of shape ``self.shape``.

        Args:
            dtype: of the result; with ``out``, leave it out or give that of ``out``. ``"f16"``,
                ``"bf16"`` and the like are the types of these names. Only tensors of integers can
                give integers.
            out: array of the same shape for the result; fastest if float32 and C-contiguous.
            threads: the most to use; the default is all that the process may use.

        Raises:
            UnsupportedTypeError: this build has no kernel for the type.
            ArgumentError: ``out`` has another shape or dtype or can't be written, ``threads`` is
                below 1, or ``dtype`` is not a numpy dtype of real numbers.
        """
        self._check_known()
        count = thread_count(threads)
        if out is not None:
            wanted = dtypes.dtype_of_out(out, self.shape, dtype, self.type.name)
        else:
            wanted = (
                _FLOAT32 if dtype is np.float32 else dtypes.checked_dtype(dtype, self.type.name)
            )
        if wanted is not _FLOAT32 and wanted != _FLOAT32 and self._is_plain:
            found = self._plain_values(wanted, out)
            self.check()
            return found
        direct = out is not None and wanted == _FLOAT32 and out.flags.c_contiguous
        values = out if direct and out is not None else np.empty(self.shape, np.float32)
        if self.type.can_dequantize:
            _core.dequantize(self.type.index, self.data, values.reshape(-1), count)
        elif self.type.is_quantized:
            raise UnsupportedTypeError(f"this build has no kernel to read {self.type}")
        else:
            values[...] = self.numpy()
        self.check()
        if out is not None and not direct:
            out[...] = values
            return out
        return values if out is not None else values.astype(wanted, copy=False)

    def _plain_values(self, wanted: np.dtype[Any], out: NDArray[Any] | None) -> NDArray[Any]:
        """Plain numbers in another dtype than float32, perhaps with fewer digits."""
        with np.errstate(over="ignore"):
            if out is None:
                return self.numpy().astype(wanted)
            np.copyto(out, self.numpy(), casting="unsafe")
        return out

    def astype(
        self,
        type: str | TensorType,
        *,
        out: Bytes | None = None,
        threads: int | None = None,
    ) -> Tensor:
        """This tensor in another type, computed at once; the tensor itself if the type is the same.

        Args:
            type: the type to convert to.
            out: uint8 array of the result's size for its blocks, instead of a new one.
            threads: the most to use; the default is all that the process may use.

        Raises:
            UnstorableError: the type can't hold a value; the error has its index.
            UnsupportedTypeError: this build can't read the old type or write the new one.
            ArgumentError: ``threads`` is below 1, or ``out`` has another size.
        """
        self._check_known()
        thread_count(threads)
        target = types.get(type)
        if target == self.type and out is None:
            return self
        return converted(self, target, out, threads)

    @property
    def T(self) -> Transposed:
        """For ``x @ tensor.T``: the quantized matrix product."""
        self._check_known()
        return Transposed(self)

    def _check_known(self) -> None:
        """Raise UnsupportedTypeError if the type is not known; never for an ordinary tensor."""

    # ------------------------------------------------------------------- rows

    def __len__(self) -> int:
        if not self.shape:
            raise ArgumentTypeError("a tensor of shape () has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[row] for row in range(len(self)))

    def __getitem__(self, index: int | slice | tuple[int | slice, ...]) -> Tensor:
        """Rows along the first axis as a tensor of the same type; ``[i, j:k]`` for more axes.

        Only these rows are read, in whole blocks. Data in memory is not copied, unless a slice has
        a step.

        Raises:
            OutOfRangeError: there is no such row.
            ArgumentError: the index cuts through blocks.
        """
        self._check_known()
        if isinstance(index, tuple):
            return self._at(index)
        rows = rows_at(index, self.shape, self.type)
        data = self._part(rows.start, rows.nbytes)
        sources: tuple[Tensor, ...] = (
            (self,) if callable(data) and not hasattr(data, "check") else ()
        )
        if rows.step != 1:
            data, sources = _spread(Tensor("i8", (rows.nbytes,), data, self.name, sources), rows)
        taken = Tensor(self.type, rows.shape, data, self.name, sources)
        if self.origin is not None:
            taken.origin = self.origin.taking(index)
        return taken

    def _at(self, indices: tuple[int | slice, ...]) -> Tensor:
        check_count(indices, self.shape)
        taken = self
        for place, index in enumerate(indices):
            if place and isinstance(indices[place - 1], slice):
                raise ArgumentError(
                    "only the last index can be a slice: take rows first, or dequantize()"
                )
            taken = taken[index]
        return taken

    def _part(self, start: int, nbytes: int) -> Data:
        """A range of the data; a function that can return parts reads only that range."""
        data = self._data
        if not callable(data):
            return data[start : start + nbytes]
        part: Callable[[int, int], Callable[[], Bytes]] | None = getattr(data, "part", None)
        return part(start, nbytes) if part else lambda: self.data[start : start + nbytes]

    # --------------------------------------------------------- copies, pickles

    def __copy__(self) -> Tensor:
        other: Tensor = object.__new__(type(self))
        for kind in type(self).__mro__:
            for slot in getattr(kind, "__slots__", ()):
                if hasattr(self, slot):
                    setattr(other, slot, getattr(self, slot))
        return other

    def __deepcopy__(self, _memo: object) -> Tensor:
        other = self.__copy__()
        if not callable(self._data):  # a function's data is never changed
            other._data = self._data.copy()
        return other

    def __reduce__(self) -> tuple[Any, ...]:
        if self.origin is not None:
            return _loaded, (self.origin, self.name, self.type.name, self.shape)
        self._check_known()
        own = self.in_memory()
        return _restored, (self.type.name, self.shape, own._data, self.name)


def _checked_shape(shape: tuple[int, ...], name: str) -> tuple[int, ...]:
    try:
        found = tuple(map(as_integer, shape))
    except TypeError:
        raise ArgumentTypeError(
            f"the shape of {tensor_called(name)} must be a tuple of whole numbers, not "
            f"{shape!r:.80}"
        ) from None
    if found and min(found) < 0:
        raise ArgumentError(f"{tensor_called(name)} has a negative size in its shape {found}")
    return found


def _spread(between: Tensor, rows: Any) -> tuple[Data, tuple[Tensor, ...]]:
    """Data of rows with a step between them, and the tensors that it is computed from."""

    def data() -> Bytes:
        chosen = between.data.reshape(-1, rows.unit)[:: rows.step]
        return np.ascontiguousarray(chosen).reshape(-1)

    return (data, (between,)) if callable(between._data) else (data(), ())


def _loaded(origin: Origin, name: str, type_name: str, shape: tuple[int, ...]) -> Tensor:
    """Unpickles the tensor of a file."""
    tensor: Tensor = origin.load()
    if (tensor.type.name, tensor.shape) != (type_name, shape):
        raise ArgumentError(
            f"{origin.path}: tensor {tensor.name!r} was {type_name} of shape {shape} when it was "
            f"pickled, but is {tensor.type} of shape {tensor.shape} now"
        )
    return tensor if tensor.name == name else tensor.renamed(name)


def _restored(type_name: str, shape: tuple[int, ...], data: Bytes, name: str) -> Tensor:
    """Unpickles a tensor with its bytes."""
    return Tensor(type_name, shape, data, name)


def converted(
    source: Tensor,
    target: TensorType,
    out: Bytes | None = None,
    threads: int | None = None,
    importance: Importance | None = None,
) -> Tensor:
    """The tensor in another type; see :meth:`Tensor.astype`."""
    if not target.can_quantize:
        raise UnsupportedTypeError(f"this build has no kernel to write {target}")
    nbytes = source.rows * target.row_bytes(source.shape[-1] if source.shape else 1)
    if isinstance(out, np.ndarray) and not out.flags.writeable:
        raise ArgumentError("out is read-only")
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
