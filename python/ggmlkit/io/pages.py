"""Giving back the memory of a mapped file's pages once they are read."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def release(data: npt.NDArray[np.uint8]) -> None:
    """Let go of the pages behind a view of a file mapped to be read; of any other array, nothing.

    A large file read once from end to end would otherwise count as this process's memory. The
    view stays valid: a page that is looked at again comes back from the file.
    """
    mapped = _mapping(data)
    if mapped is None or not hasattr(mmap, "MADV_DONTNEED") or data.size == 0:
        return
    with memoryview(mapped) as content:
        if not content.readonly:
            return  # pages that were written to, and aren't the file's, would lose that
    offset = data.ctypes.data - np.frombuffer(mapped, np.uint8, 1).ctypes.data
    first = offset - offset % mmap.PAGESIZE
    mapped.madvise(mmap.MADV_DONTNEED, first, offset + data.size - first)


def _mapping(data: npt.NDArray[np.uint8]) -> mmap.mmap | None:
    owner: Any = data
    while isinstance(owner, np.ndarray):
        owner = owner.base
    if isinstance(owner, memoryview):
        owner = owner.obj
    return owner if isinstance(owner, mmap.mmap) else None
