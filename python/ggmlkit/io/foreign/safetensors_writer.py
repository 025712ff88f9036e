"""Writes safetensors files; several threads make and write parts of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from ggmlkit.io.foreign.safetensors import safetensors_header
from ggmlkit.io.writing.stream import Progress, write_tensors
from ggmlkit.tensor import Tensor

_NOTES = {"format": "pt"}  # transformers requires it


def write_safetensors(
    file: BinaryIO,
    tensors: Mapping[str, Tensor],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write float or integer tensors into an empty file, in their order.

    Args:
        file: open for writing, empty.
        tensors: by name.
        threads: the number that read, convert and write at once; None for all that the process may
            use.
        progress: as in ``gk.save``.
    """
    header = safetensors_header(
        [(name, tensor.type.name, tensor.shape) for name, tensor in tensors.items()], _NOTES
    )
    file.write(header)
    offset = len(header)
    placed = []
    for name, tensor in tensors.items():
        placed.append((offset, name, tensor))
        offset += tensor.nbytes
    file.truncate(offset)
    write_tensors(file, placed, threads=threads, progress=progress)
