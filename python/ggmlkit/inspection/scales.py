"""The scales in blocks: where each layout keeps them, and which are not finite."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Blocks = NDArray[np.uint8]
    Flags = NDArray[np.bool_]

# (offset in the block, numpy code) of each floating-point number.
_HALF, _TWO_HALVES = ((0, "<f2"),), ((0, "<f2"), (2, "<f2"))
_FLOAT, _TWO_FLOATS = ((0, "<f4"),), ((0, "<f4"), (4, "<f4"))
_SCALES: dict[str, tuple[tuple[int, str], ...]] = {
    "q4_0": _HALF,
    "q4_1": _TWO_HALVES,
    "q5_0": _HALF,
    "q5_1": _TWO_HALVES,
    "q8_0": _HALF,
    "q8_1": _TWO_HALVES,
    "q4_0_v1": _FLOAT,
    "q4_1_v1": _TWO_FLOATS,
    "q5_0_v1": _HALF,
    "q5_1_v1": _TWO_HALVES,
    "q4_0_v2": _FLOAT,
    "q4_1_v2": _TWO_FLOATS,
    "q8_0_v2": _FLOAT,
    "q4_2": _HALF,
    "q4_3": _TWO_HALVES,
    "q2_K": ((80, "<f2"), (82, "<f2")),
    "q3_K": ((108, "<f2"),),
    "q4_K": _TWO_HALVES,
    "q5_K": _TWO_HALVES,
    "q6_K": ((208, "<f2"),),
    "q8_K": _FLOAT,
    "iq2_xxs": _HALF,
    "iq2_xs": _HALF,
    "iq3_xxs": _HALF,
    "iq1_s": _HALF,
    "iq4_nl": _HALF,
    "iq3_s": _HALF,
    "iq2_s": _HALF,
    "iq4_xs": _HALF,
    "tq1_0": ((52, "<f2"),),
    "tq2_0": ((64, "<f2"),),
    "q1_0": _HALF,
}


def _iq1_m(blocks: Blocks) -> Flags:
    """Its scale lies in the top four bits of four 16-bit numbers."""
    parts = blocks[:, 48:56].copy().view("<u2") >> 12
    bits = parts[:, 0] | parts[:, 1] << 4 | parts[:, 2] << 8 | parts[:, 3] << 12
    flags: Flags = ~np.isfinite(bits.astype("<u2").view("<f2"))
    return flags


def _mxfp4(blocks: Blocks) -> Flags:
    """Its exponent of all ones is no number."""
    flags: Flags = blocks[:, 0] == 0xFF
    return flags


def _nvfp4(blocks: Blocks) -> Flags:
    """Its small floats have no infinity, and one pattern that is no number."""
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
    for start, code in _SCALES.get(part.type.name, ()):
        size = np.dtype(code).itemsize
        scales = blocks[:, start : start + size].copy().view(code)[:, 0]
        broken |= ~np.isfinite(scales)
    return np.flatnonzero(broken)
