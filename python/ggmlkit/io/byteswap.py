"""Tensor data between byte orders: the multi-byte numbers of each block turned round."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.errors import UnsupportedTypeError
from ggmlkit.types import TensorType

if TYPE_CHECKING:
    from numpy.typing import NDArray

# (offset in the block, size) of each number of more than one byte; everything else in a block is
# single bytes. The fifth bits of q5_0 and q5_1 are one 32-bit number.
_FIELDS: dict[str, tuple[tuple[int, int], ...]] = {
    "f32": ((0, 4),),
    "f16": ((0, 2),),
    "bf16": ((0, 2),),
    "f64": ((0, 8),),
    "i8": (),
    "i16": ((0, 2),),
    "i32": ((0, 4),),
    "i64": ((0, 8),),
    "q4_0": ((0, 2),),
    "q4_1": ((0, 2), (2, 2)),
    "q5_0": ((0, 2), (2, 4)),
    "q5_1": ((0, 2), (2, 2), (4, 4)),
    "q8_0": ((0, 2),),
    "q2_K": ((80, 2), (82, 2)),
    "q3_K": ((108, 2),),
    "q4_K": ((0, 2), (2, 2)),
    "q5_K": ((0, 2), (2, 2)),
    "q6_K": ((208, 2),),
    "iq4_nl": ((0, 2),),
    "mxfp4": (),
}


def swapped(data: NDArray[np.uint8], type: TensorType) -> NDArray[np.uint8]:
    """A copy of block bytes ``(nbytes,)`` in the other byte order.

    Raises:
        UnsupportedTypeError: where the type's numbers lie is not in the table.
    """
    fields = _FIELDS.get(type.name)
    if fields is None:
        raise UnsupportedTypeError(f"{type} data of the other byte order can't be read yet")
    result = data.copy()
    blocks = result.reshape(-1, type.block_bytes)
    for start, size in fields:
        blocks[:, start : start + size] = blocks[:, start : start + size][:, ::-1].copy()
    return result
