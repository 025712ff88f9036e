"""The scales in blocks: where each layout keeps them, and which are not finite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.io.block_fields import FIELDS, LEGACY_FIELDS
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Blocks = NDArray[np.uint8]
    Flags = NDArray[np.bool_]


def _iq1_m(blocks: Blocks) -> Flags:
    """Its scale lies in the top four bits of four 16-bit numbers."""
    parts = blocks[:, 48:56].copy().view("<u2") >> 12
    bits = parts[:, 0] | parts[:, 1] << 4 | parts[:, 2] << 8 | parts[:, 3] << 12
    flags: Flags = ~np.isfinite(bits.astype("<u2").view("<f2"))
    return flags


def _mxfp4(blocks: Blocks) -> Flags:
    """An exponent of all ones means NaN."""
    flags: Flags = blocks[:, 0] == 0xFF
    return flags


def _nvfp4(blocks: Blocks) -> Flags:
    """Its small floats have no infinity, and one pattern for NaN."""
    flags: Flags = ((blocks[:, :4] & 0x7F) == 0x7F).any(axis=1)
    return flags


_OWN_RULES: dict[str, Callable[[Blocks], Flags]] = {
    "iq1_m": _iq1_m,
    "mxfp4": _mxfp4,
    "nvfp4": _nvfp4,
}


def broken_blocks(part: Tensor) -> NDArray[np.intp]:
    """Numbers of the blocks of a flat tensor that have a scale or minimum which isn't finite."""
    blocks = part.data.reshape(-1, part.type.block_bytes)
    rule = _OWN_RULES.get(part.type.name)
    if rule is not None:
        return np.flatnonzero(rule(blocks))
    broken = np.zeros(len(blocks), np.bool_)
    for start, code in _scales(part.type):
        size = np.dtype(code).itemsize
        scales = blocks[:, start : start + size].copy().view(code)[:, 0]
        broken |= ~np.isfinite(scales)
    return np.flatnonzero(broken)


def _scales(type: TensorType) -> Iterator[tuple[int, str]]:
    """Offset and little-endian numpy code of each floating-point number in a block."""
    if type.is_quantized:  # the numbers of other types are the values
        for start, code in (FIELDS | LEGACY_FIELDS).get(type.name, ()):
            if code[0] == "f":
                yield start, "<" + code
