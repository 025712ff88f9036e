"""Large arrays: in memory up to a limit, past it in files without a name."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)


class Spilling:
    """Makes arrays of zeros.

    They live in memory until all of them would take more than the limit, and then in files of a
    folder, which the system writes when memory is short. The files have no name: nothing is left
    of them, however the process ends.

    Args:
        folder: of the files.
        limit: bytes in memory at most.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._left = limit

    def zeros(self, shape: tuple[int, ...], dtype: type[_Scalar]) -> NDArray[_Scalar]:
        """A new array.

        Raises:
            OSError: the disk is full.
        """
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if nbytes <= self._left:
            self._left -= nbytes
            return np.zeros(shape, dtype)
        return _in_file(self._folder, nbytes, shape, dtype)

    def free(self, array: NDArray[Any]) -> None:
        """Count an array that is not used any more."""
        if not isinstance(array, np.memmap):
            self._left += array.nbytes


def _in_file(
    folder: Path, nbytes: int, shape: tuple[int, ...], dtype: type[_Scalar]
) -> NDArray[_Scalar]:
    with tempfile.TemporaryFile(dir=folder) as file:
        # A full disk is an error now; later, it would be a signal that ends the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, max(1, nbytes))
        else:
            file.truncate(max(1, nbytes))
        return np.memmap(file, dtype, "r+", shape=shape)
