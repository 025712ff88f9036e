"""Importance matrices: how strongly each input column of a weight was used on some text.

llama.cpp's ``llama-imatrix`` makes them, as gguf (``general.type`` = ``imatrix``) or as the older
``imatrix.dat``; both are read, gguf is written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.arguments import check_paths
from ggmlkit.errors import FormatError
from ggmlkit.io import open as open_file
from ggmlkit.io.base import ModelFile
from ggmlkit.io.gguf.writer import write_gguf
from ggmlkit.io.imatrix_dat import CHUNK_COUNT, CHUNK_SIZE, COUNTS, DATASETS, SUMS
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ImatrixEntry:
    """What was collected for one weight.

    Attributes:
        sums: of the squares of each input column, float32 ``(matrices, columns)``; one matrix
            unless the weight holds several experts.
        counts: tokens (or calls) that were summed, float32 ``(matrices,)``.
    """

    sums: Floats
    counts: Floats

    @property
    def means(self) -> Floats:
        """Mean square of each column, ``(matrices, columns)``; ones where nothing was counted."""
        counts = self.counts[:, np.newaxis]
        return np.where(counts > 0, self.sums / np.maximum(counts, 1), np.float32(1))


@dataclass(frozen=True)
class Imatrix:
    """An importance matrix.

    Attributes:
        entries: by the weight's own name, such as ``blk.0.attn_q.weight``.
        datasets: names of the texts.
        chunk_count: pieces of text that went in; 0 where the file doesn't say.
        chunk_size: tokens of each; 0 where the file doesn't say.
    """

    entries: Mapping[str, ImatrixEntry]
    datasets: list[str] = field(default_factory=list)
    chunk_count: int = 0
    chunk_size: int = 0

    @property
    def importance(self) -> dict[str, Floats]:
        """The mean square of each column of each weight, by name.

        ``(columns,)``, or ``(experts, columns)`` of a weight that holds several experts. Zeros
        where nothing was counted: such a matrix is quantized as if there were no importance.
        """
        found = {}
        for name, entry in self.entries.items():
            seen = np.where(entry.counts[:, np.newaxis] > 0, entry.means, np.float32(0))
            found[name] = seen[0] if len(seen) == 1 else seen
        return found


def is_imatrix(file: ModelFile) -> bool:
    """Whether an open file is an importance matrix."""
    kind = file.metadata.get("general.type")
    return file.container == "imatrix" or (isinstance(kind, str) and kind == "imatrix")


def read_imatrix(path: str | os.PathLike[str]) -> Imatrix:
    """Read an importance matrix of either form.

    Tensors of other endings than the two known are left out, as llama.cpp does.

    Raises:
        FormatError: the file is damaged or no importance matrix, or a number in it is negative or
            not finite.
        OSError: it can't be opened.
    """
    check_paths(path=path)
    with open_file(path) as file:
        if not is_imatrix(file):
            raise FormatError(path, None, "this is no importance matrix")
        names = [name.removesuffix(SUMS) for name in file if name.endswith(SUMS)]
        for name in file:
            if name.endswith(COUNTS) and name.removesuffix(COUNTS) + SUMS not in file:
                raise FormatError(path, None, f"{name!r} has no sums beside it")
        if not names:
            raise FormatError(path, None, "the importance matrix has no entries")
        return Imatrix(
            {name: _entry(file, name) for name in names},
            _datasets(file),
            _whole(file, CHUNK_COUNT),
            _whole(file, CHUNK_SIZE),
        )


def save_imatrix(path: str | os.PathLike[str], imatrix: Imatrix) -> None:
    """Write an importance matrix as gguf, as llama.cpp's programs read it.

    Raises:
        OSError: the disk is full, the folder can't be written.
    """
    tensors: dict[str, Tensor] = {}
    for name, entry in sorted(imatrix.entries.items()):
        tensors[name + SUMS] = _stored(entry.sums)
        tensors[name + COUNTS] = _stored(entry.counts[:, np.newaxis])
    metadata: dict[str, Any] = {
        "general.type": "imatrix",
        DATASETS: imatrix.datasets,
        CHUNK_COUNT: imatrix.chunk_count,
        CHUNK_SIZE: imatrix.chunk_size,
    }
    write_gguf(path, tensors, metadata)


def _stored(values: Floats) -> Tensor:
    data = np.ascontiguousarray(values, np.float32)
    return Tensor("f32", data.shape, data.reshape(-1).view(np.uint8))


def _entry(file: ModelFile, name: str) -> ImatrixEntry:
    if name + COUNTS not in file:
        raise FormatError(file.path, None, f"{name + SUMS!r} has no counts beside it")
    sums, counts = _numbers(file, name + SUMS), _numbers(file, name + COUNTS).reshape(-1)
    if not counts.size or sums.size % counts.size:
        raise FormatError(
            file.path, None, f"{name!r} has {sums.size} sums for {counts.size} matrices"
        )
    return ImatrixEntry(sums.reshape(counts.size, -1), counts)


def _numbers(file: ModelFile, name: str) -> Floats:
    """A tensor's values, in memory of their own."""
    tensor = file[name]
    if tensor.type.name != "f32":
        raise FormatError(file.path, None, f"{name!r} is {tensor.type}, but f32 in every such file")
    values: Floats = tensor.numpy().copy()
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if bad.size:
        raise FormatError(
            file.path, None, f"{name!r} holds {values.reshape(-1)[bad[0]]} at {int(bad[0])}"
        )
    return values


def _datasets(file: ModelFile) -> list[str]:
    found = file.metadata.get(DATASETS, [])
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise FormatError(file.path, None, f"{DATASETS} is no list of text")
    return found


def _whole(file: ModelFile, key: str) -> int:
    found = file.metadata.get(key, 0)
    if type(found) is not int or found < 0:
        raise FormatError(file.path, None, f"{key} is {found!r}, which is no count")
    return found
