"""Matrices of small integers with a scale and a zero point for each group of columns.

GPTQ and AWQ store these: ``w = scale · (q − zero)``. With float16 scales, their reference
implementations multiply in float16, so the product is rounded to float16 here, too. With scales of
another type it is float32.

If no block has columns of two groups, some block types of ggml can hold the same integers: then
nothing is rounded except, for some types, the minimum ``−zero · scale`` to float16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ggmlkit import types
from ggmlkit.errors import FormatError
from ggmlkit.io.writing.stream import Part, PartedTensor
from ggmlkit.tensor import Tensor

Bytes = npt.NDArray[np.uint8]
Integers = Callable[[int, int], Bytes]

# Elements made at a time. Each range of rows starts at a multiple of eight, as AWQ packs them.
_ELEMENTS = 1 << 20
_ROWS = 8
_BLOCK = 32
_WORDS = ("i32",)
_FLOATS = ("f16", "bf16", "f32")
# Types that hold d · (q − zero): q − zero is at least −n and less than n.
_SIGNED = {"q4_0": 8, "q5_0": 16, "q8_0": 128}
# Types that hold d · q + m: the bits of q.
_OFFSET = {"q4_1": 4, "q5_1": 5}
_LAYOUTS: dict[str, list[Any]] = {
    "q4_0": [("d", "<f2"), ("low", "u1", 16)],
    "q4_1": [("d", "<f2"), ("m", "<f2"), ("low", "u1", 16)],
    "q5_0": [("d", "<f2"), ("high", "u1", 4), ("low", "u1", 16)],
    "q5_1": [("d", "<f2"), ("m", "<f2"), ("high", "u1", 4), ("low", "u1", 16)],
    "q8_0": [("d", "<f2"), ("q", "i1", 32)],
}


@dataclass(frozen=True)
class Grouped:
    """A matrix ``(rows, columns)``; rows are the outputs. Its parts are read on demand.

    Attributes:
        path: for errors.
        name: of the layer.
        shape: ``(rows, columns)``.
        bits: bits of an integer.
        half: whether the scales are float16.
        integers: reads the integers; returns a function of (first row, end row) that returns uint8
            ``(rows, columns)``. The first row must be a multiple of eight.
        scales: float32 ``(rows, groups)``.
        zeros: int16 ``(rows, groups)``.
        groups: the group of each column ``(columns,)``; not checked to exist.
        sources: the tensors that hold these parts.
    """

    path: Path
    name: str
    shape: tuple[int, int]
    bits: int
    half: bool
    integers: Callable[[], Integers]
    scales: Callable[[], npt.NDArray[np.float32]]
    zeros: Callable[[], npt.NDArray[np.int16]]
    groups: Callable[[], npt.NDArray[np.int64]]
    sources: tuple[Tensor, ...]

    def values(self) -> Tensor:
        """The weights, f16 or f32, computed on demand."""
        if self.half:
            return self._made("f16", partial(_write_values, dtype=np.float16))
        return self._made("f32", partial(_write_values, dtype=np.float32))

    def in_blocks(self, type: str) -> Tensor | None:
        """The weights in blocks with the same integers; None where ``type`` can't hold them."""
        rows, columns = self.shape
        if type not in _LAYOUTS or columns % _BLOCK or not rows:
            return None
        # Checked before the integers are read, as a conversion plans its output types first.
        groups = self._groups(self.scales().shape[1]).reshape(-1, _BLOCK)
        if (groups != groups[:, :1]).any() or not self._fits(type):
            return None
        return self._made(type, partial(_write_blocks, type=type))

    def _fits(self, type: str) -> bool:
        scales, zeros = self.scales(), self.zeros()
        with np.errstate(over="ignore"):
            rounded = scales.astype(np.float16)
            minima = (scales * zeros).astype(np.float16)
        if not np.isfinite(rounded).all() or (rounded != scales).any():
            return False
        if type in _OFFSET:
            return self.bits <= _OFFSET[type] and bool(np.isfinite(minima).all())
        least = _SIGNED[type]
        greatest = (1 << self.bits) - 1 - int(zeros.min())
        return int(zeros.max()) <= least and greatest < least

    def _groups(self, count: int) -> npt.NDArray[np.int64]:
        groups = self.groups()
        if groups.size and not 0 <= groups.min() <= groups.max() < count:
            raise FormatError(self.path, None, f"{self.name} names a group that doesn't exist")
        return groups

    def _made(self, type: str, write: Callable[[_Read, int, int], npt.NDArray[Any]]) -> Tensor:
        kind = types.get(type)
        rows, columns = self.shape
        row_bytes = kind.row_bytes(columns)
        step = max(_ROWS, _ELEMENTS // max(1, columns) // _ROWS * _ROWS)

        def parts() -> Iterator[Part]:
            scales = self.scales()
            groups = self._groups(scales.shape[1])
            read = _Read(self.bits, self.integers(), scales, self.zeros(), groups)
            for first in range(0, rows, step):
                end = min(first + step, rows)
                yield Part((end - first) * row_bytes, _maker(write, read, first, end))

        name = f"{self.name}.weight"
        return PartedTensor(kind, self.shape, parts, name, sources=self.sources)


def check_parts(path: Path, name: str, parts: Mapping[str, Tensor]) -> None:
    """Raise FormatError unless ``qweight``, ``qzeros`` and ``scales`` exist with valid types."""
    for part, kinds in (("qweight", _WORDS), ("qzeros", _WORDS), ("scales", _FLOATS)):
        if part not in parts:
            raise FormatError(path, None, f"there is no {name}.{part}")
        tensor = parts[part]
        if tensor.type.name not in kinds or len(tensor.shape) != 2 or not tensor.size:
            raise FormatError(path, None, f"{name}.{part} is {tensor.type} of shape {tensor.shape}")


def misfit(path: Path, name: str) -> FormatError:
    """The error for a layer whose parts have shapes that don't fit each other."""
    return FormatError(path, None, f"the shapes of {name}'s parts do not fit each other")


@dataclass(frozen=True)
class _Read:
    """The parts of a matrix, in memory."""

    bits: int
    integers: Integers
    scales: npt.NDArray[np.float32]
    zeros: npt.NDArray[np.int16]
    groups: npt.NDArray[np.int64]


def _maker(
    write: Callable[[_Read, int, int], npt.NDArray[Any]], read: _Read, first: int, end: int
) -> Callable[[Bytes, int | None], None]:
    def make(out: Bytes, _threads: int | None) -> None:
        out[:] = write(read, first, end).reshape(-1).view(np.uint8)

    return make


def _write_values(read: _Read, first: int, end: int, dtype: type[Any]) -> npt.NDArray[Any]:
    zeros, scales = read.zeros[first:end], read.scales[first:end]
    groups, levels = scales.shape[1], 1 << read.bits
    if groups * levels > read.groups.size:
        columns = read.groups
        return _product(read.integers(first, end) - zeros[:, columns], scales[:, columns], dtype)
    # A group has few different values: each is computed once, then looked up.
    steps = np.arange(levels, dtype=np.int16) - zeros[:, :, None]
    table = _product(steps, scales[:, :, None], dtype).reshape(-1)
    place = read.integers(first, end) + (read.groups * levels).astype(np.int32)
    place += np.arange(end - first, dtype=np.int32)[:, None] * (groups * levels)
    return table.take(place)


def _product(
    steps: npt.NDArray[np.int16], scales: npt.NDArray[np.float32], dtype: type[Any]
) -> npt.NDArray[Any]:
    """Products, rounded once: float32 holds 9 bits times the 11 bits of a float16 exactly."""
    with np.errstate(over="ignore", invalid="ignore"):  # stored infinities stay infinities
        return (steps.astype(np.float32) * scales).astype(dtype)


def _write_blocks(read: _Read, first: int, end: int, type: str) -> npt.NDArray[Any]:
    groups = read.groups[::_BLOCK]
    scales, zeros = read.scales[first:end][:, groups], read.zeros[first:end][:, groups]
    integers = read.integers(first, end).reshape(end - first, -1, _BLOCK)
    blocks = np.empty(scales.shape, _LAYOUTS[type])
    blocks["d"] = scales
    if type in _OFFSET:
        blocks["m"] = -(zeros * scales)
    else:
        steps = integers - zeros[:, :, None]
        if type == "q8_0":
            blocks["q"] = steps
            return blocks
        integers = (steps + _SIGNED[type]).astype(np.uint8)
    half = _BLOCK // 2
    blocks["low"] = integers[:, :, :half] & 15 | integers[:, :, half:] << 4
    if "high" in (blocks.dtype.names or ()):
        blocks["high"] = np.packbits(integers >> 4, axis=2, bitorder="little")
    return blocks
