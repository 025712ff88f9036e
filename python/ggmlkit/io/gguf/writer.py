"""Writes gguf, v3 by default, a tensor at a time."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from ggmlkit.errors import ConversionError
from ggmlkit.io.base import ARRAY_OF, ByteOrder
from ggmlkit.io.byteswap import in_other_order
from ggmlkit.io.gguf.header import ARRAY, DEFAULT_ALIGNMENT, MAGIC, MAX_DIMENSIONS, STRING
from ggmlkit.io.gguf.string_lists import StoredValues
from ggmlkit.io.gguf.values import checked_types, natural_type, numbers, packed_as
from ggmlkit.io.interleaved import plain_file_type
from ggmlkit.io.unknown_tensor import KeptBytes, refuse_unknown
from ggmlkit.io.writing.atomic import replacing
from ggmlkit.io.writing.stream import Progress, write_tensors
from ggmlkit.tensor import Tensor

_FILE_TYPE = "general.file_type"


def write_gguf(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    *,
    version: int = 3,
    byte_order: ByteOrder = "little",
    value_types: Mapping[str, int] | None = None,
    stored_values: Mapping[str, bytes] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a gguf file, replacing ``path`` when it is complete.

    Args:
        path: the file.
        tensors: by name, in the order to write; read one at a time.
        metadata: by key; ``general.alignment`` sets the alignment of the data.
        version: 1, 2 or 3.
        byte_order: of all numbers; ``"big"`` needs version 3.
        value_types: as in :class:`ModelFile`, for the keys whose type is to be kept; by default
            those of ``metadata`` that was read from a gguf file.
        stored_values: from :meth:`ModelFile.stored_values`, for the keys whose value is unchanged;
            copied, unless the file is version 1 or big-endian.
        threads: the number that read, convert and write at once; None for all that the process may
            use.
        progress: called before each tensor, and at the end.

    Raises:
        ConversionError: gguf can't hold something: a legacy block layout, a value without a type.
        UnsupportedTypeError: data of a type can't be converted to the other byte order, or a tensor
            is of an unknown type; :func:`ggmlkit.io.unknown_tensor.with_kept_bytes` turns such
            tensors into bytes to copy.
        OSError: the disk is full, or the folder can't be written.
    """
    plan = planned(tensors, metadata, version, byte_order, value_types, stored_values)
    with replacing(path) as file:
        plan.write(file, threads=threads, progress=progress)


@dataclass(frozen=True)
class FilePlan:
    """The layout of a file to write.

    Attributes:
        header: everything before the padding that precedes the data.
        placed: offset in the file, name and tensor, as stored, for each tensor.
        size: bytes of the whole file.
    """

    header: bytes
    placed: list[tuple[int, str, Tensor]]
    size: int

    def write(
        self, file: BinaryIO, *, threads: int | None = None, progress: Progress | None = None
    ) -> None:
        """Write everything into an empty file."""
        file.write(self.header)
        file.truncate(self.size)  # padding between tensors stays zero
        write_tensors(file, self.placed, threads=threads, progress=progress)


def planned(
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    version: int = 3,
    byte_order: ByteOrder = "little",
    value_types: Mapping[str, int] | None = None,
    stored_values: Mapping[str, bytes] | None = None,
) -> FilePlan:
    """The plan of the file that :func:`write_gguf` writes with these arguments; same errors."""
    _check_version(version, byte_order)
    refuse_unknown(tensors.values())
    metadata, stored_values = _of_plain_types(metadata, stored_values or {})
    alignment = alignment_of(metadata)
    header = HeaderBytes(version, byte_order)
    header.start(len(tensors), len(metadata))
    if value_types is None:
        value_types = metadata.value_types if isinstance(metadata, StoredValues) else {}
    value_types = checked_types(value_types)
    header.pairs(metadata, value_types, stored_values)
    offset = 0
    places = []
    for name, tensor in tensors.items():
        header.tensor_entry(name, tensor, offset)
        places.append((offset, name, _in_order(tensor, byte_order)))
        offset += tensor.nbytes + -tensor.nbytes % alignment
    start = len(header.bytes) + -len(header.bytes) % alignment
    placed = [(start + at, name, tensor) for at, name, tensor in places]
    return FilePlan(bytes(header.bytes), placed, start + offset)


def _of_plain_types(
    metadata: Mapping[str, Any], stored_values: Mapping[str, bytes]
) -> tuple[Mapping[str, Any], Mapping[str, bytes]]:
    """Metadata without the file types of interleaved layouts, whose tensors are written plain."""
    file_type = metadata.get(_FILE_TYPE)
    if type(file_type) is not int or plain_file_type(file_type) == file_type:
        return metadata, stored_values
    stored = {key: value for key, value in stored_values.items() if key != _FILE_TYPE}
    return {**metadata, _FILE_TYPE: plain_file_type(file_type)}, stored


