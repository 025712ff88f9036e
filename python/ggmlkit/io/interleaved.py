"""Retired layouts of gguf files from 2024: interleaved rows of q4_0 or iq4_nl.

They were made for ARM. Four or eight consecutive rows form a group. For each block column, a group
has a record: the rows' float16 scales, in row order, then their nibble bytes in pieces of 4 or 8
bytes: the first piece of each row, the second of each, and so on. The upper bit of q4_0's nibbles
is flipped. Undoing this gives the plain type's blocks bit for bit; readers get these.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from ggmlkit import _core, types
from ggmlkit.io.base import ByteOrder
from ggmlkit.io.pages import release
from ggmlkit.io.writing.stream import Part, PartedTensor
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

# Bytes made at a time: few enough to stay in the cache until they are written.
_PART = 1 << 20


@dataclass(frozen=True)
class Interleaved:
    """A retired layout.

    Attributes:
        name: ggml's name for it.
        ggml_id: the number stored in files.
        plain: the type of its blocks.
        rows: rows of a group.
        piece: consecutive nibble bytes of one row.
        flipped: mask of the bits of each nibble byte that are stored inverted.
    """

    name: str
    ggml_id: int
    plain: TensorType
    rows: int
    piece: int
    flipped: int


def _layouts(plain: str, first_id: int, flipped: int) -> Iterator[Interleaved]:
    for number, (rows, piece) in enumerate(((4, 4), (4, 8), (8, 8))):
        name = f"{plain}_{rows}_{piece}"
        yield Interleaved(name, first_id + number, types.get(plain), rows, piece, flipped)


RETIRED: dict[int, Interleaved] = {
    layout.ggml_id: layout
    for layout in (*_layouts("q4_0", 31, flipped=0x88), *_layouts("iq4_nl", 36, flipped=0))
}
"""By the number stored in files."""

# `general.file_type` of each layout, and of its plain type. The iq4_nl layouts had no number.
_PLAIN_FILE_TYPES = {33: 2, 34: 2, 35: 2}
# Files can add 1000 times the version of the quantized layouts.
_FILE_TYPE_FACTOR = 1000


def plain_file_type(file_type: int) -> int:
    """The `general.file_type` of the same tensors in today's layouts."""
    kind = file_type % _FILE_TYPE_FACTOR
    return file_type - kind + _PLAIN_FILE_TYPES.get(kind, kind)


class InterleavedTensor(PartedTensor):
    """A tensor of the plain type; its rows are put in order when its data is read.

    Attributes:
        layout: the layout in the file.
    """

    __slots__ = ("layout",)

    layout: Interleaved

    @property
    def stored_as(self) -> str:
        """The name of the type in the file."""
        return self.layout.name


def check_groups(layout: Interleaved, shape: tuple[int, ...]) -> None:
    """Raise ValueError unless the rows of each matrix of a tensor form whole groups."""
    rows = shape[-2] if len(shape) > 1 else 1
    if rows % layout.rows and 0 not in shape:
        raise ValueError(
            f"{rows} rows are not a multiple of the {layout.rows} that {layout.name} interleaves"
        )


def in_row_order(
    stored: Tensor, layout: Interleaved, shape: tuple[int, ...], byte_order: ByteOrder
) -> InterleavedTensor:
    """A lazy tensor of plain blocks.

    Args:
        stored: a tensor of the bytes in the file.
        layout: the layout of these bytes.
        shape: of the result; its rows must form whole groups.
        byte_order: of the scales.
    """
    row_bytes = layout.plain.row_bytes(shape[-1])
    group_bytes = max(1, layout.rows * row_bytes)
    step = max(1, _PART // group_bytes) * group_bytes

    swapped = byte_order != sys.byteorder
    blocks = row_bytes // layout.plain.block_bytes

    def put_in_order(groups: Bytes, out: Bytes, _threads: int | None) -> None:
        _core.put_in_row_order(
            groups, out, layout.rows, layout.piece, layout.flipped, swapped, blocks
        )
        release(groups)

    def parts() -> Iterator[Part]:
        data = stored.data
        for start in range(0, data.size, step):
            groups = data[start : start + step]
            yield Part(groups.size, partial(put_in_order, groups))

    tensor = InterleavedTensor(layout.plain, shape, parts, stored.name, sources=[stored])
    tensor.layout = layout
    return tensor
