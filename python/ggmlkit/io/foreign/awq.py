"""AWQ's layouts of a linear layer: ``qweight``, ``qzeros``, ``scales``, four bits per integer.

"GEMM": ``qweight`` i32 ``(in, out / 8)`` packs eight neighbouring outputs in the order 0 2 4 6 1 3
5 7, and so does ``qzeros`` ``(groups, out / 8)``; ``scales`` are ``(groups, out)``. "GEMV":
``qweight`` ``(out, in / 8)`` packs neighbouring inputs in order, ``qzeros`` ``(out, width)``
neighbouring groups; ``scales`` are ``(out, 8 · width)``, unused beyond the last group. Groups are
consecutive inputs. Sources: modules/linear/gemm.py, gemv.py and utils/packing_utils.py of
AutoAWQ.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ggmlkit.errors import FormatError
from ggmlkit.io.foreign.group_quantized import Bytes, Grouped, Integers, check_parts, misfit
from ggmlkit.io.foreign.packed_integers import unpacked
from ggmlkit.tensor import Tensor

_BITS = 4
_PACKED = 8
# The place in a word of each of the eight outputs.
_PLACES = [0, 4, 1, 5, 2, 6, 3, 7]


def gemm_matrix(path: Path, name: str, parts: Mapping[str, Tensor], group_size: int) -> Grouped:
    """The matrix of a layer in the GEMM layout; a group size of −1 means one group.

    Raises FormatError if parts are missing or do not fit each other.
    """
    check_parts(path, name, parts)
    qweight, qzeros, scales = parts["qweight"], parts["qzeros"], parts["scales"]
    columns, words = qweight.shape
    rows = _PACKED * words
    size, groups = _grouping(path, name, columns, group_size)
    if qzeros.shape != (groups, words) or scales.shape != (groups, rows):
        raise misfit(path, name)

    def integers() -> Integers:
        packed = qweight.numpy().view(np.uint32)

        def read(first: int, end: int) -> Bytes:
            found = _in_order(packed[:, first // _PACKED : -(-end // _PACKED)])
            return np.ascontiguousarray(found.T)

        return read

    return Grouped(
        path=path,
        name=name,
        shape=(rows, columns),
        bits=_BITS,
        half=scales.type.name == "f16",
        integers=integers,
        scales=lambda: np.ascontiguousarray(scales.dequantize().T),
        zeros=lambda: _in_order(qzeros.numpy().view(np.uint32)).T.astype(np.int16),
        groups=lambda: np.arange(columns) // size,
        sources=tuple(parts.values()),
    )


def gemv_matrix(path: Path, name: str, parts: Mapping[str, Tensor], group_size: int) -> Grouped:
    """The matrix of a layer in the GEMV layout; a group size of −1 means one group.

    Raises FormatError if parts are missing or do not fit each other.
    """
    check_parts(path, name, parts)
    qweight, qzeros, scales = parts["qweight"], parts["qzeros"], parts["scales"]
    rows, words = qweight.shape
    columns = _PACKED * words
    size, groups = _grouping(path, name, columns, group_size)
    width = qzeros.shape[1]
    if qzeros.shape[0] != rows or scales.shape != (rows, _PACKED * width) or groups > 8 * width:
        raise misfit(path, name)

    def integers() -> Integers:
        packed = qweight.numpy().view(np.uint32)
        return lambda first, end: unpacked(packed[first:end], _BITS)

    def zeros() -> npt.NDArray[np.int16]:
        found = unpacked(qzeros.numpy().view(np.uint32), _BITS)
        return found[:, :groups].astype(np.int16)

    return Grouped(
        path=path,
        name=name,
        shape=(rows, columns),
        bits=_BITS,
        half=scales.type.name == "f16",
        integers=integers,
        scales=lambda: np.ascontiguousarray(scales.dequantize()[:, :groups]),
        zeros=zeros,
        groups=lambda: np.arange(columns) // size,
        sources=tuple(parts.values()),
    )


def _in_order(words: npt.NDArray[np.uint32]) -> Bytes:
    found = unpacked(words, _BITS)
    return found.reshape(len(words), -1, _PACKED)[:, :, _PLACES].reshape(len(words), -1)


def _grouping(path: Path, name: str, columns: int, group_size: int) -> tuple[int, int]:
    """The number of inputs in a group, and the number of groups."""
    size = columns if group_size <= 0 else group_size
    if size <= 0 or columns % size:
        raise FormatError(path, None, f"{columns} inputs of {name} are not a multiple of {size}")
    return size, columns // size
