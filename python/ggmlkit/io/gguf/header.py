"""Reads gguf's header, v1 to v3, in either byte order."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.errors import FormatError
from ggmlkit.io.base import ARRAY_OF, ByteOrder
from ggmlkit.io.mapped_file import Cursor, MappedFile

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

# Lists of this many strings or more are converted to Python only when they are used.
_MANY_STRINGS = 64

# Deeper nesting than any file needs; bounds the recursion.
_MAX_NESTING = 8


@dataclass(frozen=True)
class TensorEntry:
    """A tensor's header entry, found at byte ``place``; ``offset`` counts from the data's start."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    offset: int
    place: int


def version_and_order(file: MappedFile) -> tuple[int, ByteOrder]:
    """Version and byte order of a gguf file; FormatError if it is not one."""
    cursor = Cursor(file)
    if cursor.raw(4, "the magic number") != MAGIC:
        raise FormatError(file.path, 0, "this is not a gguf file: it doesn't begin with GGUF")
    raw = cursor.raw(4, "the version")
    # A version is a small number: the byte order that makes it small is the file's.
    (little,) = struct.unpack("<I", raw)
    (big,) = struct.unpack(">I", raw)
    version, order = (little, "little") if little <= big else (big, "big")
    if version not in (1, 2, 3):
        raise FormatError(file.path, 4, f"gguf version {version} is not known (1, 2 and 3 are)")
    return version, "big" if order == "big" else "little"


class HeaderReader:
    """Reads a header's parts in order; counts and lengths are 32-bit in v1, 64-bit in v2 and v3.

    The first quantizer that wrote gguf ended every string with a zero byte and counted that byte.
    Such a file is recognized by its first key, as no other key ends with a zero byte; the byte is
    then removed from all strings.
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
            raise self.cursor.fail(f"the {what} {text!r} is not UTF-8", place)
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
        """Read a key and its value into both dicts; returns the key and where the value begins."""
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
        """Element type and elements of an array: a numpy array, or a list of text or arrays.

        A long list of text stays StoredStrings, which StoredValues converts to a list on use.
        """
        place = self.cursor.offset
        kind = self.cursor.u32(f"the element type of {key!r}")
        count_place = self.cursor.offset
        count = self.count()
        if kind == STRING:
            self.cursor.check_count(count, self.width, f"strings of {key!r}", count_place)
            if depth == 1 and count >= _MANY_STRINGS and not self.terminated:
                return kind, self.cursor.stored_strings(count, self.wide)
            return kind, self.strings(count)
        if kind == ARRAY:
            if depth == _MAX_NESTING:
                raise self.cursor.fail(f"{key!r} nests more than {_MAX_NESTING} arrays", place)
            self.cursor.check_count(count, 4 + self.width, f"arrays of {key!r}", count_place)
            return kind, [self.elements(key, depth + 1)[1] for _ in range(count)]
        return kind, self.numbers(kind, count, key)

    def tensor_entry(self) -> TensorEntry:
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
        return TensorEntry(name, tuple(reversed(sizes)), type_id, offset, place)
