"""PyTorch checkpoints (``.pth``, ``pytorch_model*.bin``) without PyTorch.

A checkpoint is a zip archive, stored without compression: ``NAME/data.pkl`` describes the tensors
and ``NAME/data/KEY`` are their storages. The pickle is interpreted by an unpickler that knows
containers, numbers, text and the tensor constructor and nothing else, so no file can run code.
Checkpoints of the time before the zip form (PyTorch < 1.6) are handed to ``torch.load`` with
``weights_only=True`` where torch is installed.
"""

from __future__ import annotations

import collections
import io
import os
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ggmlkit import types
from ggmlkit.errors import FormatError, GgmlkitError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.file_range import FileRange
from ggmlkit.tensor import Tensor

_STORAGES = {
    "DoubleStorage": "f64",
    "FloatStorage": "f32",
    "HalfStorage": "f16",
    "BFloat16Storage": "bf16",
    "LongStorage": "i64",
    "IntStorage": "i32",
    "ShortStorage": "i16",
    "CharStorage": "i8",
}
_STORAGE_OF = {type_name: storage for storage, type_name in _STORAGES.items()}
_MAX_PICKLE = 64 << 20
# What a dictionary of tensors needs. No INST, OBJ, NEWOBJ or EXT: those make other objects.
_OPCODE_NAMES = """
    PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1
    LONG4 FLOAT BINFLOAT UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINSTRING BINSTRING
    SHORT_BINBYTES BINBYTES EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST LIST APPEND APPENDS
    EMPTY_DICT DICT SETITEM SETITEMS EMPTY_SET ADDITEMS GLOBAL STACK_GLOBAL REDUCE BUILD BINPERSID
    PUT BINPUT LONG_BINPUT MEMOIZE GET BINGET LONG_BINGET
"""
_OPCODES = frozenset(_OPCODE_NAMES.split())


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
    entries = _unpickled(archive)
    tensors = {name: value.tensor(archive, name) for name, value in _named(entries)}
    if not tensors:
        raise FormatError(path, None, "the checkpoint holds no dictionary of tensors")
    return TorchFile(path, tensors)


def _named(entries: object) -> Iterator[tuple[str, _Stored]]:
    if isinstance(entries, Mapping):
        for name, value in entries.items():
            if isinstance(name, str) and isinstance(value, _Stored):
                yield name, value


# --------------------------------------------------------------------- archive


class _Archive:
    """The zip file: byte ranges of its members."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise FormatError(path, None, f"damaged zip archive: {error}") from error
        indexes = [m.filename for m in members if m.filename.endswith("/data.pkl")]
        if len(indexes) != 1:
            raise FormatError(path, None, "no data.pkl: this is no PyTorch checkpoint")
        self._folder = indexes[0].removesuffix("data.pkl")
        self._members = {m.filename: m for m in members}
        self._size = path.stat().st_size
        if self._folder + "byteorder" in self._members:
            order = self.range("byteorder")().tobytes().strip()
            if order != b"little":
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
            local = file.read(30)
        if len(local) < 30 or local[:4] != b"PK\x03\x04":
            raise FormatError(self.path, at, f"member {name!r} has no local header")
        name_length, extra_length = struct.unpack_from("<HH", local, 26)
        start = at + 30 + name_length + extra_length
        if start + member.file_size > self._size:
            raise FormatError(self.path, at, f"member {name!r} reaches beyond the file")
        return FileRange(self.path, start, member.file_size)


# ---------------------------------------------------------------------- pickle


@dataclass(frozen=True)
class _Storage:
    """A persistent id of the pickle: one flat array in the archive."""

    type: str
    key: str
    elements: int


@dataclass(frozen=True)
class _Stored:
    """A tensor of the pickle: a strided window of a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self, archive: _Archive, name: str) -> Tensor:
        """The lazy tensor, once its window is known to lie inside the storage."""
        item = types.get(self.storage.type).block_bytes
        whole = archive.range(f"data/{self.storage.key}")
        count = prod(self.shape)
        last = sum((n - 1) * step for n, step in zip(self.shape, self.stride, strict=True))
        end = self.offset + (last + 1 if count else 0)
        if end * item > whole.size or end > self.storage.elements:
            raise FormatError(archive.path, whole.offset, f"tensor {name!r} leaves its storage")
        # The window is read as one range; a broadcast (stride 0) could make much of little.
        if count > max(end - self.offset, 0):
            raise FormatError(archive.path, whole.offset, f"tensor {name!r} repeats its elements")
        window = FileRange(
            archive.path, whole.offset + self.offset * item, (end - self.offset) * item
        )
        data: Callable[[], npt.NDArray[np.uint8]] = window
        if count and self.stride != _dense_stride(self.shape):
            data = _Gathered(window, item, self.shape, self.stride)
        return Tensor(self.storage.type, self.shape, data, name)


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


