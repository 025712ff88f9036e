"""The common base of readers of files that hold tensors without a model's metadata."""

from __future__ import annotations

from pathlib import Path

from ggmlkit.io.base import ModelFile
from ggmlkit.tensor import Tensor


class TensorsFile(ModelFile):
    """A file of named tensors; a tensor's data is read from the file each time it is used."""

    def __init__(
        self, path: Path, container: str, tensors: dict[str, Tensor], version: int | None = None
    ) -> None:
        super().__init__(path, container, version=version)
        self._tensors = tensors
