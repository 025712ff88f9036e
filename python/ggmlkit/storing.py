"""Converts weights from one type to another; every conversion goes through here.

If a scale is too large for its field, the block would hold infinities. Such weights are refused
here; the error has the tensor's name, the index and the value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit import _core, types
from ggmlkit.arguments import thread_count
from ggmlkit.errors import ConversionError, ImportanceError, UnstorableError, UnsupportedTypeError
from ggmlkit.types import TensorType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]
    Floats = NDArray[np.float32]

# Elements around a refused weight that are tried in other types: whole blocks of every type.
_TRIED = 256
# Importance values in this range are used as they are, bit for bit as in other programs. Larger or
# smaller ones are multiplied by a power of two first, so that sums of their products stay finite.
_LEAST, _MOST = 2.0**-40, 2.0**40


@dataclass(frozen=True)
class Importance:
    """The weight of an error in each column of a tensor, which is one or several matrices.

    Attributes:
        weights: float32 ``(matrices, columns)``.
        rows: the number of rows of each matrix.
    """

    weights: Floats
    rows: int

    @classmethod
    def of(cls, values: NDArray[Any], shape: tuple[int, ...], name: str = "") -> Importance:
        """From ``(columns,)``, or one row for each matrix, for a tensor of this shape.

        Raises ImportanceError if the shape differs, or a value is negative or not finite.
        """
        columns, rows = (shape[-1] if shape else 1), prod(shape[:-1])
        matrices = prod(shape[:-2]) if len(shape) > 2 else 1
        what = f"the importance of {name}" if name else "importance"
        wide = np.asarray(values, np.float64)
        in_one_row = matrices * columns  # as in imatrix.dat
        fitting = {(columns,), (in_one_row,), (1, columns), (1, in_one_row), (matrices, columns)}
        if wide.shape not in fitting:
            several = f" or {(matrices, columns)}" if matrices > 1 else ""
            raise ImportanceError(
                f"{what} has shape {wide.shape}, not {(columns,)}{several}: one for each column"
            )
        bad = np.flatnonzero(~(np.isfinite(wide) & (wide >= 0)))
        if bad.size:
            place = int(bad[0])
            raise ImportanceError(
                f"{what} must be finite and not negative, but is {wide.reshape(-1)[place]} at "
                f"{place}"
            )
        scaled = np.array([_in_range(row) for row in wide.reshape(-1, columns)], np.float32)
        scaled = scaled.reshape(-1, columns)
        return cls(scaled, rows // max(1, len(scaled)))

    def row_ranges(self, first: int, rows: int) -> Iterator[tuple[int, int, Floats | None]]:
        """Ranges of rows with the same weights: first row, end row (from ``first`` on), weights.

        The weights are None if all are 0: then the rows are stored as without importance.
        """
        row = first
        while row < first + rows:
            number = min(row // max(1, self.rows), len(self.weights) - 1)
            last = number == len(self.weights) - 1
            end = first + rows if last else min(first + rows, (number + 1) * self.rows)
            weights = self.weights[number]
            yield row - first, end - first, weights if weights.any() else None
            row = end


def _in_range(row: NDArray[np.float64]) -> NDArray[np.float64]:
    most = row.max(initial=0.0)
    if most == 0 or _LEAST <= most <= _MOST:
        return row
    scaled: NDArray[np.float64] = np.ldexp(row, -int(np.frexp(most)[1]))
    return scaled


def store(
    source: TensorType,
    data: Bytes,
    shape: tuple[int, ...],
    target: TensorType,
    out: Bytes,
    *,
    name: str = "",
    importance: Importance | None = None,
    whole: tuple[int, ...] | None = None,
    first_row: int = 0,
    threads: int | None = None,
) -> None:
    """Convert blocks of one type to another.

    Args:
        source: the type of the blocks.
        data: the blocks.
        shape: of the elements; ``(rows, columns)`` for a part of a tensor.
        target: the type to convert to.
        out: receives the new blocks.
        name: of the tensor, for errors.
        importance: of the whole tensor's columns.
        whole: shape of the whole tensor, if this is a part of one.
        first_row: the part's first row in the whole tensor.
        threads: the most to use.

    Raises:
        UnstorableError: ``target`` can't hold a weight; the error names the first in row order.
        UnsupportedTypeError: this build can't read ``source`` or write ``target``.
    """
    if not source.can_dequantize:
        raise UnsupportedTypeError(f"this build has no kernel to read {source}")
    if not target.can_quantize:
        raise UnsupportedTypeError(f"this build has no kernel to write {target}")
    columns, rows = (shape[-1] if shape else 1), prod(shape[:-1])
    if source.name == "f64":  # its kernel would make infinities
        wide = data.view(np.float64).reshape(shape)
        floats = as_floats(wide, target.name, name, whole, first_row * columns)
        source, data = types.get("f32"), floats.reshape(-1).view(np.uint8)
    count = thread_count(threads)
    ranges = [(0, rows, None)] if importance is None else importance.row_ranges(first_row, rows)
    in_row, out_row = source.row_bytes(columns), target.row_bytes(columns)
    for start, end, weights in ranges:
        read, made = data[start * in_row : end * in_row], out[start * out_row : end * out_row]
        if weights is None or not read.size:
            bad = _core.convert(source.index, read, target.index, made, count)
        else:
            bad = _core.convert_weighted(source.index, read, target.index, made, weights, count)
        if bad >= 0:
            place = place_of((first_row + start) * columns + bad, whole or shape)
            raise _unstorable(source, read, columns, target, bad, name, place)


def check_finite_halves(data: Bytes, shape: tuple[int, ...], name: str, first: int = 0) -> None:
    """Raise UnstorableError for the first float16 number that is not finite.

    Args:
        data: float16 numbers.
        shape: of the whole tensor.
        name: of the tensor.
        first: the index in the whole tensor of the first number.
    """
    bad = _core.first_not_finite_half(data)
    if bad >= 0:
        value = float(data.view(np.float16)[bad])
        raise UnstorableError(name, place_of(first + bad, shape), value, "f16", _WIDE_FLOATS)


# Types that can hold infinities and NaN, also in files.
_WIDE_FLOATS = ("f32", "bf16")


def place_of(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The index of element number ``flat`` in row order."""
    return tuple(int(i) for i in np.unravel_index(flat, shape or (1,)))


