"""safetensors files: a JSON header, then raw little-endian arrays."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

from ggmlkit import types
from ggmlkit.errors import FormatError, UnsupportedTypeError
from ggmlkit.io.file_range import FileRange
from ggmlkit.io.foreign.tensors_file import TensorsFile
from ggmlkit.tensor import Tensor

_TYPES = {
    "F64": "f64",
    "F32": "f32",
    "F16": "f16",
    "BF16": "bf16",
    "I64": "i64",
    "I32": "i32",
    "I16": "i16",
    "I8": "i8",
}
_DTYPES = {ours: theirs for theirs, ours in _TYPES.items()}
_MAX_HEADER = 100_000_000  # the limit of the format's own library


class SafetensorsFile(TensorsFile):
    """An open safetensors file; its metadata is empty, its ``__metadata__`` is in ``notes``."""

    def __init__(self, path: Path, tensors: dict[str, Tensor], notes: dict[str, str]) -> None:
        super().__init__(path, "safetensors", tensors)
        self._notes = notes

    @property
    def notes(self) -> dict[str, str]:
        return self._notes


def open_safetensors(path: str | os.PathLike[str]) -> SafetensorsFile:
    """Open a safetensors file; only its header is read.

    Raises FormatError if the header is damaged or points outside the file, UnsupportedTypeError
    for an element type that no GGML type holds.
    """
    path = Path(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MAX_HEADER):
            raise FormatError(path, 0, f"a header of {length} bytes does not fit the file")
        header = _parsed_header(path, file.read(length))
    notes = header.pop("__metadata__", {})
    start = 8 + length
    entries = {name: _Entry(path, name, value) for name, value in header.items()}
    _check_layout(path, entries, size - start)
    tensors = {
        name: Tensor(
            entry.type,
            entry.shape,
            FileRange(path, start + entry.begin, entry.size),
            name,
        )
        for name, entry in sorted(entries.items(), key=lambda item: item[1].begin)
    }
    return SafetensorsFile(path, tensors, notes if isinstance(notes, dict) else {})


def safetensors_header(
    tensors: Iterable[tuple[str, str, tuple[int, ...]]], notes: Mapping[str, str]
) -> bytes:
    """Length and header of a file with tensors ``(name, type, shape)``, data in the same order."""
    header: dict[str, Any] = {"__metadata__": dict(notes)}
    end = 0
    for name, type_name, shape in tensors:
        begin, end = end, end + prod(shape) * types.get(type_name).block_bytes
        header[name] = {
            "dtype": _DTYPES[type_name],
            "shape": list(shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # aligns the data
    return len(text).to_bytes(8, "little") + text


class _Entry:
    """One checked entry of the header."""

    def __init__(self, path: Path, name: str, value: object) -> None:
        def damaged(what: str) -> NoReturn:
            raise FormatError(path, 8, f"the header's entry of tensor {name!r} has {what}")

        if not isinstance(value, dict):
            damaged("no fields")
        dtype, shape, offsets = (value.get(key) for key in ("dtype", "shape", "data_offsets"))
        if not isinstance(dtype, str):
            damaged("no dtype")
        if dtype not in _TYPES:
            raise UnsupportedTypeError(f"{path}: tensor {name!r} has the unsupported type {dtype}")
        if not _are_sizes(shape) or len(shape) > 8:
            damaged(f"a bad shape {shape!r}")
        if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
            damaged(f"bad offsets {offsets!r}")
        self.type = types.get(_TYPES[dtype])
        self.shape = tuple(shape)
        self.begin, end = offsets
        self.size = end - self.begin
        if prod(shape) * self.type.block_bytes != self.size:
            damaged(f"{self.size} bytes for shape {shape} of {dtype}")


def _are_sizes(value: object) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _parsed_header(path: Path, text: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise FormatError(path, 8, "the header has a key twice")
        return found

    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise FormatError(path, 8, f"the header is not JSON: {error}") from error
    if not isinstance(header, dict):
        raise FormatError(path, 8, "the header is not a JSON object")
    return header


def _check_layout(path: Path, entries: Mapping[str, _Entry], available: int) -> None:
    """Raise FormatError unless the tensors fill the data section without holes or overlaps."""
    position = 0
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].size)):
        if entry.begin != position:
            raise FormatError(path, 8, f"the data of tensor {name!r} overlaps or leaves a hole")
        position += entry.size
    if position != available:
        raise FormatError(
            path,
            8,
            f"the header describes {position} bytes of data, the file has {available}",
        )
