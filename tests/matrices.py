"""When products with quantized weights use bfloat16: on processors with AMX, for whole panels of
sixteen tokens. Otherwise activations are quantized to 8 bits per 32 elements."""

from __future__ import annotations

import numpy as np

import alternative_core  # noqa: F401
from ggmlkit import _core

HERE = _core.isa() == "amx"
HALF_STEP = 2.0**-8  # the largest rounding error, relative to the number


def multiplied(tokens: int) -> int:
    """How many of ``tokens`` tokens, the first ones, are multiplied in bfloat16."""
    return tokens // 16 * 16 if HERE else 0


def as_bfloat16(x: np.ndarray) -> np.ndarray:
    """The numbers rounded to bfloat16, ties away from zero; as float64."""
    bits = x.astype(np.float32).view(np.uint32)
    upper = (bits + np.uint32(0x8000)) & np.uint32(0xFFFF0000)
    return upper.view(np.float32).astype(np.float64)
