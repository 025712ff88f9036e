"""TensorFlow's checkpoints: ``NAME.index``, a table of variables, and ``NAME.data-00000-of-0000N``.

A value of the table is a protocol buffer, BundleEntryProto: type, shape, number of the data file,
offset and size there. The first key is empty, its value a BundleHeaderProto. Source: TensorFlow,
core/protobuf/tensor_bundle.proto.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from ggmlkit import types
from ggmlkit.errors import FormatError
from ggmlkit.io.file_range import FileRange
from ggmlkit.io.foreign.protobuf import fields, signed
from ggmlkit.io.foreign.sorted_table import entries
from ggmlkit.io.foreign.tensors_file import TensorsFile
from ggmlkit.tensor import Tensor

_LARGEST = 64 << 20
# DataType of types.proto; strings, bools and unsigned integers are not weights.
_TYPES = {1: "f32", 2: "f64", 3: "i32", 5: "i16", 6: "i8", 9: "i64", 14: "bf16", 19: "f16"}
_MOST_DIMENSIONS = 8


class TensorflowFile(TensorsFile):
    """An open checkpoint: its variables by their paths."""

    def __init__(self, path: Path, tensors: dict[str, Tensor], shards: list[Path]) -> None:
        super().__init__(path, "tensorflow", tensors)
        self._shards = shards

    @property
    def paths(self) -> list[Path]:
        return [self.path, *self._shards]


def open_tensorflow(path: str | os.PathLike[str]) -> TensorflowFile:
    """Open a checkpoint by its ``.index``; the data files lie beside it.

    Raises FormatError if the checkpoint is damaged, a data file is missing, or a variable is stored
    in slices.
    """
    path = Path(path)
    size = path.stat().st_size
    if size > _LARGEST:
        raise FormatError(path, 0, "too large to be the index of a checkpoint")
    tensors: dict[str, Tensor] = {}
    shards: list[Path] = []
    for number, (key, value) in enumerate(entries(path, path.read_bytes())):
        try:
            name = key.decode("utf-8")
            if number == 0:
                shards = _shards(path, name, value)
                continue
            entry = _entry(value)
        except ValueError as error:
            raise FormatError(path, None, f"damaged entry {key[:80]!r}: {error}") from error
        if entry.type in _TYPES:
            if name in tensors:
                raise FormatError(path, None, f"two variables are called {name!r}")
            tensors[name] = _tensor(path, name, entry, shards)
    return TensorflowFile(path, tensors, shards)


def _shards(path: Path, name: str, value: bytes) -> list[Path]:
    """The paths of the data files, whose number is in the header."""
    count = 0
    for number, found in fields(value, 0, len(value)):
        if number == 1 and isinstance(found, int):
            count = found
        elif number == 2 and found != 0:
            raise FormatError(path, None, "big-endian checkpoints are not supported")
    if name or not 0 < count < 100_000:
        raise ValueError(f"a header of {count} data files")
    stem = path.name.removesuffix(".index")
    first = path.with_name(f"{stem}.data-00000-of-{count:05}")
    if not first.is_file():
        raise FormatError(path, None, f"the data file {first.name} is missing")
    return [path.with_name(f"{stem}.data-{n:05}-of-{count:05}") for n in range(count)]


@dataclass
class _Entry:
    """A BundleEntryProto."""

    type: int = 0
    shape: list[int] = field(default_factory=list)
    shard: int = 0
    offset: int = 0
    size: int = 0
    is_sliced: bool = False


def _entry(value: bytes) -> _Entry:
    entry = _Entry()
    for number, found in fields(value, 0, len(value)):
        if number == 1 and isinstance(found, int):
            entry.type = found
        elif number == 2 and isinstance(found, range):
            entry.shape = _shape(value, found)
        elif number == 3 and isinstance(found, int):
            entry.shard = found
        elif number == 4 and isinstance(found, int):
            entry.offset = found
        elif number == 5 and isinstance(found, int):
            entry.size = found
        elif number == 7:
            entry.is_sliced = True
    return entry


def _shape(value: bytes, message: range) -> list[int]:
    """A TensorShapeProto: field 2 for each dimension, its size in field 1."""
    shape: list[int] = []
    for number, found in fields(value, message.start, message.stop):
        if number == 2 and isinstance(found, range):
            sizes = [n for key, n in fields(value, found.start, found.stop) if key == 1]
            size = sizes[-1] if sizes else 0
            if not isinstance(size, int) or not 0 <= signed(size) < 1 << 48:
                raise ValueError("a dimension without a size")
            shape.append(size)
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"{len(shape)} dimensions")
    return shape


def _tensor(path: Path, name: str, entry: _Entry, shards: list[Path]) -> Tensor:
    kind = types.get(_TYPES[entry.type])
    nbytes = prod(entry.shape) * kind.block_bytes
    if entry.is_sliced:
        raise FormatError(path, None, f"variable {name!r} is in slices, which is not supported")
    if nbytes != entry.size or entry.shard >= len(shards):
        reason = f"variable {name!r} has {entry.size} bytes for shape {entry.shape} of {kind}"
        raise FormatError(path, None, reason)
    shard = shards[entry.shard]
    available = shard.stat().st_size if shard.is_file() else 0
    if entry.offset + nbytes > available:
        raise FormatError(path, None, f"variable {name!r} is not in {shard.name}")
    return Tensor(kind, tuple(entry.shape), FileRange(shard, entry.offset, nbytes), name)
