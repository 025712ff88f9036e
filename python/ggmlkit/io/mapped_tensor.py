"""Lazy tensors over a mapped file."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING

from ggmlkit import types
from ggmlkit.errors import FormatError, UnsupportedTypeError
from ggmlkit.io.base import ByteOrder, LostTensor
from ggmlkit.io.byteswap import swapped
from ggmlkit.io.interleaved import Interleaved, check_groups, in_row_order
from ggmlkit.io.mapped_file import MappedFile
from ggmlkit.io.unknown_tensor import KeptBytes, UnknownTensor
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# numpy counts an array's bytes in a signed 64-bit number, elements of 8 bytes at most.
_MAX_ELEMENTS = 1 << 60


class LacksData(FormatError):
    """The file ends before a tensor's data does.

    Attributes:
        of_tensor: the reason, of a tensor that was named before.
    """

    def __init__(self, file: MappedFile, place: int, name: str, start: int, nbytes: int) -> None:
        super().__init__(
            file.path,
            place,
            f"the {nbytes} bytes of tensor {name!r} start at byte {start}, "
            f"but the file has only {file.size}",
        )
        there = max(0, file.size - start)
        self.of_tensor = (
            f"only {there} of its {nbytes} bytes are in the file"
            if there
            else f"it starts at byte {start}, after the end of the file"
        )


def lost_tensor(name: str | None, place: int, error: FormatError) -> LostTensor:
    """The tensor that couldn't be opened because of an error."""
    reason = error.of_tensor if isinstance(error, LacksData) else error.reason
    return LostTensor(name, place, reason)


@dataclass(frozen=True)
class MappedRange:
    """A function that returns ``size`` bytes at ``offset`` of a mapped file: uint8 ``(size,)``.

    Attributes:
        swapped_as: the type whose numbers are swapped into this machine's byte order; None to leave
            the bytes as they are.
    """

    file: MappedFile
    offset: int
    size: int
    swapped_as: types.TensorType | None = None

    def __call__(self) -> NDArray[np.uint8]:
        data = self.file.bytes_at(self.offset, self.size)
        return data if self.swapped_as is None else swapped(data, self.swapped_as)

    def part(self, start: int, nbytes: int) -> MappedRange:
        """``nbytes`` bytes (whole blocks) that begin ``start`` bytes into this range."""
        return replace(self, offset=self.offset + start, size=nbytes)

    def check(self) -> None:
        """Raise FormatError if the file has been cut short since it was opened."""
        self.file.check(self.offset)


def mapped_tensor(
    file: MappedFile,
    name: str,
    type_id: int,
    shape: tuple[int, ...],
    start: int,
    place: int,
    *,
    generation: str = "gguf",
    byte_order: ByteOrder = "little",
) -> Tensor:
    """A lazy tensor whose data begins at ``start`` of a mapped file.

    Args:
        file: the file.
        name: of the tensor.
        type_id: the number in its header.
        shape: numpy order.
        start: byte offset of the data in the file.
        place: byte offset of the tensor's header, for errors.
        generation: of the container, as in :func:`ggmlkit.types.by_id`.
        byte_order: of the file.

    Raises:
        FormatError: the type is not known, rows aren't whole blocks, or the file lacks data.
    """
    try:
        kind = types.by_id(type_id, generation)
    except UnsupportedTypeError as error:
        raise FormatError(file.path, place, f"tensor {name!r}: {error}") from None
    nbytes = _checked_size(file, name, kind, shape, start, place)
    data = MappedRange(file, start, nbytes, kind if byte_order != sys.byteorder else None)
    return Tensor(kind, shape, data, name)


def interleaved_tensor(
    file: MappedFile,
    name: str,
    layout: Interleaved,
    shape: tuple[int, ...],
    start: int,
    place: int,
    byte_order: ByteOrder,
) -> Tensor:
    """Like :func:`mapped_tensor` for a retired layout; the result has the plain type.

    Raises:
        FormatError: rows aren't whole blocks or groups, or data lies outside the file.
    """
    nbytes = _checked_size(file, name, layout.plain, shape, start, place)
    try:
        check_groups(layout, shape)
    except ValueError as error:
        raise FormatError(file.path, place, f"tensor {name!r}: {error}") from None
    stored = Tensor("i8", (nbytes,), MappedRange(file, start, nbytes), name)
    return in_row_order(stored, layout, shape, byte_order)


def unknown_tensor(
    file: MappedFile, name: str, type_id: int, shape: tuple[int, ...], start: int, place: int
) -> UnknownTensor:
    """A tensor of a type that this version doesn't know.

    Raises:
        FormatError: an impossible shape, or a start outside the file.
    """
    _check_shape(file, name, shape, place)
    if start + min(1, prod(shape)) > file.size:
        raise FormatError(
            file.path,
            place,
            f"tensor {name!r} starts at byte {start}, but the file has only {file.size}",
        )
    return UnknownTensor(file.path, type_id, shape, name, place)


def keep_bytes(
    file: MappedFile, tensor: UnknownTensor, start: int, size: int, byte_order: ByteOrder
) -> None:
    """Store in a tensor of an unknown type where its bytes are, so that they can be copied."""
    data = Tensor("i8", (size,), MappedRange(file, start, size), tensor.name)
    tensor.kept = KeptBytes(tensor, data, byte_order)


def _check_shape(file: MappedFile, name: str, shape: tuple[int, ...], place: int) -> None:
    if prod(max(1, n) for n in shape) > _MAX_ELEMENTS:
        raise FormatError(file.path, place, f"tensor {name!r} has the impossible shape {shape}")


def _checked_size(
    file: MappedFile,
    name: str,
    kind: types.TensorType,
    shape: tuple[int, ...],
    start: int,
    place: int,
) -> int:
    """Number of bytes of a tensor's data; FormatError if they aren't all in the file."""
    _check_shape(file, name, shape, place)
    try:
        nbytes = kind.row_bytes(shape[-1] if shape else 1) * prod(shape[:-1])
    except ValueError as error:
        raise FormatError(file.path, place, f"tensor {name!r}: {error}") from None
    if start + nbytes > file.size:
        raise LacksData(file, place, name, start, nbytes)
    return nbytes
