"""Tensor data between byte orders: the multi-byte numbers of each block turned round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.errors import UnsupportedTypeError
from ggmlkit.io.stream import Part, PartedTensor
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]


def _run(start: int, size: int, count: int, step: int | None = None) -> tuple[tuple[int, int], ...]:
    """``count`` numbers of ``size`` bytes from ``start``, ``step`` (or their size) apart."""
    return tuple((start + n * (step or size), size) for n in range(count))


# (offset in the block, size) of each number of more than one byte; everything else in a block is
# single bytes. What counts is how the layout is read: the fifth bits of q5_0 and q5_1 are one
# 32-bit number, and of each eight bytes of iq2_xxs the first four are bytes, the others a number.
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
    "q8_1": ((0, 2), (2, 2)),
    "q2_K": ((80, 2), (82, 2)),
    "q3_K": ((108, 2),),
    "q4_K": ((0, 2), (2, 2)),
    "q5_K": ((0, 2), (2, 2)),
    "q6_K": ((208, 2),),
    "q8_K": ((0, 4), *_run(260, 2, 16)),
    "iq2_xxs": ((0, 2), *_run(6, 4, 8, step=8)),
    "iq2_xs": ((0, 2), *_run(2, 2, 32)),
    "iq3_xxs": ((0, 2), *_run(66, 4, 8)),
    "iq1_s": ((0, 2), *_run(34, 2, 8)),
    "iq4_nl": ((0, 2),),
    "iq3_s": ((0, 2),),
    "iq2_s": ((0, 2),),
    "iq4_xs": ((0, 2), (2, 2)),
    "iq1_m": _run(48, 2, 4),
    "tq1_0": ((52, 2),),
    "tq2_0": ((64, 2),),
    "mxfp4": (),
    "nvfp4": (),
    "q1_0": ((0, 2),),
}


def swapped(data: Bytes, type: TensorType) -> Bytes:
    """A copy of block bytes ``(nbytes,)`` in the other byte order.

    Raises:
        UnsupportedTypeError: where the type's numbers lie is not in the table.
    """
    _check_known(type)
    result = data.copy()
    _turn(result, type)
    return result


def in_other_order(tensor: Tensor) -> Tensor:
    """The same lazy tensor, its data in the other byte order; in parts where it is in parts.

    Raises:
        UnsupportedTypeError: where the type's numbers lie is not in the table.
    """
    kind = tensor.type
    _check_known(kind)
    if not isinstance(tensor, PartedTensor):
        return Tensor(kind, tensor.shape, lambda: swapped(tensor.data, kind), tensor.name)
    made = tensor.parts

    def parts() -> Iterator[Part]:
        for part in made():
            yield Part(part.nbytes, _turning(part, kind))

    return PartedTensor(kind, tensor.shape, parts, tensor.name)


def _turning(part: Part, type: TensorType) -> Callable[[Bytes, int | None], None]:
    def make(out: Bytes, threads: int | None) -> None:
        part.make(out, threads)
        _turn(out, type)

    return make


def _check_known(type: TensorType) -> None:
    if type.name not in _FIELDS:
        raise UnsupportedTypeError(f"{type} data is known in one byte order only")


def _turn(data: Bytes, type: TensorType) -> None:
    step = type.block_bytes
    for start, size in _FIELDS[type.name]:
        np.ndarray(data.size // step, f"u{size}", data, start, (step,)).byteswap(inplace=True)
