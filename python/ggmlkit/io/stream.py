"""Tensors to a file, one at a time, with progress."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import BinaryIO

from ggmlkit.tensor import Tensor

Progress = Callable[[int, int, str], None]
"""Called with (bytes done, bytes in all, name of the tensor that comes next, "" at the end)."""


def write_tensors(
    out: BinaryIO,
    tensors: Mapping[str, Tensor],
    write: Callable[[BinaryIO, Tensor], None],
    progress: Progress | None,
) -> None:
    """Call ``write`` for each tensor; only one tensor's data is alive at a time."""
    total = sum(tensor.nbytes for tensor in tensors.values())
    done = 0
    for name, tensor in tensors.items():
        if progress is not None:
            progress(done, total, name)
        write(out, tensor)
        done += tensor.nbytes
    if progress is not None:
        progress(done, total, "")
