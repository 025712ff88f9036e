"""The list of tensors at the end of a file older than gguf; each has a header and data."""

from __future__ import annotations

import struct

from ggmlkit import types
from ggmlkit.errors import FormatError, UnsupportedTypeError
from ggmlkit.io.base import LostTensor
from ggmlkit.io.mapped_file import Cursor
from ggmlkit.io.mapped_tensor import lost_tensor, mapped_tensor
from ggmlkit.tensor import Tensor

ALIGNMENT = 32
_MAX_SIZES = 4


def read_tensors(
    cursor: Cursor,
    generation: str,
    *,
    aligned: bool,
    lost: list[LostTensor] | None = None,
) -> dict[str, Tensor]:
    """The tensors from here to the end of the file, by name.

    Args:
        cursor: at the first tensor's header.
        generation: of the container, as in :func:`ggmlkit.types.by_id`.
        aligned: whether data begins at multiples of 32.
        lost: collects the tensor that can't be read, which ends the list, instead of raising.

    Raises:
        FormatError: a header or its data is damaged or ends too early.
    """
    tensors: dict[str, Tensor] = {}
    while cursor.left > 0:
        place = cursor.offset
        name = None
        try:
            name, type_id, shape = _header(cursor)
            if name in tensors:
                raise cursor.fail(f"tensor {name!r} is there twice", place)
            if aligned:
                cursor.align(ALIGNMENT)
            _check_type(cursor, name, type_id, generation, place)
            tensor = mapped_tensor(
                cursor.file, name, type_id, shape, cursor.offset, place, generation=generation
            )
            cursor.skip(tensor.nbytes, f"tensor {name!r}")
        except FormatError as error:
            if lost is None:
                raise
            lost.append(lost_tensor(name, place, error))
            break
        tensors[name] = tensor
    return tensors


def _check_type(cursor: Cursor, name: str, type_id: int, generation: str, place: int) -> None:
    """Raise FormatError for an unknown type: its size decides where the next tensor begins."""
    try:
        types.by_id(type_id, generation)
    except UnsupportedTypeError as error:
        raise cursor.fail(
            f"tensor {name!r}: {error}, so the start of the next tensor is not known", place
        ) from None


def tensor_header(name: str, tensor: Tensor) -> bytes:
    """The header before a tensor's data, without padding."""
    raw = name.encode()
    sizes = tuple(reversed(tensor.shape))
    numbers = (len(sizes), len(raw), tensor.type.ggml_id, *sizes)
    return struct.pack(f"<{len(numbers)}i", *numbers) + raw


def _header(cursor: Cursor) -> tuple[str, int, tuple[int, ...]]:
    """Name, type number and shape of a tensor."""
    place = cursor.offset
    dimensions = cursor.i32("a tensor's number of sizes")
    name_length = cursor.i32("the length of a tensor's name")
    type_id = cursor.i32("a tensor's type")
    if not 1 <= dimensions <= _MAX_SIZES:
        raise cursor.fail(f"a tensor has {dimensions} sizes", place)
    sizes = [cursor.i32("a tensor's size") for _ in range(dimensions)]
    cursor.check_count(name_length, 1, "bytes of a tensor's name", place + 4)
    raw = cursor.raw(name_length, "a tensor's name")
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise cursor.fail(f"the tensor name {raw!r} is not UTF-8", place) from None
    if min(sizes) < 0:
        raise cursor.fail(f"tensor {name!r} has the negative size {min(sizes)}", place)
    return name, type_id, tuple(reversed(sizes))
