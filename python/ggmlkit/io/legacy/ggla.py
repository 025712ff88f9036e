"""Reads and writes LoRA adapters in the format before gguf (``ggla``)."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.io.legacy.tensors import ALIGNMENT, read_tensors, tensor_header
from ggmlkit.io.mapped_file import Cursor, mapped_while_read
from ggmlkit.io.mapped_reader import MappedModelFile
from ggmlkit.io.writing.atomic import replacing
from ggmlkit.io.writing.stream import Progress, write_tensors
from ggmlkit.tensor import Tensor

MAGIC = b"algg"
ALPHA, RANK = "adapter.lora.alpha", "adapter.lora.rank"
_VERSION = 1
_U32, _F32, _STRING = 4, 6, 8


class LoraFile(MappedModelFile):
    """A ggla file: ``W.loraA`` and ``W.loraB`` for each weight ``W`` that it changes.

    The weight becomes ``W + alpha / rank * loraB @ loraA.T``; ``loraA`` is stored ``(in, rank)``,
    ``loraB`` ``(out, rank)``. The metadata has alpha and rank under gguf's keys.

    Attributes:
        rank: of the adapter update, also called r.
        alpha: its strength before division by the rank.

    Raises:
        FormatError: the file is damaged or truncated, a pair is incomplete, or a shape doesn't fit.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        with mapped_while_read(path) as self._file:
            cursor = Cursor(self._file)
            version = _version(cursor)
            super().__init__(Path(path), "ggla", version=version)
            self.rank = cursor.i32("r")
            self.alpha = cursor.i32("alpha")
            if self.rank < 1:
                raise cursor.fail(f"r is {self.rank}", 8)
            self._tensors = read_tensors(cursor, "gguf", aligned=True)
            _check_pairs(Path(path), self.rank, self._tensors)
        self._describe()

    @property
    def pairs(self) -> dict[str, tuple[Tensor, Tensor]]:
        """``(loraA, loraB)`` of each weight by the weight's own name."""
        bases = [name[:-6] for name in self._tensors if name.endswith(".loraA")]
        return {n: (self._tensors[f"{n}.loraA"], self._tensors[f"{n}.loraB"]) for n in bases}

    def _describe(self) -> None:
        for key, value, kind in (
            ("general.type", "adapter", _STRING),
            ("adapter.type", "lora", _STRING),
            (ALPHA, float(self.alpha), _F32),
            (RANK, self.rank, _U32),
        ):
            self.metadata[key] = value
            self.value_types[key] = kind


def write_lora(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a ggla file, replacing ``path`` when it is complete.

    Args:
        path: the file.
        tensors: ``NAME.loraA`` ``(in, rank)`` and ``NAME.loraB`` ``(out, rank)`` of each weight.
        metadata: ``adapter.lora.alpha``, an integer.
        threads: the number that read, convert and write at once; None for all that the process may
            use.
        progress: called before each tensor, and at the end.

    Raises:
        ConversionError: a tensor has no partner, ggla lacks its shape or type, or alpha is not an
            integer.
        OSError: the disk is full, or the folder can't be written.
    """
    alpha = metadata.get(ALPHA)
    if alpha is None or float(alpha) != int(alpha) or not -(1 << 31) <= alpha < 1 << 31:
        raise ConversionError(f"ggla stores alpha as an integer, but {ALPHA} is {alpha!r}")
    rank = _rank(path, tensors)
    with replacing(path) as file:
        file.write(MAGIC + struct.pack("<Iii", _VERSION, rank, int(alpha)))
        placed = []
        for name, tensor in tensors.items():
            if tensor.type.generation != "gguf":
                raise ConversionError(f"tensor {name} is {tensor.type}, which ggla doesn't have")
            file.write(tensor_header(name, tensor))
            start = file.tell() + -file.tell() % ALIGNMENT
            placed.append((start, name, tensor))
            file.seek(start + tensor.nbytes)
        file.truncate()
        write_tensors(file, placed, threads=threads, progress=progress)


def _version(cursor: Cursor) -> int:
    if cursor.raw(4, "the magic number") != MAGIC:
        raise cursor.fail("this is not a ggla file", 0)
    version = cursor.u32("the version")
    if version != _VERSION:
        raise cursor.fail(f"ggla version {version} is not known", 4)
    return version


def _rank(path: str | os.PathLike[str], tensors: Mapping[str, Tensor]) -> int:
    if not tensors:
        raise ConversionError("an adapter without tensors has no rank")
    shape = next(iter(tensors.values())).shape
    rank = shape[-1] if shape else 0
    try:
        _check_pairs(Path(path), rank, tensors)
    except FormatError as error:
        raise ConversionError(f"ggla can't hold this adapter: {error.reason}") from None
    return rank


def _check_pairs(path: Path, rank: int, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        base, dot, half = name.rpartition(".")
        if half not in ("loraA", "loraB") or not dot:
            raise FormatError(path, None, f"tensor {name!r} is called neither .loraA nor .loraB")
        partner = f"{base}.lora{'B' if half == 'loraA' else 'A'}"
        if partner not in tensors:
            raise FormatError(path, None, f"tensor {name!r} has no partner {partner!r}")
        if len(tensor.shape) != 2 or tensor.shape[1] != rank:
            raise FormatError(
                path, None, f"tensor {name!r} has shape {tensor.shape}, but r is {rank}"
            )
