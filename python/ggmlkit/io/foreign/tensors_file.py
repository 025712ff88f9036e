"""What readers of files that hold tensors, and nothing of a model, have in common."""

from __future__ import annotations

from pathlib import Path

from ggmlkit.io.base import ModelFile
from ggmlkit.tensor import Tensor


class TensorsFile(ModelFile):
    """A file of named tensors, each read from the file anew when its data is asked for."""

    def __init__(
        self, path: Path, container: str, tensors: dict[str, Tensor], version: int | None = None
    ) -> None:
        super().__init__(path, container, version=version)
        self._tensors = tensors

    @property
    def tensors(self) -> dict[str, Tensor]:
        return self._tensors

    def close(self) -> None:
        """Nothing is held open between reads."""
