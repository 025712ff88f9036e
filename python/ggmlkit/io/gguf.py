"""Reads gguf v1, v2 and v3 of either byte order."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.errors import FormatError
from ggmlkit.io.base import ARRAY_OF, ByteOrder, ModelFile
from ggmlkit.io.mapped import Cursor, MappedFile
from ggmlkit.io.mapped_tensor import mapped_tensor
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"GGUF"
DEFAULT_ALIGNMENT = 32
MAX_DIMENSIONS = 4

# GGUF value type numbers.
BOOL, STRING, ARRAY = 7, 8, 9
NUMPY_CODES = {
    0: "u1",
    1: "i1",
    2: "u2",
    3: "i2",
    4: "u4",
    5: "i4",
    6: "f4",
    10: "u8",
    11: "i8",
    12: "f8",
}

# Deeper nesting than any file needs; bounds the recursion.
_MAX_NESTING = 8


class GgufFile(ModelFile):
    """A gguf file. Opening reads the header only.

    Raises:
        FormatError: the header is damaged or truncated, or a tensor lies outside the file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = MappedFile(path)
        self._value_ranges: dict[str, tuple[int, int]] = {}
        try:
            version, order = _version(self._file)
            super().__init__(Path(path), "gguf", version=version, byte_order=order)
            self._tensors = self._read(_Header(self._file, version, order))
            self._file.check()
        except BaseException:
            self._file.close()
            raise

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name, lazy; little-endian hosts see little-endian files without a copy."""
        return self._tensors

    def close(self) -> None:
        """Unmap the file; tensors not yet read can't be any more."""
        self._file.close()

    def check(self) -> None:
        """Raise FormatError if the file has been cut short since it was opened."""
        self._file.check()

    def stored_values(self) -> dict[str, bytes]:
        """Each metadata value's bytes, its type before it, where they are as gguf v3 has them."""
        buffer = self._file.buffer
        return {key: buffer[start:end] for key, (start, end) in self._value_ranges.items()}

    def _read(self, header: _Header) -> dict[str, Tensor]:
        tensor_count, pair_count = header.count(), header.count()
        # Least sizes: a pair is a string, a type and one byte; a tensor's entry is a string, a
        # number of sizes, one type, one offset.
        cursor = header.cursor
        cursor.check_count(pair_count, header.width + 5, "metadata pairs", 8)
        for _ in range(pair_count):
            key, start = header.pair(self.metadata, self.value_types)
            self._value_ranges[key] = start, cursor.offset
        if self.byte_order == "big" or not header.wide or header.terminated:
            self._value_ranges.clear()  # stored otherwise than today
        cursor.check_count(tensor_count, header.width + 16, "tensors", 8)
        entries = [header.tensor_entry() for _ in range(tensor_count)]
        self.alignment = self._alignment()
        cursor.align(self.alignment)
        tensors: dict[str, Tensor] = {}
        for entry in entries:
            if entry.name in tensors:
                raise cursor.fail(f"tensor {entry.name!r} is there twice", entry.place)
            tensors[entry.name] = self._tensor(entry, cursor.offset)
        self._check_overlaps(entries, tensors)
        return tensors

    def _check_overlaps(self, entries: list[_TensorEntry], tensors: dict[str, Tensor]) -> None:
        end, before = 0, ""
        for entry in sorted(entries, key=lambda entry: entry.offset):
            nbytes = tensors[entry.name].nbytes
            if nbytes and entry.offset < end:
                reason = f"tensors {before!r} and {entry.name!r} overlap"
                raise FormatError(self.path, entry.place, reason)
            end, before = max(end, entry.offset + nbytes), entry.name

    def _alignment(self) -> int:
        alignment = self.metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        valid = type(alignment) is int and 0 < alignment < 1 << 32
        if not valid or alignment & (alignment - 1):
            raise FormatError(
                self.path,
                None,
                f"general.alignment is {alignment!r}, which is no power of two",
            )
        return int(alignment)

    def _tensor(self, entry: _TensorEntry, data_start: int) -> Tensor:
        start = data_start + entry.offset
        if entry.offset % self.alignment:
            raise FormatError(
                self.path,
                entry.place,
                f"tensor {entry.name!r} starts at {entry.offset} of the data, "
                f"which is no multiple of {self.alignment}",
            )
        return mapped_tensor(
            self._file,
            entry.name,
            entry.type_id,
            entry.shape,
            start,
            entry.place,
            byte_order=self.byte_order,
        )


@dataclass(frozen=True)
class _TensorEntry:
    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int
    place: int