def as_floats(
    values: NDArray[Any],
    target: str,
    name: str = "",
    whole: tuple[int, ...] | None = None,
    first: int = 0,
) -> Floats:
    """The values as C-contiguous float32, for conversion to another type.

    Args:
        values: any numbers.
        target: the type, for errors.
        name: of the tensor, for errors.
        whole: shape of the whole tensor, if they are a part of one.
        first: the index in the whole tensor of the first value.

    Raises UnstorableError if a wider float is too large, ConversionError if an integer is too large
    for any float.
    """
    try:
        with np.errstate(over="ignore"):
            floats = np.asarray(values, np.float32, order="C")  # keeps a shape of ()
    except OverflowError:
        raise ConversionError(
            "the array holds a whole number that is too large for any float"
        ) from None
    if values.dtype.kind == "f" and values.dtype.itemsize > 4:
        infinite = np.flatnonzero(np.isinf(floats) & np.isfinite(values))
        if infinite.size:
            bad = int(infinite[0])
            value = float(values.reshape(-1)[bad])
            raise UnstorableError(name, place_of(first + bad, whole or values.shape), value, target)
    return floats


def check_finite(
    values: Floats, name: str, whole: tuple[int, ...] | None = None, first: int = 0
) -> None:
    """Raise UnstorableError for the first value that is not finite.

    Args:
        values: computed float32 values, such as sums, which can overflow.
        name: for errors, like ``whole`` and ``first`` of :func:`as_floats`.
    """
    finite = np.isfinite(values)
    if not finite.all():
        bad = int(np.argmin(finite))
        value = float(values.reshape(-1)[bad])
        raise UnstorableError(name, place_of(first + bad, whole or values.shape), value, "f32")


def _unstorable(
    source: TensorType,
    data: Bytes,
    columns: int,
    target: TensorType,
    bad: int,
    name: str,
    place: tuple[int, ...],
) -> UnstorableError:
    """The error for element ``bad`` of ``data``, which has index ``place`` in the whole tensor."""
    row, column = divmod(bad, columns)
    first = column // _TRIED * _TRIED
    neighbours = _floats(source, data, row * columns + first, min(_TRIED, columns - first))
    value = float(neighbours[column - first])
    holders: tuple[str, ...] = _WIDE_FLOATS
    if np.isfinite(value):
        holders = tuple(
            kind.name
            for kind in types.ALL
            if kind != target and columns % kind.block_size == 0 and _holds(kind, neighbours)
        )
    return UnstorableError(name, place, value, target.name, holders)


def _floats(source: TensorType, data: Bytes, start: int, count: int) -> Floats:
    """``count`` dequantized elements from ``start`` on, not necessarily whole blocks."""
    size = source.block_size
    first, end = start // size, -(-(start + count) // size)
    values = np.empty((end - first) * size, np.float32)
    step = source.block_bytes
    _core.dequantize(source.index, data[first * step : end * step], values, 1)
    return values[start - first * size :][:count]


def _holds(kind: TensorType, values: Floats) -> bool:
    if not kind.can_quantize or kind.generation != "gguf" or values.size % kind.block_size:
        return False
    out = np.empty(kind.row_bytes(values.size), np.uint8)
    own = np.ascontiguousarray(values).view(np.uint8)
    return _core.convert(types.get("f32").index, own, kind.index, out, 1) < 0
