"""Importance matrices: how strongly some texts use each input column of a weight.

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
    """The collected data of one weight.

    Attributes:
        sums: sums of the squares of each input column, float32 ``(matrices, columns)``; one matrix
            unless the weight holds several experts.
        counts: numbers of tokens (or calls) in the sums, float32 ``(matrices,)``.
    """

    sums: Floats
    counts: Floats

    @property
    def means(self) -> Floats:
        """Mean square of each column, ``(matrices, columns)``; ones if nothing was counted."""
        counts = self.counts[:, np.newaxis]
        return np.where(counts > 0, self.sums / np.maximum(counts, 1), np.float32(1))


@dataclass(frozen=True)
class Imatrix:
    """An importance matrix.

    Attributes:
        entries: by the weight's name, such as ``blk.0.attn_q.weight``.
        datasets: names of the texts.
        chunk_count: number of chunks of text; 0 if the file doesn't have it.
        chunk_size: tokens of each chunk; 0 if the file doesn't have it.
    """

    entries: Mapping[str, ImatrixEntry]
    datasets: list[str] = field(default_factory=list)
    chunk_count: int = 0
    chunk_size: int = 0

    @property
    def importance(self) -> dict[str, Floats]:
        """The mean square of each column of each weight, by name.

        ``(columns,)``, or ``(experts, columns)`` for a weight that holds several experts. Zeros if
        nothing was counted: such a matrix is quantized as without importance.
        """
        importance = {}
        for name, entry in self.entries.items():
            means = np.where(entry.counts[:, np.newaxis] > 0, entry.means, np.float32(0))
            importance[name] = means[0] if len(means) == 1 else means
        return importance


def is_imatrix(file: ModelFile) -> bool:
    """Whether an open file is an importance matrix."""
    kind = file.metadata.get("general.type")
    return file.container == "imatrix" or (isinstance(kind, str) and kind == "imatrix")


def read_imatrix(path: str | os.PathLike[str]) -> Imatrix:
    """Read an importance matrix of either form.

    As in llama.cpp, tensors with other name endings than the two known ones are left out.

    Raises:
        FormatError: the file is damaged or not an importance matrix, or a number in it is negative
            or not finite.
        OSError: it can't be opened.
    """
    check_paths(path=path)
    with open_file(path) as file:
        if not is_imatrix(file):
            raise FormatError(path, None, "this is not an importance matrix")
        names = [name.removesuffix(SUMS) for name in file if name.endswith(SUMS)]
        for name in file:
            if name.endswith(COUNTS) and name.removesuffix(COUNTS) + SUMS not in file:
                raise FormatError(path, None, f"{name!r} has no sums beside it")
        if not names:
            raise FormatError(path, None, "the importance matrix has no entries")
        return Imatrix(
            {name: _entry(file, name) for name in names},
            _datasets(file),
            _count(file, CHUNK_COUNT),
            _count(file, CHUNK_SIZE),
        )


def save_imatrix(path: str | os.PathLike[str], imatrix: Imatrix) -> None:
    """Write an importance matrix as gguf, for llama.cpp's programs.

    Raises:
        OSError: the disk is full, or the folder can't be written.
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
    """A copy of a tensor's values."""
    tensor = file[name]
    if tensor.type.name != "f32":
        raise FormatError(file.path, None, f"{name!r} is {tensor.type}, but must be f32")
    values: Floats = tensor.numpy().copy()
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if bad.size:
        raise FormatError(
            file.path, None, f"{name!r} holds {values.reshape(-1)[bad[0]]} at {int(bad[0])}"
        )
    return values


def _datasets(file: ModelFile) -> list[str]:
    names = file.metadata.get(DATASETS, [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise FormatError(file.path, None, f"{DATASETS} is not a list of text")
    return names


def _count(file: ModelFile, key: str) -> int:
    count = file.metadata.get(key, 0)
    if type(count) is not int or count < 0:
        raise FormatError(file.path, None, f"{key} is {count!r}, which is not a count")
    return count
