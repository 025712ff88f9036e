"""Importance matrices in llama.cpp's binary form, used until mid-2025 (``imatrix.dat``).

i32 number of entries; for each entry: i32 length of its name, the name, i32 number of calls, i32
number of values, float32 values. A value is the mean square of an input column times the number of
calls. Then, but not in the first such files, i32 number of chunks, and the length and name of the
text.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ggmlkit.io.base import ARRAY_OF
from ggmlkit.io.mapped_file import Cursor, mapped_while_read
from ggmlkit.io.mapped_reader import MappedModelFile
from ggmlkit.io.mapped_tensor import mapped_tensor
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHUNK_COUNT, CHUNK_SIZE = "imatrix.chunk_count", "imatrix.chunk_size"
DATASETS = "imatrix.datasets"
SUMS, COUNTS = ".in_sum2", ".counts"

_U32, _STRING = 4, 8
_F32_ID = 0
_LONGEST_NAME = 256
_MOST_ENTRIES = 1 << 20


def is_imatrix_dat(start: bytes) -> bool:
    """Whether a file with these first bytes is one; the format has no magic number.

    It is, if they are a plausible number of entries and an entry with a printable name without
    spaces.
    """
    entries = int.from_bytes(start[:4], "little")
    length = int.from_bytes(start[4:8], "little")
    name = start[8 : 8 + length]
    sizes_fit = 0 < entries <= _MOST_ENTRIES and 0 < length <= _LONGEST_NAME
    return sizes_fit and bool(name) and all(0x21 <= byte < 0x7F for byte in name)


class ImatrixDatFile(MappedModelFile):
    """An ``imatrix.dat``, with the tensors of the gguf form: ``NAME.in_sum2``, ``NAME.counts``.

    Raises:
        FormatError: the file is damaged or truncated.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        with mapped_while_read(path) as self._file:
            super().__init__(Path(path), "imatrix")
            self._tensors = self._read(Cursor(self._file))

    def _read(self, cursor: Cursor) -> dict[str, Tensor]:
        count = cursor.i32("the number of entries")
        if count < 1:
            raise cursor.fail(f"the number of entries is {count}", 0)
        cursor.check_count(count, 12, "entries", 0)
        tensors: dict[str, Tensor] = {}
        for _ in range(count):
            self._read_entry(cursor, tensors)
        self._set("general.type", "imatrix", _STRING)
        if cursor.left:
            chunks = cursor.i32("the number of chunks")
            if chunks < 0:
                raise cursor.fail(f"the number of chunks is {chunks}", cursor.offset - 4)
            self._set(CHUNK_COUNT, chunks, _U32)
        if cursor.left:
            text = _name(cursor, "text", least=0)
            self._set(DATASETS, [text] if text else [], ARRAY_OF + _STRING)
        if cursor.left:
            raise cursor.fail(f"{cursor.left} bytes follow the end")
        return tensors

    def _read_entry(self, cursor: Cursor, tensors: dict[str, Tensor]) -> None:
        place = cursor.offset
        name = _name(cursor, "entry", least=1)
        calls = cursor.i32(f"the calls of {name!r}")
        columns = cursor.i32(f"the number of values of {name!r}")
        if calls < 0 or columns < 1:
            raise cursor.fail(f"entry {name!r} has {calls} calls and {columns} values", place)
        if name + SUMS in tensors:
            raise cursor.fail(f"entry {name!r} is there twice", place)
        sums = mapped_tensor(self._file, name + SUMS, _F32_ID, (1, columns), cursor.offset, place)
        cursor.skip(sums.nbytes, f"the values of {name!r}")
        tensors[sums.name] = sums
        # Files without counts of calls hold the means themselves.
        tensors[name + COUNTS] = Tensor("f32", (1, 1), _one_float(max(calls, 1)), name + COUNTS)

    def _set(self, key: str, value: object, kind: int) -> None:
        self.metadata[key] = value
        self.value_types[key] = kind


class DatEntry(NamedTuple):
    """An entry to write: its name, its number of calls, and float32 values."""

    name: str
    calls: int
    values: NDArray[np.float32]


def written(entries: Sequence[DatEntry], chunks: int, text: str) -> bytes:
    """The bytes of a file; ``chunks`` is their number, ``text`` the text's name."""
    parts = [struct.pack("<i", len(entries))]
    for entry in entries:
        name = entry.name.encode()
        parts += [struct.pack("<i", len(name)), name]
        parts += [struct.pack("<2i", entry.calls, entry.values.size)]
        parts += [entry.values.astype("<f4").tobytes()]
    raw = text.encode()
    return b"".join([*parts, struct.pack("<2i", chunks, len(raw)), raw])


def _one_float(value: float) -> Callable[[], NDArray[np.uint8]]:
    return lambda: np.array([value], np.float32).view(np.uint8)


def _name(cursor: Cursor, what: str, least: int) -> str:
    place = cursor.offset
    length = cursor.i32(f"the length of the {what}'s name")
    if length < least:
        raise cursor.fail(f"the {what}'s name has {length} bytes", place)
    raw = cursor.raw(length, f"the {what}'s name")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise cursor.fail(f"the {what}'s name {raw!r} is not UTF-8", place) from None
