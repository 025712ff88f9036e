"""Finds the rows that an index selects, and where their bytes are."""

from __future__ import annotations

from math import prod
from operator import index as as_integer
from typing import TYPE_CHECKING, NamedTuple

from ggmlkit.arguments import shown
from ggmlkit.errors import ArgumentError, ArgumentTypeError, OutOfRangeError

if TYPE_CHECKING:
    from ggmlkit.types import TensorType


class Rows(NamedTuple):
    """Rows of a tensor along its first axis; elements, if it has one axis.

    Attributes:
        shape: of the result.
        unit: bytes of a row.
        start: offset in bytes of the row that is first in memory.
        nbytes: bytes from there to the end of the row that is last in memory.
        step: between rows, negative in reverse order.
    """

    shape: tuple[int, ...]
    unit: int
    start: int
    nbytes: int
    step: int


def rows_at(index: object, shape: tuple[int, ...], type: TensorType) -> Rows:
    """The rows that an int or a slice selects.

    Raises:
        OutOfRangeError: there is no such row.
        ArgumentError: the index cuts through blocks, or the step is 0.
        ArgumentTypeError: the index is neither, or the tensor has no axis.
    """
    if not shape:
        raise ArgumentTypeError("a tensor of shape () has no rows to index")
    if len(shape) == 1 and type.is_quantized:
        return _blocks_at(index, shape[0], type)
    inner = shape[1:]
    unit = type.row_bytes(inner[-1]) * prod(inner[:-1]) if inner else type.block_bytes
    if not isinstance(index, slice):
        return Rows(inner, unit, _checked(index, shape[0]) * unit, unit, 1)
    rows = _range(index, shape[0])
    if not rows:
        return Rows((0, *inner), unit, 0, 0, 1)
    first, last = min(rows[0], rows[-1]), max(rows[0], rows[-1])
    nbytes = (last + 1 - first) * unit
    return Rows((len(rows), *inner), unit, first * unit, nbytes, rows.step)


def check_count(indices: tuple[object, ...], shape: tuple[int, ...]) -> None:
    """OutOfRangeError if there are more indices than axes."""
    if len(indices) > len(shape):
        raise OutOfRangeError(f"{len(indices)} indices are too many for a tensor of shape {shape}")


def _blocks_at(index: object, size: int, type: TensorType) -> Rows:
    """Elements of a quantized row, which can only be selected in whole blocks."""
    rows = _range(index, size) if isinstance(index, slice) else range(0)
    block = type.block_size
    if not isinstance(index, slice) or rows.step != 1 or rows.start % block or len(rows) % block:
        raise ArgumentError(
            f"elements of {type} lie in blocks of {block}: take a slice from one multiple of "
            f"{block} to another, or dequantize() first"
        )
    unit = type.block_bytes
    return Rows((len(rows),), unit, rows.start // block * unit, len(rows) // block * unit, 1)


def _range(index: slice, size: int) -> range:
    try:
        return range(*index.indices(size))
    except TypeError:
        raise ArgumentTypeError("the bounds of a slice must be whole numbers") from None
    except ValueError:
        raise ArgumentError("the step of a slice of rows must not be 0") from None


def _checked(index: object, size: int) -> int:
    try:
        if isinstance(index, bool):  # numpy would take it for a mask
            raise TypeError
        row = as_integer(index)  # type: ignore[arg-type]
    except TypeError:
        raise ArgumentTypeError(
            f"an index must be a whole number or a slice, not {shown(index)}; "
            "dequantize() or numpy() gives an array"
        ) from None
    if not -size <= row < size:
        raise OutOfRangeError(f"row {row} is out of range for a tensor of {size} rows")
    return row % size
