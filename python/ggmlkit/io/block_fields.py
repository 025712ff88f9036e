"""The multi-byte numbers of each block layout, as the gguf package defines them."""

from __future__ import annotations

Fields = tuple[tuple[int, str], ...]


def _run(start: int, code: str, count: int, step: int | None = None) -> Fields:
    """``count`` numbers that begin at ``start``, ``step`` bytes (by default their size) apart."""
    return tuple((start + n * (step or int(code[1])), code) for n in range(count))


_HALF: Fields = ((0, "f2"),)
_TWO_HALVES: Fields = ((0, "f2"), (2, "f2"))
_FLOAT: Fields = ((0, "f4"),)
_TWO_FLOATS: Fields = ((0, "f4"), (4, "f4"))

# (offset in the block, numpy code without a byte order) of each number; everything else in a block
# is single bytes. The code that reads a layout decides: the fifth bits of q5_0 and q5_1 are one
# 32-bit number; of each eight bytes of iq2_xxs the first four are bytes, the others one number.
FIELDS: dict[str, Fields] = {
    "f32": ((0, "f4"),),
    "f16": ((0, "f2"),),
    "bf16": ((0, "u2"),),
    "f64": ((0, "f8"),),
    "i8": (),
    "i16": ((0, "i2"),),
    "i32": ((0, "i4"),),
    "i64": ((0, "i8"),),
    "q4_0": _HALF,
    "q4_1": _TWO_HALVES,
    "q5_0": (*_HALF, (2, "u4")),
    "q5_1": (*_TWO_HALVES, (4, "u4")),
    "q8_0": _HALF,
    "q8_1": _TWO_HALVES,
    "q2_K": ((80, "f2"), (82, "f2")),
    "q3_K": ((108, "f2"),),
    "q4_K": _TWO_HALVES,
    "q5_K": _TWO_HALVES,
    "q6_K": ((208, "f2"),),
    "q8_K": (*_FLOAT, *_run(260, "i2", 16)),
    "iq2_xxs": (*_HALF, *_run(6, "u4", 8, step=8)),
    "iq2_xs": (*_HALF, *_run(2, "u2", 32)),
    "iq3_xxs": (*_HALF, *_run(66, "u4", 8)),
    "iq1_s": (*_HALF, *_run(34, "u2", 8)),
    "iq4_nl": _HALF,
    "iq3_s": _HALF,
    "iq2_s": _HALF,
    "iq4_xs": (*_HALF, (2, "u2")),
    "iq1_m": _run(48, "u2", 4),
    "tq1_0": ((52, "f2"),),
    "tq2_0": ((64, "f2"),),
    "mxfp4": (),
    "nvfp4": (),
    "q1_0": _HALF,
    "q2_0": _HALF,
}
# The earlier layouts; no big-endian file was ever written with them.
LEGACY_FIELDS: dict[str, Fields] = {
    "q4_0_v1": _FLOAT,
    "q4_1_v1": _TWO_FLOATS,
    "q5_0_v1": (*_HALF, (2, "u4")),
    "q5_1_v1": (*_TWO_HALVES, (4, "u4")),
    "q4_0_v2": _FLOAT,
    "q4_1_v2": _TWO_FLOATS,
    "q8_0_v2": _FLOAT,
    "q4_2": _HALF,
    "q4_3": _TWO_HALVES,
}
