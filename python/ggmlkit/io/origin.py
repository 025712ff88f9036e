"""What is pickled for a tensor of a file: the file's path and the tensor's name."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from ggmlkit.errors import FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.tensor import Tensor

_KEPT_OPEN = 4  # files that tensors were unpickled from


class TensorInFile(NamedTuple):  # faster to make than a dataclass: there is one per tensor
    """The place in a file from which a tensor can be loaded again.

    Attributes:
        path: of the file, absolute.
        name: the file's own name of the tensor.
        indices: the row indices and slices that were applied, in order.
    """

    path: str
    name: str
    indices: tuple[int | slice, ...] = ()

    def taking(self, index: int | slice) -> TensorInFile:
        """The same place with one more index applied."""
        return self._replace(indices=(*self.indices, index))

    def load(self) -> Tensor:
        """The lazy tensor, from the file opened again.

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


def set_origins(file: ModelFile) -> None:
    """Store in each tensor of an open file where it is from."""
    path = str(file.path.absolute())
    for name, tensor in file.tensors.items():
        tensor.origin = TensorInFile(path, name)


@lru_cache(_KEPT_OPEN)
def _opened(path: str, _inode: int, _size: int, _changed: int) -> ModelFile:
    """The open file; opened again once it has changed."""
    from ggmlkit.io import open as open_file  # which imports this

    return open_file(path)
