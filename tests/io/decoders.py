"""Decodes every generation's block layouts in plain numpy, from the formats' descriptions.

It is an oracle: it shares no code with the library.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]


def decode(type_name: str, data: Bytes, shape: tuple[int, ...]) -> Floats:
    """Values of block bytes as float32 of ``shape``."""
    if type_name in ("f32", "f16"):
        return data.view({"f32": "<f4", "f16": "<f2"}[type_name]).astype(np.float32).reshape(shape)
    scale, has_minimum, bits, neighbours = _LAYOUTS[type_name]
    per_block = 16 if type_name in ("q4_2", "q4_3") else 32
    width = np.dtype(scale).itemsize
    head = width * (1 + has_minimum) + (4 if bits == 5 else 0)
    blocks = data.reshape(-1, head + (per_block if bits == 8 else per_block // 2))
    d = _scales(blocks, 0, scale)
    if bits == 8:
        return (d * blocks[:, head:].view(np.int8)).astype(np.float32).reshape(shape)
    q = _nibbles(blocks[:, head:], neighbours)
    if bits == 5:
        high = blocks[:, head - 4 : head].copy().view("<u4")
        q = q + (((high >> np.arange(32, dtype=np.uint32)) & 1) << 4).astype(np.int32)
    if has_minimum:
        values = d * q.astype(np.float32) + _scales(blocks, width, scale)
    else:
        values = d * (q - (1 << (bits - 1))).astype(np.float32)
    return values.astype(np.float32).reshape(shape)


# Type of the scale, whether there is a minimum, bits, whether a byte holds neighbours.
_LAYOUTS = {
    "q4_0": ("<f2", False, 4, False),
    "q4_1": ("<f2", True, 4, False),
    "q5_0": ("<f2", False, 5, False),
    "q5_1": ("<f2", True, 5, False),
    "q8_0": ("<f2", False, 8, False),
    "q4_0_v2": ("<f4", False, 4, False),
    "q4_1_v2": ("<f4", True, 4, False),
    "q8_0_v2": ("<f4", False, 8, False),
    "q4_0_v1": ("<f4", False, 4, True),
    "q4_1_v1": ("<f4", True, 4, True),
    "q5_0_v1": ("<f2", False, 5, True),
    "q5_1_v1": ("<f2", True, 5, True),
    "q4_2": ("<f2", False, 4, True),
    "q4_3": ("<f2", True, 4, True),
}


def _scales(blocks: Bytes, start: int, code: str) -> Floats:
    width = np.dtype(code).itemsize
    return blocks[:, start : start + width].copy().view(code).astype(np.float32)


def _nibbles(packed: Bytes, neighbours: bool) -> NDArray[np.int32]:
    low, high = packed & 15, packed >> 4
    if neighbours:
        return np.stack([low, high], axis=2).reshape(len(packed), -1).astype(np.int32)
    return np.concatenate([low, high], axis=1).astype(np.int32)
