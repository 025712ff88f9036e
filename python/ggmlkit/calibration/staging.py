"""Rounded matrices on their way to the new file, which takes them in another order."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from ggmlkit.closing import Closing
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def naming(out: Path) -> Iterator[None]:
    """A full disk is an error that names the new file, not a temporary one without a name."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise OSError(error.errno, error.strerror, os.fspath(out)) from error
        raise


class Staging(Closing):
    """A file without a name in the new file's folder: nothing is left of it at the end.

    Args:
        out: the new file.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._file = _without_name(out)
        self._end = 0
        self._tensors: dict[str, Tensor] = {}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Those that are complete, mapped."""
        return self._tensors

    def place(self, nbytes: int) -> int:
        """Where so many bytes may be written."""
        begin = self._end
        self._end += nbytes
        return begin

    def write(self, begin: int, data: NDArray[np.uint8]) -> None:
        """Write bytes.

        Raises:
            OSError: the disk is full; it names the new file.
        """
        left = data.reshape(-1).data
        with naming(self._out):
            while left:
                written = os.pwrite(self._file.fileno(), left, begin)
                left, begin = left[written:], begin + written

    def complete(self, name: str, type: TensorType, shape: tuple[int, ...], begin: int) -> None:
        """A tensor is written, from there."""
        nbytes = Tensor(type, shape, lambda: np.empty(0, np.uint8)).nbytes

        def data() -> NDArray[np.uint8]:
            return np.asarray(np.memmap(self._file, np.uint8, "r", begin, (nbytes,)))

        self._tensors[name] = Tensor(type, shape, data, name)

    def close(self) -> None:
        """Delete the file."""
        self._file.close()


def _without_name(out: Path) -> IO[bytes]:
    try:
        return tempfile.TemporaryFile(dir=Path(os.path.realpath(out)).parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(out)) from None