def _version(file: MappedFile) -> tuple[int, ByteOrder]:
    cursor = Cursor(file)
    if cursor.raw(4, "the magic number") != MAGIC:
        raise FormatError(file.path, 0, "this is no gguf file: it doesn't begin with GGUF")
    raw = cursor.raw(4, "the version")
    # A version is a small number: whichever order makes it small is the file's.
    (little,) = struct.unpack("<I", raw)
    (big,) = struct.unpack(">I", raw)
    version, order = (little, "little") if little <= big else (big, "big")
    if version not in (1, 2, 3):
        raise FormatError(file.path, 4, f"gguf version {version} is not known (1, 2 and 3 are)")
    return version, "big" if order == "big" else "little"


class _Header:
    """The header's grammar over a cursor; v1 has 32-bit counts and lengths, v2 and v3 64-bit.

    The first quantizer that wrote gguf ended every string with a zero byte and counted it. Such a
    file shows in its first key, which can't end so otherwise; all its strings lose that byte.
    """

    def __init__(self, file: MappedFile, version: int, order: ByteOrder) -> None:
        self.cursor = Cursor(file, order)
        self.cursor.offset = 8
        self.wide = version > 1
        self.width = 8 if self.wide else 4
        self.terminated: bool | None = None

    def count(self) -> int:
        return self.cursor.u64("a count") if self.wide else self.cursor.u32("a count")

    def name(self, what: str) -> str:
        place = self.cursor.offset
        (text,) = self.cursor.strings(1, self.wide)
        if isinstance(text, bytes):
            raise self.cursor.fail(f"the {what} {text!r} is no UTF-8", place)
        if self.terminated is None:
            self.terminated = text.endswith("\0")
        return text.removesuffix("\0") if self.terminated else text

    def strings(self, count: int) -> list[str | bytes]:
        found = self.cursor.strings(count, self.wide)
        if not self.terminated:
            return found
        return [
            text.removesuffix("\0") if isinstance(text, str) else text.removesuffix(b"\0")
            for text in found
        ]

    def pair(self, metadata: dict[str, Any], value_types: dict[str, int]) -> tuple[str, int]:
        """Read a key and its value; the key, and where the value's type begins."""
        place = self.cursor.offset
        key = self.name("key")
        if key in metadata:
            raise self.cursor.fail(f"key {key!r} is there twice", place)
        start = self.cursor.offset
        kind = self.cursor.u32(f"the type of {key!r}")
        if kind == ARRAY:
            element, metadata[key] = self.elements(key, 1)
            value_types[key] = ARRAY_OF + element
        else:
            metadata[key] = self.scalar(kind, key)
            value_types[key] = kind
        return key, start

    def scalar(self, kind: int, key: str) -> Any:
        if kind == STRING:
            return self.strings(1)[0]
        return self.numbers(kind, 1, key)[0].item()

    def numbers(self, kind: int, count: int, key: str) -> NDArray[Any]:
        place = self.cursor.offset
        if kind == BOOL:
            flags = self.cursor.array("u1", count, f"the value of {key!r}")
            if count and flags.max() > 1:
                raise self.cursor.fail(f"a truth value of {key!r} is neither 0 nor 1", place)
            return flags.astype(np.bool_)
        if kind not in NUMPY_CODES:
            raise self.cursor.fail(f"value type {kind} of {key!r} is not known", place)
        return self.cursor.array(NUMPY_CODES[kind], count, f"the value of {key!r}")

    def elements(self, key: str, depth: int) -> tuple[int, Any]:
        """Element type and elements of an array: a numpy array, or a list of text or arrays."""
        place = self.cursor.offset
        kind = self.cursor.u32(f"the element type of {key!r}")
        count_place = self.cursor.offset
        count = self.count()
        if kind == STRING:
            self.cursor.check_count(count, self.width, f"strings of {key!r}", count_place)
            return kind, self.strings(count)
        if kind == ARRAY:
            if depth == _MAX_NESTING:
                raise self.cursor.fail(f"{key!r} nests more than {_MAX_NESTING} arrays", place)
            self.cursor.check_count(count, 4 + self.width, f"arrays of {key!r}", count_place)
            return kind, [self.elements(key, depth + 1)[1] for _ in range(count)]
        return kind, self.numbers(kind, count, key)

    def tensor_entry(self) -> _TensorEntry:
        cursor = self.cursor
        place = cursor.offset
        name = self.name("tensor name")
        dimensions = cursor.u32(f"the number of sizes of tensor {name!r}")
        if dimensions > MAX_DIMENSIONS:
            raise cursor.fail(
                f"tensor {name!r} has {dimensions} sizes; {MAX_DIMENSIONS} is the most",
                place,
            )
        sizes = [self.count() for _ in range(dimensions)]
        type_id = cursor.u32(f"the type of tensor {name!r}")
        offset = cursor.u64(f"the offset of tensor {name!r}")
        return _TensorEntry(name, tuple(reversed(sizes)), type_id, offset, place)
