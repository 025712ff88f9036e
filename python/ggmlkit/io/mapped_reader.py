"""What readers of one mapped file have in common."""

from __future__ import annotations

from ggmlkit.io.base import ModelFile
from ggmlkit.io.mapped_file import MappedFile


class MappedModelFile(ModelFile):
    """A model file whose tensors look into one mapping, ``_file``."""

    _file: MappedFile

    def check(self) -> None:
        """Raise FormatError if the file has been cut short since it was opened."""
        self._file.check()

    def close(self) -> None:
        """Unmap the file; tensors not yet read can't be any more."""
        self._file.close()
