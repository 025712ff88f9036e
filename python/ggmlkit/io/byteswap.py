"""Converts tensor data between byte orders: swaps the multi-byte numbers of each block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.errors import UnsupportedTypeError
from ggmlkit.io.block_fields import FIELDS
from ggmlkit.io.writing.stream import Part, PartedTensor
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]


def swapped(data: Bytes, type: TensorType) -> Bytes:
    """A copy of block bytes ``(nbytes,)`` in the other byte order.

    Raises:
        UnsupportedTypeError: the table doesn't say where the type's numbers lie.
    """
    _check_known(type)
    result = data.copy()
    _swap_in_place(result, type)
    return result


def in_other_order(tensor: Tensor) -> Tensor:
    """The same lazy tensor with its data in the other byte order; in parts if ``tensor`` is.

    Raises:
        UnsupportedTypeError: the table doesn't say where the type's numbers lie.
    """
    kind = tensor.type
    _check_known(kind)
    if not isinstance(tensor, PartedTensor):
        data = partial(_swapped_data, tensor)
        return Tensor(kind, tensor.shape, data, tensor.name, [tensor])
    original_parts = tensor.parts

    def parts() -> Iterator[Part]:
        for part in original_parts():
            yield Part(part.nbytes, _swapping(part, kind))

    return PartedTensor(kind, tensor.shape, parts, tensor.name, sources=[tensor])


def _swapped_data(tensor: Tensor) -> Bytes:
    return swapped(tensor.data, tensor.type)


def _swapping(part: Part, type: TensorType) -> Callable[[Bytes, int | None], None]:
    def make(out: Bytes, threads: int | None) -> None:
        part.make(out, threads)
        _swap_in_place(out, type)

    return make


def _check_known(type: TensorType) -> None:
    if type.name not in FIELDS:
        raise UnsupportedTypeError(f"{type} data is known in one byte order only")


def _swap_in_place(data: Bytes, type: TensorType) -> None:
    if data.size == 0:
        return  # numpy refuses an offset behind the end of the data
    step = type.block_bytes
    for start, code in FIELDS[type.name]:
        np.ndarray(data.size // step, f"u{code[1]}", data, start, (step,)).byteswap(inplace=True)
