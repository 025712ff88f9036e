"""Weights stored in another type: every conversion goes through here.

A block whose scale is too large for the type that stores it would hold infinities. Such weights are
refused here, by name, place and value.
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

# Elements beside a weight that are tried in other types: whole blocks of every type.
_TRIED = 256
# Importances between these are used as they are, to the bits of other programs. Greater or lesser
# ones are multiplied by a power of two first, so that sums of their products stay finite.
_LEAST, _MOST = 2.0**-40, 2.0**40


@dataclass(frozen=True)
class Importance:
    """How much an error in each column counts, of a tensor that is one or several matrices.

    Attributes:
        weights: float32 ``(matrices, columns)``.
        rows: of each matrix.
    """

    weights: Floats
    rows: int

    @classmethod
    def of(cls, values: NDArray[Any], shape: tuple[int, ...], name: str = "") -> Importance:
        """Of a tensor of this shape: ``(columns,)``, or a row for each of its matrices.

        Raises ImportanceError for another shape, and for what is negative or not finite.
        """
        columns, rows = (shape[-1] if shape else 1), prod(shape[:-1])
        matrices = prod(shape[:-2]) if len(shape) > 2 else 1
        what = f"the importance of {name}" if name else "importance"
        wide = np.asarray(values, np.float64)
        in_one_row = matrices * columns  # as imatrix.dat has them
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

    def runs(self, first: int, rows: int) -> Iterator[tuple[int, int, Floats | None]]:
        """First and end row, counted from ``first``, of some rows with the same weights.

        None where no column counts: these are stored as if nothing were known.
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
        source: their type.
        data: its blocks.
        shape: of the elements; of a part of a tensor ``(rows, columns)``.
        target: the type to store.
        out: room for its blocks.
        name: for errors.
        importance: of the whole tensor's columns.
        whole: shape of the tensor that this is a part of, if it is.
        first_row: of the part in that.
        threads: at most this many.

    Raises:
        UnstorableError: the first weight, in the order of the rows, that ``target`` can't hold.
        UnsupportedTypeError: this build can't read ``source`` or write ``target``.
    """
    if not source.can_dequantize:
        raise UnsupportedTypeError(f"this build has no kernel to read {source}")
    if not target.can_quantize:
        raise UnsupportedTypeError(f"this build has no kernel to write {target}")
    columns, rows = (shape[-1] if shape else 1), prod(shape[:-1])
    if source.name == "f64":  # whose kernel would make infinities
        wide = data.view(np.float64).reshape(shape)
        floats = as_floats(wide, target.name, name, whole, first_row * columns)
        source, data = types.get("f32"), floats.reshape(-1).view(np.uint8)
    count = thread_count(threads)
    runs = [(0, rows, None)] if importance is None else importance.runs(first_row, rows)
    in_row, out_row = source.row_bytes(columns), target.row_bytes(columns)
    for start, end, weights in runs:
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
        data: float16 numbers, from element ``first`` of the tensor on.
        shape: of the tensor.
        name: of the tensor.
        first: as above.
    """
    bad = _core.first_not_finite_half(data)
    if bad >= 0:
        value = float(data.view(np.float16)[bad])
        raise UnstorableError(name, place_of(first + bad, shape), value, "f16", _WIDE_FLOATS)


# What holds infinities and NaN, in files as well.
_WIDE_FLOATS = ("f32", "bf16")


def place_of(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The index of an element by its place in the order of the rows."""
    return tuple(int(i) for i in np.unravel_index(flat, shape or (1,)))


def as_floats(
    values: NDArray[Any],
    target: str,
    name: str = "",
    whole: tuple[int, ...] | None = None,
    first: int = 0,
) -> Floats:
    """The values in float32, C-contiguous, on their way to another type.

    Args:
        values: any numbers.
        target: the type, for errors.
        name: of the tensor, for errors.
        whole: shape of the tensor that they are a part of, if they are.
        first: element of that which they begin with.

    Raises UnstorableError where a wider float is too large, ConversionError for an integer that no
    float holds.
    """
    try:
        with np.errstate(over="ignore"):
            floats = np.asarray(values, np.float32, order="C")  # which keeps a shape of ()
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
    """Raise UnstorableError for the first value, of float32, that is not finite.

    Args:
        values: such as sums, which can be too large though nothing added was.
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
    """The error for element ``bad`` of whole rows, which has another place in the whole tensor."""
    row, column = divmod(bad, columns)
    first = column // _TRIED * _TRIED
    beside = _floats(source, data, row * columns + first, min(_TRIED, columns - first))
    value = float(beside[column - first])
    holders: tuple[str, ...] = _WIDE_FLOATS
    if np.isfinite(value):
        holders = tuple(
            kind.name
            for kind in types.ALL
            if kind != target and columns % kind.block_size == 0 and _holds(kind, beside)
        )
    return UnstorableError(name, place, value, target.name, holders)


def _floats(source: TensorType, data: Bytes, start: int, count: int) -> Floats:
    """Some elements, of blocks that begin before and end after them."""
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
