"""The float16 scales of quantized blocks: apart from the codes, and put back.

Every value of a block is a sum of products of a scale and a whole number that the codes make:
d·(q - 8) in q4_0; d·(sc·q) - dmin·m in q4_K, where the 6-bit sc and m count as codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit import _core
from ggmlkit.io.block_fields import FIELDS
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.types import TensorType

    Bytes = NDArray[np.uint8]

# Some types multiply codes by eighths: with this scale, all factors are whole numbers.
_UNIT = 8
_GROUPS = (32, 16)  # weights that may share a factor, where a block does not
_INTEGERS = (np.int8, np.int16, np.int32)
_MOST = float(np.finfo(np.float16).max)
# Blocks whose factors are found at a time.
_PART = 1 << 15


@dataclass(frozen=True)
class Term:
    """A scale of each block, and what its codes multiply it by.

    Attributes:
        offset: of the scale in a block, in bytes.
        scales: float32 ``(rows, blocks)``.
        factors: whole numbers ``(rows, blocks, n)``; each counts for block_size / n weights.
        unit: a weight is factor / unit · scale.
    """

    offset: int
    scales: NDArray[np.float32]
    factors: NDArray[np.signedinteger]
    unit: int


def scale_offsets(type: TensorType) -> tuple[int, ...]:
    """Where a block has its float16 scales; empty if it has none, as in mxfp4."""
    fields = FIELDS.get(type.name, ())
    if not type.is_quantized or any(code.startswith("f4") for _, code in fields):
        return ()
    return tuple(offset for offset, code in fields if code == "f2")


def terms(tensor: Tensor) -> list[Term]:
    """The terms whose sum is a matrix; empty if its type has no float16 scales."""
    kind, columns = tensor.type, tensor.shape[-1]
    offsets = scale_offsets(kind)
    if not offsets:
        return []
    blocks = _blocks(tensor.data, kind)
    shape = (tensor.rows, columns // kind.block_size)
    return [
        Term(
            offset,
            _scales(blocks, offset).reshape(shape),
            *_factors(blocks, offsets, offset, kind, shape),
        )
        for offset in offsets
    ]


def with_scales(tensor: Tensor, scales: Sequence[NDArray[np.float32]]) -> Tensor:
    """The same codes with other scales, one array for each term; they are rounded to float16."""
    kind = tensor.type
    kept = [rounded_scales(each) for each in scales]

    def data() -> Bytes:
        out = tensor.data.copy()
        blocks = _blocks(out, kind)
        for offset, each in zip(scale_offsets(kind), kept, strict=True):
            blocks[:, offset : offset + 2] = each.reshape(-1, 1).view(np.uint8)
        return out

    return Tensor(kind, tensor.shape, data, tensor.name, [tensor])


def rounded_scales(scales: NDArray[np.float32]) -> NDArray[np.float16]:
    """Scales as a block stores them."""
    return np.clip(scales, -_MOST, _MOST).astype("<f2")


def _blocks(data: Bytes, kind: TensorType) -> Bytes:
    return data.reshape(-1, kind.block_bytes)


def _scales(blocks: Bytes, offset: int) -> NDArray[np.float32]:
    return np.ascontiguousarray(blocks[:, offset : offset + 2]).view("<f2").astype(np.float32)


def _factors(
    blocks: Bytes, offsets: Sequence[int], offset: int, kind: TensorType, shape: tuple[int, int]
) -> tuple[NDArray[np.signedinteger], int]:
    """A term's factors and their unit, as small as they can be stored."""
    parts = [
        _unit_values(blocks[begin : begin + _PART], offsets, offset, kind)
        for begin in range(0, len(blocks), _PART)
    ]
    unit = 1 if all((part % _UNIT == 0).all() for part in parts) else _UNIT
    parts = [part // (_UNIT // unit) for part in parts]
    size = kind.block_size
    for group in (size, *_GROUPS):
        if group <= size and all(_is_shared(part, group) for part in parts):
            parts = [part[:, ::group] for part in parts]
            break
    most = max(int(np.abs(part).max(initial=0)) for part in parts)
    kept = next(each for each in _INTEGERS if most <= np.iinfo(each).max)
    found = np.concatenate([part.astype(kept) for part in parts])
    return found.reshape(*shape, -1), unit


def _unit_values(
    blocks: Bytes, offsets: Sequence[int], offset: int, kind: TensorType
) -> NDArray[np.int32]:
    """The values of blocks where this scale is the unit, and the others are 0."""
    own = blocks.copy()
    for each in offsets:
        scale = np.array([_UNIT if each == offset else 0], "<f2")
        own[:, each : each + 2] = scale.view(np.uint8)
    values = np.empty((len(own), kind.block_size), np.float32)
    _core.dequantize(kind.index, own.reshape(-1), values.reshape(-1), 1)
    return values.astype(np.int32)


def _is_shared(factors: NDArray[np.int32], group: int) -> bool:
    runs = factors.reshape(-1, group)
    return bool((runs == runs[:, :1]).all())
