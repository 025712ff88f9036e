"""Flax's checkpoints in MessagePack: one tree of arrays, or EasyLM's stream of arrays.

Flax packs an array as extension type 1: a list of the shape, the type's name, and the bytes in row
order. Arrays above 2³⁰ bytes are ``{"__msgpack_chunked_array__": true, "shape": {"0": …},
"chunks": {"0": array, …}}``. EasyLM writes a sequence of pairs: the list of keys that lead to an
array, and that packed array, packed again as bytes. Sources: flax/serialization.py, and EasyLM's
checkpoint.py.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ggmlkit import types
from ggmlkit.errors import FormatError, UnsupportedTypeError
from ggmlkit.io.file_range import FileRange
from ggmlkit.io.foreign.msgpack import Binary, MsgpackReader
from ggmlkit.io.foreign.tensors_file import TensorsFile
from ggmlkit.io.mapped_file import MappedFile, mapped_while_read
from ggmlkit.tensor import Tensor

_ARRAY, _SCALAR = 1, 3
_CHUNKED = "__msgpack_chunked_array__"
_TYPES = {
    "float64": "f64",
    "float32": "f32",
    "float16": "f16",
    "bfloat16": "bf16",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
}
_MOST_DIMENSIONS = 8
_LONGEST_NAME = 4096
_PAIR = 0x92


def open_flax(path: str | os.PathLike[str]) -> TensorsFile:
    """Open a ``flax_model.msgpack``, or the stream of arrays that EasyLM writes.

    An array's name is its path in the tree: ``params/lm_head/kernel``.

    Raises FormatError for a damaged file, UnsupportedTypeError for an element type that no GGML
    type holds.
    """
    path = Path(path)
    tensors: dict[str, Tensor] = {}
    with mapped_while_read(path) as file:
        for name, tensor in _arrays(file):
            if name in tensors:
                raise FormatError(path, None, f"two arrays are called {name!r}")
            tensors[name] = tensor
    file.close()
    if not tensors:
        raise FormatError(path, None, "the file holds no arrays")
    return TensorsFile(path, "flax", tensors)


def _arrays(file: MappedFile) -> Iterator[tuple[str, Tensor]]:
    reader = MsgpackReader(file)
    if file.buffer[0] != _PAIR:
        yield from _leaves(reader, (), reader.value())
        if reader.at != reader.end:
            raise FormatError(file.path, reader.at, "there is more after the tree")
        return
    while reader.at < reader.end:
        place = reader.at
        pair = reader.value()
        match pair:
            case [list(keys), Binary(kind=None) as packed] if all(isinstance(k, str) for k in keys):
                yield from _leaves(reader, tuple(keys), reader.within(packed).value())
            case _:
                raise FormatError(file.path, place, "not a pair of keys and an array")


def _leaves(
    reader: MsgpackReader, keys: tuple[str, ...], tree: Any
) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors in a tree; plain numbers and empty branches are skipped."""
    # Each array's name repeats those of its branches: long names would need much memory.
    if sum(map(len, keys)) > _LONGEST_NAME:
        raise FormatError(reader.file.path, None, f"a name of more than {_LONGEST_NAME} characters")
    name = "/".join(keys)
    if isinstance(tree, Binary):
        if tree.kind in (_ARRAY, _SCALAR):
            yield name, _tensor(reader, name, tree)
    elif isinstance(tree, dict) and _CHUNKED in tree:
        yield name, _joined(reader, name, tree)
    elif isinstance(tree, dict):
        for key, branch in tree.items():
            yield from _leaves(reader, (*keys, str(key)), branch)


def _tensor(reader: MsgpackReader, name: str, packed: Binary) -> Tensor:
    path, place = reader.file.path, packed.offset
    match reader.within(packed).value():
        case [list(shape), str(dtype), Binary(kind=None) as data]:
            pass
        case _:
            raise FormatError(path, place, f"{name!r} is not a packed array")
    if dtype not in _TYPES:
        raise UnsupportedTypeError(f"{path}: array {name!r} has the unsupported type {dtype}")
    kind = types.get(_TYPES[dtype])
    if not _are_sizes(shape) or prod(shape) * kind.block_bytes != data.size:
        reason = f"array {name!r} has {data.size} bytes for shape {str(shape)[:80]} of {dtype}"
        raise FormatError(path, place, reason)
    return Tensor(kind, tuple(shape), FileRange(path, data.offset, data.size), name)


def _joined(reader: MsgpackReader, name: str, tree: dict[Any, Any]) -> Tensor:
    """The tensor that a dictionary holds in flat pieces."""
    shape, chunks = (_in_order(tree.get(part)) for part in ("shape", "chunks"))
    packed = [c for c in chunks if isinstance(c, Binary) and c.kind == _ARRAY]
    pieces = [_tensor(reader, name, chunk) for chunk in packed]
    kinds = {piece.type.name for piece in pieces}
    if len(kinds) != 1 or len(packed) != len(chunks) or not _are_sizes(shape):
        raise FormatError(reader.file.path, reader.at, f"{name!r} is not an array in pieces")
    if prod(shape) != sum(piece.size for piece in pieces):
        reason = f"the pieces of {name!r} don't make up shape {str(shape)[:80]}"
        raise FormatError(reader.file.path, reader.at, reason)

    def data() -> npt.NDArray[np.uint8]:
        return np.concatenate([piece.data for piece in pieces])

    return Tensor(pieces[0].type, tuple(shape), data, name, pieces)


def _in_order(entries: object) -> list[Any]:
    """The values of ``{"0": …, "1": …}`` in order; an empty list for anything else."""
    if not isinstance(entries, dict):
        return []
    numbers = [str(number) for number in range(len(entries))]
    return [entries[n] for n in numbers] if all(n in entries for n in numbers) else []


def _are_sizes(shape: list[Any]) -> bool:
    return len(shape) <= _MOST_DIMENSIONS and all(
        type(n) is int and 0 <= n < 1 << 48 for n in shape
    )
