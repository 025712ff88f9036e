"""Frees the memory of a mapped file's pages once they are read."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def release(data: npt.NDArray[np.uint8]) -> None:
    """Free the pages behind a view of a read-only mapped file; does nothing for other arrays.

    Otherwise a large file that is read once from end to end would count as this process's memory.
    The view stays valid: a freed page is loaded from the file again when it is accessed.
    """
    mapped = _mapping(data)
    if mapped is None or not hasattr(mmap, "MADV_DONTNEED") or data.size == 0:
        return
    with memoryview(mapped) as content:
        if not content.readonly:
            return  # a writable mapping would lose changes that aren't in the file
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
