"""PyTorch checkpoints (``.pth``, ``pytorch_model*.bin``) without PyTorch.

A checkpoint is a zip archive, stored without compression: ``NAME/data.pkl`` describes the tensors
and ``NAME/data/KEY`` are their storages. Checkpoints of the time before the zip form, of
PyTorch < 1.6, are handed to ``torch.load`` with ``weights_only=True`` where torch is installed.
"""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ggmlkit import types
from ggmlkit.errors import FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.file_range import FileRange
from ggmlkit.io.torch_pickle import Stored, dense_stride, stored_tensors
from ggmlkit.tensor import Tensor

_MAX_PICKLE = 64 << 20
_LOCAL_HEADER = 30  # bytes before a member's name


class TorchFile(ModelFile):
    """An open checkpoint; its metadata is empty."""

    def __init__(self, path: Path, tensors: dict[str, Tensor]) -> None:
        super().__init__(path, "torch")
        self._tensors = tensors

    @property
    def tensors(self) -> dict[str, Tensor]:
        return self._tensors

    def close(self) -> None:
        """Nothing is held open between reads."""


def open_torch(path: str | os.PathLike[str]) -> TorchFile:
    """Open a PyTorch checkpoint that holds a dictionary of tensors; only its index is read.

    Raises FormatError for a damaged archive, a pickle that asks for anything but tensors, or
    tensors that reach outside their storage.
    """
    path = Path(path)
    with path.open("rb") as file:
        first = file.read(4)
    if first[:2] != b"PK":
        return _open_with_torch(path)
    archive = _Archive(path)
    stored = _index(archive)
    if not stored:
        raise FormatError(path, None, "the checkpoint holds no dictionary of tensors")
    return TorchFile(path, {name: _tensor(archive, name, at) for name, at in stored.items()})


class _Archive:
    """The zip file: byte ranges of its members."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, OSError) as error:
            raise FormatError(path, None, f"damaged zip archive: {error}") from error
        indexes = [m.filename for m in members if m.filename.endswith("/data.pkl")]
        if len(indexes) != 1:
            raise FormatError(path, None, "no data.pkl: this is no PyTorch checkpoint")
        self._folder = indexes[0].removesuffix("data.pkl")
        self._members = {m.filename: m for m in members}
        self._size = path.stat().st_size
        self._check_places(members)
        if self._folder + "byteorder" in self._members:
            order = self.range("byteorder")
            if order.size > len("little\n") or order().tobytes().strip() != b"little":
                raise FormatError(path, None, "big-endian PyTorch checkpoints are not supported")

    def range(self, name: str) -> FileRange:
        """Where the bytes of a member lie in the file."""
        member = self._members.get(self._folder + name)
        if member is None:
            raise FormatError(self.path, None, f"the archive has no member {name!r}")
        at = member.header_offset
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise FormatError(self.path, at, f"member {name!r} is compressed or encrypted")
        with self.path.open("rb") as file:
            file.seek(at)
            local = file.read(_LOCAL_HEADER)
        if len(local) < _LOCAL_HEADER or local[:4] != b"PK\x03\x04":
            raise FormatError(self.path, at, f"member {name!r} has no local header")
        name_length, extra_length = struct.unpack_from("<HH", local, 26)
        start = at + _LOCAL_HEADER + name_length + extra_length
        if start + member.file_size > self._size:
            raise FormatError(self.path, at, f"member {name!r} reaches beyond the file")
        return FileRange(self.path, start, member.file_size)

    def _check_places(self, members: list[zipfile.ZipInfo]) -> None:
        """Refuse members that lie over each other: a small file would make much data."""
        placed = sorted(members, key=lambda member: member.header_offset)
        if placed and not 0 <= placed[0].header_offset <= placed[-1].header_offset < self._size:
            raise FormatError(self.path, None, "the archive's list of members points outside it")
        for member, following in pairwise(placed):
            if (
                member.header_offset + _LOCAL_HEADER + member.compress_size
                > following.header_offset
            ):
                raise FormatError(
                    self.path,
                    following.header_offset,
                    f"members {member.filename!r} and {following.filename!r} overlap",
                )


def _index(archive: _Archive) -> dict[str, Stored]:
    """The tensors that data.pkl describes."""
    where = archive.range("data.pkl")
    if where.size > _MAX_PICKLE:
        raise FormatError(archive.path, where.offset, "data.pkl is too large to be an index")
    text = where().tobytes()
    try:
        return stored_tensors(text)
    except Exception as error:  # a broken pickle may raise nearly anything
        reason = f"unsafe or damaged pickle: {error}"
        raise FormatError(archive.path, where.offset, reason) from error


def _tensor(archive: _Archive, name: str, stored: Stored) -> Tensor:
    """The lazy tensor, once its window is known to lie inside the storage."""
    item = types.get(stored.storage.type).block_bytes
    whole = archive.range(f"data/{stored.storage.key}")
    count, end = prod(stored.shape), stored.end
    if end * item > whole.size or end > stored.storage.elements:
        raise FormatError(archive.path, whole.offset, f"tensor {name!r} leaves its storage")
    # The window is read as one range; a broadcast (stride 0) could make much of little.
    if count > max(end - stored.offset, 0):
        raise FormatError(archive.path, whole.offset, f"tensor {name!r} repeats its elements")
    window = FileRange(
        archive.path, whole.offset + stored.offset * item, (end - stored.offset) * item
    )
    data: Callable[[], npt.NDArray[np.uint8]] = window
    if count and stored.stride != dense_stride(stored.shape):
        data = _Gathered(window, item, stored.shape, stored.stride)
    return Tensor(stored.storage.type, stored.shape, data, name)


@dataclass(frozen=True)
class _Gathered:
    """A window in another order (a transposed tensor, say) put in row order."""

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


def _open_with_torch(path: Path) -> TorchFile:
    with path.open("rb") as file:
        if file.read(1) != b"\x80":
            raise FormatError(path, 0, "this is no PyTorch checkpoint")
    try:
        import torch
    except ImportError as error:
        raise FormatError(
            path,
            0,
            "a checkpoint of PyTorch before 1.6; reading it needs ggmlkit[torch]",
        ) from error
    try:
        entries = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise FormatError(path, 0, f"unsafe or damaged pickle: {error}") from error
    tensors: dict[str, Tensor] = {}
    if isinstance(entries, Mapping):
        for name, value in entries.items():
            if isinstance(value, torch.Tensor):
                tensors[str(name)] = _of_torch(path, str(name), value)
    if not tensors:
        raise FormatError(path, None, "the checkpoint holds no dictionary of tensors")
    return TorchFile(path, tensors)


def _of_torch(path: Path, name: str, value: Any) -> Tensor:
    type_name = {
        "torch.float64": "f64",
        "torch.float32": "f32",
        "torch.float16": "f16",
        "torch.bfloat16": "bf16",
        "torch.int64": "i64",
    }.get(str(value.dtype))
    if type_name is None:
        raise FormatError(path, None, f"tensor {name!r} has the unsupported type {value.dtype}")
    import torch

    flat = value.contiguous().reshape(-1).view(torch.uint8)
    return Tensor(type_name, tuple(value.shape), flat.numpy(), name)
