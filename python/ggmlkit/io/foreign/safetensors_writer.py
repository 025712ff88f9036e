"""Writes safetensors files, several threads making and writing parts of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

from ggmlkit.io.foreign.safetensors import safetensors_header
from ggmlkit.io.writing.stream import Progress, write_tensors
from ggmlkit.tensor import Tensor

_NOTES = {"format": "pt"}  # which transformers asks for


def write_safetensors(
    file: BinaryIO,
    tensors: Mapping[str, Tensor],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Fill an empty file with float or integer tensors, in their order.

    Args:
        file: open for writing, empty.
        tensors: by name.
        threads: that read, convert and write at once; None for all the process may use.
        progress: as ``gk.save`` calls it.
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
