"""Reads gguf v1, v2 and v3 of either byte order."""

from __future__ import annotations

import os
from pathlib import Path

from ggmlkit import types
from ggmlkit.errors import FormatError
from ggmlkit.io.base import LostTensor
from ggmlkit.io.gguf.extents import certain_sizes
from ggmlkit.io.gguf.header import DEFAULT_ALIGNMENT, HeaderReader, TensorEntry, version_and_order
from ggmlkit.io.gguf.string_lists import StoredValues
from ggmlkit.io.interleaved import RETIRED
from ggmlkit.io.mapped_file import mapped_while_read
from ggmlkit.io.mapped_reader import MappedModelFile
from ggmlkit.io.mapped_tensor import (
    interleaved_tensor,
    keep_bytes,
    lost_tensor,
    mapped_tensor,
    unknown_tensor,
)
from ggmlkit.io.unknown_tensor import UnknownTensor
from ggmlkit.tensor import Tensor


class GgufFile(MappedModelFile):
    """A gguf file. Opening reads the header only.

    A tensor of a type that this version doesn't know is an
    :class:`~ggmlkit.io.unknown_tensor.UnknownTensor`: its name and shape can be read. One of the
    interleaved layouts of 2024 has the plain type's blocks (:mod:`ggmlkit.io.interleaved`).

    Args:
        path: the file.
        lost: collects the tensors that lie outside the file, instead of raising an error.

    Attributes:
        alignment: of the data and of each tensor in it.
        terminated: whether strings end in a zero byte, as the first quantizer wrote them.
        data_start: where the data begins.

    Raises:
        FormatError: the header is damaged or truncated, or a tensor lies outside the file.
    """

    def __init__(self, path: str | os.PathLike[str], lost: list[LostTensor] | None = None) -> None:
        self._lost = lost
        self._offsets: dict[str, int] = {}
        self._value_ranges: dict[str, tuple[int, int]] = {}
        with mapped_while_read(path) as self._file:
            version, order = version_and_order(self._file)
            metadata = StoredValues()
            super().__init__(
                Path(path), "gguf", version=version, byte_order=order, metadata=metadata
            )
            metadata.value_types = self.value_types
            self._tensors = self._read(HeaderReader(self._file, version, order))

    def stored_values(self) -> dict[str, bytes]:
        """Each metadata value's bytes, type first; empty unless they are stored as in gguf v3."""
        buffer = self._file.buffer
        return {key: buffer[start:end] for key, (start, end) in self._value_ranges.items()}

    def ranges(self) -> list[tuple[int, int, str]]:
        """Start, size and name of each tensor's data.

        A tensor of an unknown type counts as one byte at least.
        """
        return [
            (self.data_start + offset, _least_size(self._tensors[name]), name)
            for name, offset in self._offsets.items()
        ]

    def header_bytes(self) -> bytes:
        """The file up to its data."""
        return self._file.buffer[: min(self.data_start, self._file.size)]

    def entry_bytes(self) -> bytes:
        """The part of the header that describes the tensors."""
        return self._file.buffer[self._entries]

    def _read(self, header: HeaderReader) -> dict[str, Tensor]:
        tensor_count, pair_count = header.count(), header.count()
        # Least sizes: a pair is a string, a type and one byte; a tensor's entry is a string, a
        # number of sizes, one type, one offset.
        cursor = header.cursor
        cursor.check_count(pair_count, header.width + 5, "metadata pairs", 8)
        for _ in range(pair_count):
            key, start = header.pair(self.metadata, self.value_types)
            self._value_ranges[key] = start, cursor.offset
        if self.byte_order == "big" or not header.wide or header.terminated:
            self._value_ranges.clear()  # stored in another form than gguf v3
        cursor.check_count(tensor_count, header.width + 16, "tensors", 8)
        start = cursor.offset
        entries = [header.tensor_entry() for _ in range(tensor_count)]
        self._entries = slice(start, cursor.offset)
        self.terminated = bool(header.terminated)
        self.alignment = self._alignment()
        cursor.align(self.alignment)
        self.data_start = cursor.offset
        tensors: dict[str, Tensor] = {}
        for entry in entries:
            if entry.name in tensors:
                raise cursor.fail(f"tensor {entry.name!r} is there twice", entry.place)
            try:
                tensors[entry.name] = self._tensor(entry)
                self._offsets[entry.name] = entry.offset
            except FormatError as error:
                if self._lost is None:
                    raise
                self._lost.append(lost_tensor(entry.name, entry.place, error))
        self._keep_unknown_bytes(
            tensors, {entry.name: self.data_start + entry.offset for entry in entries}
        )
        return tensors

    def _keep_unknown_bytes(self, tensors: dict[str, Tensor], starts: dict[str, int]) -> None:
        """Locate the bytes of tensors of unknown types, so that they can be copied.

        If that fails and lost tensors are collected, the tensor becomes a lost one. The start of a
        lost tensor still limits the size of the tensor before it.
        """
        unknown = {n: t for n, t in tensors.items() if isinstance(t, UnknownTensor)}
        if not unknown:
            return
        known = {n: t for n, t in tensors.items() if n not in unknown}
        empty = {n for n, t in unknown.items() if not t.size}
        # Writers pad the last tensor too: a file without that padding was cut short.
        padded = (self._file.size - self.data_start) % self.alignment == 0
        sizes = certain_sizes(
            [(starts[name], tensor.nbytes) for name, tensor in known.items()],
            {n: start for n, start in starts.items() if n not in known and n not in empty},
            self._file.size if padded else None,
        )
        for name, tensor in unknown.items():
            size = sizes.get(name) if tensor.size else 0
            if size is not None:
                keep_bytes(self._file, tensor, starts[name], size, self.byte_order)
            elif self._lost is not None:
                del tensors[name], self._offsets[name]
                reason = f"its size is not known, because its {tensor.type} is not known"
                self._lost.append(LostTensor(name, tensor.place, reason))

    def _alignment(self) -> int:
        alignment = self.metadata.get("general.alignment", DEFAULT_ALIGNMENT)
        valid = type(alignment) is int and 0 < alignment < 1 << 32
        if not valid or alignment & (alignment - 1):
            raise FormatError(
                self.path,
                None,
                f"general.alignment is {alignment!r}, which is not a power of two",
            )
        return int(alignment)

    def _tensor(self, entry: TensorEntry) -> Tensor:
        start = self.data_start + entry.offset
        if entry.offset % self.alignment:
            raise FormatError(
                self.path,
                entry.place,
                f"tensor {entry.name!r} starts at {entry.offset} of the data, "
                f"which is not a multiple of {self.alignment}",
            )
        file, name, number, shape = self._file, entry.name, entry.type_id, entry.shape
        if number in RETIRED:
            return interleaved_tensor(
                file, name, RETIRED[number], shape, start, entry.place, self.byte_order
            )
        if not types.is_known(number):
            return unknown_tensor(file, name, number, shape, start, entry.place)
        return mapped_tensor(
            file, name, number, shape, start, entry.place, byte_order=self.byte_order
        )


def _least_size(tensor: Tensor) -> int:
    """The least number of bytes of a tensor's data; exact for a known type."""
    if not isinstance(tensor, UnknownTensor):
        return tensor.nbytes
    return min(1, tensor.size) if tensor.kept is None else tensor.kept.nbytes