def _in_order(tensor: Tensor, byte_order: ByteOrder) -> Tensor:
    """The tensor with its data in the file's byte order."""
    if isinstance(tensor, KeptBytes):
        return tensor.in_order(byte_order)
    return tensor if byte_order == sys.byteorder else in_other_order(tensor)


def _check_version(version: int, byte_order: ByteOrder) -> None:
    if version not in (1, 2, 3):
        raise ConversionError(f"gguf version {version} can't be written; 1, 2 and 3 can")
    if byte_order not in ("little", "big"):
        raise ConversionError(f"byte order {byte_order!r} is neither 'little' nor 'big'")
    if byte_order == "big" and version != 3:
        raise ConversionError(f"gguf v{version} is little-endian; v3 can be big-endian")


def alignment_of(metadata: Mapping[str, Any]) -> int:
    """Of the data, and of each tensor in it; raises ConversionError for no power of two."""
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    is_whole = isinstance(alignment, (int, np.integer)) and not isinstance(alignment, bool)
    if not is_whole or not 0 < alignment < 1 << 31 or alignment & (alignment - 1):
        raise ConversionError(f"general.alignment is {alignment!r}, which is not a power of two")
    return int(alignment)


class HeaderBytes:
    """A gguf header, built piece by piece."""

    def __init__(self, version: int, byte_order: ByteOrder = "little") -> None:
        self.bytes = bytearray()
        self._version = version
        self._byte_order = byte_order
        self._mark = "<" if byte_order == "little" else ">"
        self._count_form = self._mark + ("I" if version == 1 else "Q")

    def start(self, tensors: int, pairs: int) -> None:
        """Append the magic number, the version and the counts of tensors and metadata pairs."""
        self.bytes += MAGIC
        self._u32(self._version)
        self._count(tensors)
        self._count(pairs)

    def pairs(
        self,
        metadata: Mapping[str, Any],
        value_types: Mapping[str, int],
        stored_values: Mapping[str, bytes],
    ) -> None:
        """Append all metadata; stored values are copied if this header has the same form."""
        same_form = self._version > 1 and self._byte_order == "little"
        for key, value in metadata.items():
            if same_form and key in stored_values:
                self._text(key)
                self.bytes += stored_values[key]
            else:
                self._pair(key, value, value_types.get(key))

    def tensor_entry(self, name: str, tensor: Tensor, offset: int) -> None:
        """Append a tensor's name, shape, type and offset in the data."""
        if tensor.type.generation != "gguf":
            raise ConversionError(
                f"tensor {name} has the legacy layout {tensor.type}, which gguf doesn't have; "
                f"convert it with Tensor.astype()"
            )
        if len(tensor.shape) > MAX_DIMENSIONS:
            raise ConversionError(f"tensor {name} has {len(tensor.shape)} sizes; gguf allows 4")
        self._text(name)
        self._u32(len(tensor.shape))
        for size in reversed(tensor.shape):
            self._count(size)
        self._u32(tensor.type.ggml_id)
        self.bytes += struct.pack(self._mark + "Q", offset)

    def _pair(self, key: str, value: Any, kind: int | None) -> None:
        self._text(key)
        fitting = None if kind is None else packed_as(value, kind)
        if kind is None or fitting is None:
            # No type to keep, or the value has changed and no longer fits it.
            kind = natural_type(key, value)
        try:
            self._value(value, kind)
        except (ValueError, OverflowError, TypeError, struct.error) as error:
            raise ConversionError(f"{key} = {value!r} can't be written: {error}") from None

    def _u32(self, number: int) -> None:
        self.bytes += struct.pack(self._mark + "I", number)

    def _count(self, number: int) -> None:
        try:
            self.bytes += struct.pack(self._count_form, number)
        except struct.error:
            raise ConversionError(f"{number} is too large for gguf v{self._version}") from None

    def _text(self, text: str | bytes) -> None:
        raw = text.encode() if isinstance(text, str) else text
        self._count(len(raw))
        self.bytes += raw

    def _texts(self, texts: Iterable[str | bytes]) -> None:
        for text in texts:
            self._text(text)

    def _value(self, value: Any, kind: int) -> None:
        if kind >= ARRAY_OF:
            self._u32(ARRAY)
            self._elements(value, kind - ARRAY_OF)
            return
        self._u32(kind)
        if kind == STRING:
            self._text(value)
        else:
            self.bytes += numbers([value], kind, self._byte_order)

    def _elements(self, values: Any, kind: int) -> None:
        self._u32(kind)
        self._count(len(values))
        if kind == STRING:
            self._texts(values)
        elif kind == ARRAY:
            for inner in values:
                self._elements(inner, natural_type("", inner) - ARRAY_OF)
        else:
            self.bytes += numbers(values, kind, self._byte_order)
