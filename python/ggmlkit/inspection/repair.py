"""Saves the whole tensors of a file that was cut short in a new file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ggmlkit.arch import tensor_names as names
from ggmlkit.arguments import check_paths, check_progress
from ggmlkit.errors import ConversionError, GgmlkitError
from ggmlkit.io.base import LostTensor
from ggmlkit.io.gguf.header import MAGIC
from ggmlkit.io.gguf.parts import KEYS
from ggmlkit.io.gguf.reader import GgufFile
from ggmlkit.io.gguf.writer import write_gguf
from ggmlkit.io.legacy.one_file import MAGICS, VERSIONS
from ggmlkit.io.legacy.reader import LegacyFile
from ggmlkit.io.targets import refuse_overwriting
from ggmlkit.io.unknown_tensor import with_kept_bytes
from ggmlkit.io.writing.atomic import replacing
from ggmlkit.io.writing.stream import Progress

_CHUNK = 1 << 20
_MOST_LAYERS = 1000  # that are looked for by name: no file has more


@dataclass(frozen=True)
class RepairReport:
    """What became of a file's tensors.

    Attributes:
        saved: names of those written.
        lost: those that were not whole, in file order.
    """

    saved: list[str]
    lost: list[LostTensor]


def repair_file(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
) -> RepairReport:
    """Write a gguf, ggjt, ggmf or ggml file's metadata and its whole tensors to ``out``.

    The header must be whole, because it says where the tensors are. In files older than gguf each
    tensor says where the next begins, so none can be found after the damage. A part of a model in
    several gguf files becomes a file of its own.

    Args:
        path: the file, cut short or damaged after its header.
        out: the file to write.
        progress: as ``gk.save`` calls it.

    Raises:
        FormatError: the header is damaged.
        ConversionError: a file of another container.
        ArgumentError: ``out`` is the file itself.
        GgmlkitError: not one tensor is whole.
        OSError: a file can't be read or written.
    """
    check_paths(path=path, out=out)
    refuse_overwriting(out, path)
    check_progress(progress)
    source = Path(path)
    with source.open("rb") as file:
        start = file.read(4)
    if start == MAGIC:
        return _repair_gguf(source, Path(out), progress)
    if MAGICS.get(start) in VERSIONS:
        return _repair_legacy(source, Path(out), progress)
    raise ConversionError(
        f"{source} is neither gguf nor ggjt, ggmf or ggml; only these can be repaired"
    )


def _repair_gguf(path: Path, out: Path, progress: Progress | None) -> RepairReport:
    lost: list[LostTensor] = []
    with GgufFile(path, lost) as file:
        _check_any(path, file.names)
        write_gguf(
            out,
            with_kept_bytes(file.tensors),
            {key: value for key, value in file.metadata.items() if key not in KEYS},
            version=file.version or 3,
            byte_order=file.byte_order,
            value_types=file.value_types,
            stored_values=file.stored_values(),
            progress=progress,
        )
        return RepairReport(file.names, lost)


def _repair_legacy(path: Path, out: Path, progress: Progress | None) -> RepairReport:
    lost: list[LostTensor] = []
    with LegacyFile(path, lost) as file:
        _check_any(path, file.names)
        # The tensors lie one after the other: everything before the damage is valid.
        end = lost[0].offset if lost else None
        _copy(path, out, path.stat().st_size if end is None else end, progress)
        # A file cut between two tensors looks whole; the number of layers says what it should have.
        known = {*file.names, *(tensor.name for tensor in lost)}
        lost += [
            LostTensor(name, None, "the file ends before it")
            for name in _llama_names(file.hyperparameters.n_layer)
            if name not in known
        ]
        return RepairReport(file.names, lost)


def _check_any(path: Path, saved: list[str]) -> None:
    if not saved:
        raise GgmlkitError(f"{path}: no tensor is whole, so there is nothing to save")


def _copy(path: Path, out: Path, size: int, progress: Progress | None) -> None:
    with path.open("rb") as source, replacing(out) as target:
        left = size
        while left and (chunk := source.read(min(_CHUNK, left))):
            if progress is not None:
                progress(size - left, size, "")
            target.write(chunk)
            left -= len(chunk)
    if progress is not None:
        progress(size, size, "")


def _llama_names(layers: int) -> Iterator[str]:
    """Meta's names of all matrices and norms of a model."""
    own = [names.EMBEDDINGS, names.OUTPUT_NORM, names.OUTPUT]
    for layer in range(min(layers, _MOST_LAYERS)):
        own += names.block_names(layer)
    for name in own:
        if (meta := names.to_meta(name)) is not None:
            yield meta
