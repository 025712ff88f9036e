"""Importance matrices: how strongly some texts use each input column of a weight.

llama.cpp's ``llama-imatrix`` makes them, as gguf (``general.type`` = ``imatrix``) or as the older
``imatrix.dat``; both are read and written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ggmlkit.arguments import check_paths, shown
from ggmlkit.errors import ArgumentError, FormatError
from ggmlkit.io import open as open_file
from ggmlkit.io.base import ModelFile
from ggmlkit.io.gguf.writer import write_gguf
from ggmlkit.io.imatrix_dat import CHUNK_COUNT, CHUNK_SIZE, COUNTS, DATASETS, SUMS, DatEntry
from ggmlkit.io.imatrix_dat import written as written_dat
from ggmlkit.io.writing.atomic import replacing
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

Form = Literal["gguf", "dat"]
FORMS: tuple[Form, ...] = ("gguf", "dat")

# Keys of ours, which other programs leave alone.
_WORK, _DONE, _CHUNKS = (f"ggmlkit.imatrix.{part}" for part in ("work", "done", "chunks"))


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
class Work:
    """How far the making of an importance matrix came.

    Attributes:
        digest: of the model, the text and the settings.
        done: chunks of the text that are in the sums.
        chunks: all that there are.
    """

    digest: str
    done: int
    chunks: int


@dataclass(frozen=True)
class Imatrix:
    """An importance matrix.

    Attributes:
        entries: by the weight's name, such as ``blk.0.attn_q.weight``.
        datasets: names of the texts.
        chunk_count: number of chunks of text; 0 if the file doesn't have it.
        chunk_size: tokens of each chunk; 0 if the file doesn't have it: then the entries' counts
            are of chunks.
        work: how far its making came; None if the file doesn't say that.
    """

    entries: Mapping[str, ImatrixEntry]
    datasets: list[str] = field(default_factory=list)
    chunk_count: int = 0
    chunk_size: int = 0
    work: Work | None = None

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
            _work(file),
        )


def checked_form(path: str | os.PathLike[str], form: object) -> Form:
    """The form that a file is written in: by its suffix, ``.dat`` or any other, if None.

    Raises:
        ArgumentError: there is no such form.
    """
    if form is None:
        return "dat" if os.fspath(path).endswith(".dat") else "gguf"
    for known in FORMS:
        if form == known:
            return known
    raise ArgumentError(f"the form of an importance matrix is {shown(form)}, not 'gguf' or 'dat'")


def save_imatrix(path: str | os.PathLike[str], imatrix: Imatrix, form: Form | None = None) -> None:
    """Write an importance matrix for llama.cpp's programs, replacing ``path`` when it is complete.

    Args:
        path: the file.
        imatrix: what to write.
        form: "gguf", or "dat" for programs of before mid-2025, which has less: no numbers of
            tokens, of several texts only the last one's name, and no entries without counts.
            "dat" by default if the path ends with ``.dat``.

    Raises:
        ArgumentError: an unknown form.
        OSError: the disk is full, or the folder can't be written.
    """
    check_paths(path=path)
    if checked_form(path, form) == "dat":
        with replacing(path) as file:
            file.write(_dat_form(imatrix))
        return
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
    if imatrix.work is not None:
        metadata |= {_WORK: imatrix.work.digest, _DONE: imatrix.work.done}
        metadata[_CHUNKS] = imatrix.work.chunks
    write_gguf(path, tensors, metadata)


def _dat_form(imatrix: Imatrix) -> bytes:
    size = imatrix.chunk_size or 1  # without, counts are of chunks
    entries = []
    for name, entry in sorted(imatrix.entries.items()):
        if entry.counts.any():
            calls = -(-int(entry.counts.max()) // size)
            entries.append(DatEntry(name, calls, (entry.means * np.float32(calls)).reshape(-1)))
    text = imatrix.datasets[-1] if imatrix.datasets else ""
    return written_dat(entries, imatrix.chunk_count, text)


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


def _work(file: ModelFile) -> Work | None:
    digest = file.metadata.get(_WORK)
    if not isinstance(digest, str):
        return None
    done, chunks = _count(file, _DONE), _count(file, _CHUNKS)
    if done > chunks:
        raise FormatError(file.path, None, f"{_DONE} is {done}, more than the {chunks} there are")
    return Work(digest, done, chunks)


def _count(file: ModelFile, key: str) -> int:
    count = file.metadata.get(key, 0)
    if type(count) is not int or count < 0:
        raise FormatError(file.path, None, f"{key} is {count!r}, which is not a count")
    return count