def _dense_stride(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def _rebuilt_tensor(
    storage: object, offset: object, shape: object, stride: object, *_: object
) -> _Stored:
    if not isinstance(storage, _Storage) or not isinstance(shape, tuple):
        raise pickle.UnpicklingError("a tensor without storage or shape")
    if not isinstance(stride, tuple) or len(stride) != len(shape) or len(shape) > 8:
        raise pickle.UnpicklingError("a tensor whose shape and stride do not agree")
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in (offset, *shape, *stride)):
        raise pickle.UnpicklingError("a tensor with a negative or senseless size")
    assert isinstance(offset, int)
    # The stride along an axis of one element means nothing.
    dense = _dense_stride(shape)
    used = tuple(d if n == 1 else s for n, s, d in zip(shape, stride, dense, strict=True))
    return _Stored(storage, offset, shape, used)


def _parameter(data: object, *_: object) -> object:
    return data


class _Unpickler(pickle.Unpickler):
    """Knows the constructors of a state dictionary and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuilt_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]  # a string: nothing that could be called
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which holds no tensors")

    def persistent_load(self, pid: object) -> _Storage:
        match pid:
            case ("storage", str(kind), str(key), str(), int(elements)) if kind in _STORAGE_OF:
                return _Storage(kind, key, elements)
        raise pickle.UnpicklingError(f"unknown storage {str(pid)[:80]}")


def _unpickled(archive: _Archive) -> object:
    where = archive.range("data.pkl")
    if where.size > _MAX_PICKLE:
        raise FormatError(archive.path, where.offset, "data.pkl is too large to be an index")
    text = where().tobytes()
    try:
        for opcode, argument, position in pickletools.genops(text):
            if opcode.name not in _OPCODES:
                raise pickle.UnpicklingError(f"opcode {opcode.name} at {position}")
            # The memo is a table as long as its largest index.
            if opcode.name.endswith("PUT") and not 0 <= int(argument or 0) <= len(text):
                raise pickle.UnpicklingError(f"memo index {argument} at {position}")
        return _Unpickler(io.BytesIO(text), encoding="utf-8").load()
    except GgmlkitError:
        raise
    except Exception as error:  # a broken pickle may raise nearly anything
        reason = f"unsafe or damaged pickle: {error}"
        raise FormatError(archive.path, where.offset, reason) from error


# -------------------------------------------------------------- PyTorch < 1.6


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


# --------------------------------------------------------------------- writing


def write_torch(file: BinaryIO, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors (f32, f16, bf16, …) as a checkpoint that ``torch.load`` reads.

    Tensors are written one by one, data asked for when its turn comes.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _pickled(tensors))
        archive.writestr("archive/byteorder", b"little")
        for key, tensor in enumerate(tensors.values()):
            member = zipfile.ZipInfo(f"archive/data/{key}")
            member.extra = _alignment(archive.start_dir, member.filename)
            with archive.open(member, "w", force_zip64=True) as out:
                out.write(tensor.data.data)
        archive.writestr("archive/version", b"3\n")


def _alignment(position: int, name: str) -> bytes:
    """An extra field that makes the member's data start at a multiple of 64, as mmap likes it."""
    zip64_extra = 20
    fixed = position + 30 + len(name) + zip64_extra + 4
    padding = -fixed % 64
    return struct.pack("<HH", 0x4246, padding) + bytes(padding)


def _pickled(tensors: Mapping[str, Tensor]) -> bytes:
    """The pickle (protocol 2) of a dictionary of tensors, storages as persistent ids."""
    parts = [b"\x80\x02}("]
    for key, (name, tensor) in enumerate(tensors.items()):
        storage = _STORAGE_OF[tensor.type.name]
        parts += [
            _text(name),
            b"ctorch._utils\n_rebuild_tensor_v2\n(",  # GLOBAL, MARK
            b"(" + _text("storage") + f"ctorch\n{storage}\n".encode(),
            _text(str(key)) + _text("cpu") + _integer(tensor.size) + b"tQ",  # TUPLE, BINPERSID
            _integer(0),
            b"(" + b"".join(map(_integer, tensor.shape)) + b"t",
            b"(" + b"".join(map(_integer, _dense_stride(tensor.shape))) + b"t",
            b"\x89ccollections\nOrderedDict\n)R",  # no gradient; no hooks
            b"tR",
        ]
    return b"".join([*parts, b"u."])


def _text(value: str) -> bytes:
    encoded = value.encode()
    return b"X" + len(encoded).to_bytes(4, "little") + encoded


def _integer(value: int) -> bytes:
    return b"\x8a\x09" + value.to_bytes(9, "little", signed=True)
