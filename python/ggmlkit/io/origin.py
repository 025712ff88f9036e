"""Tensors of files, as they are pickled: the file's path and the tensor's name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ggmlkit.errors import FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.tensor import Tensor

_KEPT_OPEN = 4  # files that tensors were unpickled from


class TensorInFile(NamedTuple):  # quicker to make than a dataclass: one for each tensor
    """Where a tensor can be had again.

    Attributes:
        path: of the file, absolute.
        name: the file's own name of the tensor.
        indices: of the rows that were taken, one after another.
    """

    path: str
    name: str
    indices: tuple[int | slice, ...] = ()

    def taking(self, index: int | slice) -> TensorInFile:
        """That of some of these rows."""
        return self._replace(indices=(*self.indices, index))

    def load(self) -> Tensor:
        """The tensor, lazy, of the file opened anew.

        Raises:
            FormatError: the file has no such tensor, or is damaged.
            OSError: the file is gone.
        """
        state = Path(self.path).stat()
        file = _opened(self.path, state.st_ino, state.st_size, state.st_mtime_ns)
        tensor = file.tensors.get(self.name)
        if tensor is None:
            raise FormatError(
                self.path, None, f"the file no longer has the tensor {self.name!r} of a pickle"
            )
        for index in self.indices:
            tensor = tensor[index]
        return tensor


def tell_origins(file: ModelFile) -> None:
    """Let each tensor of a file that was opened know where it is from."""
    path = str(file.path.absolute())
    for name, tensor in file.tensors.items():
        tensor.origin = TensorInFile(path, name)


@lru_cache(_KEPT_OPEN)
def _opened(path: str, _inode: int, _size: int, _changed: int) -> ModelFile:
    """The file; another once it has changed."""
    from ggmlkit.io import open as open_file  # which imports this

    return open_file(path)
