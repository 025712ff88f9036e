"""The common base of readers that map one file."""

from __future__ import annotations

from ggmlkit.io.base import ModelFile
from ggmlkit.io.mapped_file import MappedFile


class MappedModelFile(ModelFile):
    """A model file whose tensors are views of one mapping, ``_file``."""

    _file: MappedFile

    def check(self) -> None:
        """Raise FormatError if the file has been cut short since it was opened."""
        self._file.check()

    def close(self) -> None:
        """Unmap the file; tensors that were not read yet become unreadable."""
        super().close()
        self._file.close()
