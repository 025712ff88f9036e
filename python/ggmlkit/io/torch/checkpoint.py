"""PyTorch checkpoints (``.pt``, ``.pth``, ``.ckpt``, ``pytorch_model*.bin``) without PyTorch.

Since PyTorch 1.6 a checkpoint is a zip archive; before, it was a sequence of pickles. In both, the
tensors are windows of storages, which are ranges of the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ggmlkit import types
from ggmlkit.errors import FormatError, UnsupportedTypeError
from ggmlkit.io.file_range import FileRange
from ggmlkit.io.foreign.tensors_file import TensorsFile
from ggmlkit.io.torch.archive import TorchArchive
from ggmlkit.io.torch.before_zip import LegacyTorch
from ggmlkit.io.torch.pickle import OTHER_STORAGES, Stored, dense_stride
from ggmlkit.io.torch.state_dict import settings, state_dict
from ggmlkit.tensor import Tensor


class TorchFile(TensorsFile):
    """An open checkpoint: the tensors of its dictionary of weights; its metadata is empty.

    Attributes:
        settings: plain hyper-parameters that were saved beside the weights, by their names.
    """

    def __init__(self, path: Path, tensors: dict[str, Tensor], settings: dict[str, Any]) -> None:
        super().__init__(path, "torch", tensors)
        self.settings = settings

    @property
    def notes(self) -> dict[str, str]:
        return {name: json.dumps(value) for name, value in self.settings.items()}


def open_torch(path: str | os.PathLike[str]) -> TorchFile:
    """Open a PyTorch checkpoint that holds a dictionary of tensors; only its index is read.

    The dictionary can lie in another one, as training programs save it: ``state_dict``,
    ``model_state_dict``, ``model`` or ``module``.

    Raises FormatError if the file is damaged, the pickle names anything but tensors, or a tensor
    reaches outside its storage.
    """
    path = Path(path)
    with path.open("rb") as file:
        first = file.read(2)
    if first[:1] not in (b"P", b"\x80"):
        raise FormatError(path, 0, "this is not a PyTorch checkpoint")
    stored_in = TorchArchive(path) if first == b"PK" else LegacyTorch(path)
    tree = stored_in.content.tree
    stored = state_dict(tree)
    if not stored:
        raise FormatError(path, None, "the checkpoint has no dictionary of tensors")
    tensors = {name: _tensor(stored_in, name, at) for name, at in stored.items()}
    return TorchFile(path, tensors, settings(tree))


def _tensor(stored_in: TorchArchive | LegacyTorch, name: str, stored: Stored) -> Tensor:
    """The lazy tensor; FormatError if its window does not lie inside the storage."""
    path, kind = stored_in.path, stored.storage.type
    if kind in OTHER_STORAGES:
        raise UnsupportedTypeError(f"{path}: tensor {name!r} has the unsupported type {kind}")
    item = types.get(kind).block_bytes
    whole = stored_in.storage(stored.storage)
    count, end = prod(stored.shape), stored.end
    if end * item > whole.size or end > stored.storage.elements:
        raise FormatError(path, whole.offset, f"tensor {name!r} reaches outside its storage")
    # The window is read as one range; a broadcast (stride 0) could turn few bytes into very many.
    if count > max(end - stored.offset, 0):
        raise FormatError(path, whole.offset, f"tensor {name!r} repeats its elements")
    window = FileRange(path, whole.offset + stored.offset * item, (end - stored.offset) * item)
    data: Callable[[], npt.NDArray[np.uint8]] = window
    if count and stored.stride != dense_stride(stored.shape):
        data = _Gathered(window, item, stored.shape, stored.stride)
    return Tensor(kind, stored.shape, data, name)


@dataclass(frozen=True)
class _Gathered:
    """Reads a window of another order, such as a transposed tensor, and puts it in row order."""

    window: FileRange
    item: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __call__(self) -> npt.NDArray[np.uint8]:
        elements = self.window().view(f"u{self.item}")
        strides = tuple(step * self.item for step in self.stride)
        # Bounds were checked when the tensor was made.
        view = np.lib.stride_tricks.as_strided(elements, self.shape, strides, writeable=False)
        return np.ascontiguousarray(view).reshape(-1).view(np.uint8)
