"""Joins importance matrices of several texts, or of several runs, into one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.arguments import whole
from ggmlkit.errors import ArgumentError, ImportanceError
from ggmlkit.io.imatrix import Imatrix, ImatrixEntry, read_imatrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]


def merge_imatrices(paths: Sequence[str | os.PathLike[str]], chunk_size: int = 512) -> Imatrix:
    """The importance matrix of all that several files were made of.

    Sums and counts are added, so a file of more tokens has more weight.

    Args:
        paths: files of either form, one or more.
        chunk_size: tokens of a chunk in files that don't say it (imatrix.dat), and in the result.

    Raises:
        ArgumentError: there are no paths, or ``chunk_size`` is below 1.
        ImportanceError: the files are of different models.
        FormatError: a file is damaged or not an importance matrix.
        OSError: it can't be opened.
    """
    chunk_size = whole(chunk_size, "chunk_size", least=1)
    if isinstance(paths, (str, os.PathLike)) or not paths:
        raise ArgumentError("paths must be a list of one importance matrix or more")
    entries: dict[str, ImatrixEntry] = {}
    datasets: list[str] = []
    for path in paths:
        part = _in_tokens(read_imatrix(path), chunk_size)
        _check_same_model(entries, part, path)
        for name, entry in part.entries.items():
            entries[name] = _sum(entries[name], entry, path, name) if name in entries else entry
        datasets += part.datasets
    most = max(float(entry.counts.max()) for entry in entries.values())
    return Imatrix(entries, datasets, int(most) // chunk_size, chunk_size)


def _in_tokens(imatrix: Imatrix, chunk_size: int) -> Imatrix:
    """The same with counts of tokens, where they are of chunks."""
    if imatrix.chunk_size:
        return imatrix
    size = np.float32(chunk_size)
    entries = {
        name: ImatrixEntry(entry.sums * size, entry.counts * size)
        for name, entry in imatrix.entries.items()
    }
    return Imatrix(entries, imatrix.datasets, imatrix.chunk_count, chunk_size)


def _check_same_model(
    entries: dict[str, ImatrixEntry], part: Imatrix, path: str | os.PathLike[str]
) -> None:
    if entries and not entries.keys() & part.entries.keys():
        raise ImportanceError(
            f"{os.fspath(path)} is another model's than the files before it: they have no matrix "
            f"in common, such as {next(iter(part.entries))}"
        )


def _sum(
    one: ImatrixEntry, other: ImatrixEntry, path: str | os.PathLike[str], name: str
) -> ImatrixEntry:
    matrices = max(len(one.counts), len(other.counts))
    if one.sums.size != other.sums.size or not {len(one.counts), len(other.counts)} <= {
        1,
        matrices,
    }:
        raise ImportanceError(
            f"{os.fspath(path)} is another model's than the files before it: {name} has "
            f"{_shape(other)} columns there, and {_shape(one)} in them"
        )
    sums, counts = (np.add(*(_apart(each, matrices)[i] for each in (one, other))) for i in range(2))
    return ImatrixEntry(sums, counts)


def _apart(entry: ImatrixEntry, matrices: int) -> tuple[Floats, Floats]:
    """Sums and counts of each matrix; imatrix.dat has one count for all."""
    return entry.sums.reshape(matrices, -1), np.broadcast_to(entry.counts, matrices)


def _shape(entry: ImatrixEntry) -> str:
    matrices, columns = entry.sums.shape
    return f"{matrices} × {columns}" if matrices > 1 else str(columns)
