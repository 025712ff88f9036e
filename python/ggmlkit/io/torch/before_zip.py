"""PyTorch checkpoints before version 1.6: five pickles, then the storages in order.

The pickles are a magic number, the version 1001, sizes and byte order of the machine, the saved
object, and the keys of the storages in order. Then each storage follows: its number of elements
(i64) and its bytes. Source: ``_legacy_save`` in PyTorch's serialization.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ggmlkit import types
from ggmlkit.errors import FormatError
from ggmlkit.io.file_range import FileRange
from ggmlkit.io.torch.archive import MAX_PICKLE
from ggmlkit.io.torch.pickle import OTHER_STORAGES, Storage, Unpickled, unpickled

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


class LegacyTorch:
    """The file: its saved object, and the byte ranges of its storages.

    Raises FormatError if the file is damaged or a pickle names anything but tensors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        size = path.stat().st_size
        self._text = FileRange(path, 0, min(size, MAX_PICKLE))().tobytes()
        self._at = 0
        if self._next().tree != _MAGIC:
            raise FormatError(path, 0, "this is not a PyTorch checkpoint")
        if self._next().tree != _VERSION:
            raise FormatError(path, 0, "a checkpoint of an unknown version")
        machine = self._next().tree
        if isinstance(machine, dict) and not machine.get("little_endian", True):
            raise FormatError(path, 0, "big-endian PyTorch checkpoints are not supported")
        self.content = self._next()
        self._places = self._placed(self._next().tree, size)
        del self._text

    def storage(self, storage: Storage) -> FileRange:
        """The range of a storage's bytes in the file."""
        place = self._places.get(storage.key)
        if place is None:
            raise FormatError(self.path, None, f"there is no storage {storage.key!r}")
        return place

    def _next(self) -> Unpickled:
        try:
            found = unpickled(self._text, self._at)
        except Exception as error:  # a broken pickle can raise almost anything
            reason = f"unsafe or damaged pickle: {error}"
            raise FormatError(self.path, self._at, reason) from error
        self._at = found.end
        return found

    def _placed(self, keys: Any, size: int) -> dict[str, FileRange]:
        if not isinstance(keys, list):
            raise FormatError(self.path, self._at, "there is no list of storages")
        places: dict[str, FileRange] = {}
        at = self._at
        for key in keys:
            storage = self.content.storages.get(key) if isinstance(key, str) else None
            if storage is None or key in places:
                raise FormatError(self.path, at, f"storage {_spelled(key)} belongs to no tensor")
            if at + 8 > size:
                raise FormatError(self.path, at, f"the file ends before storage {key!r}")
            elements = int.from_bytes(FileRange(self.path, at, 8)().tobytes(), "little")
            nbytes = elements * element_bytes(storage)
            if at + 8 + nbytes > size:
                reason = f"storage {key!r} of {elements} elements reaches beyond the file"
                raise FormatError(self.path, at, reason)
            places[key] = FileRange(self.path, at + 8, nbytes)
            at += 8 + nbytes
        return places


def _spelled(key: object) -> str:
    """A storage's key for errors; repr() of a value that is not text could be endless."""
    return repr(key[:80]) if isinstance(key, str) else f"of a key of type {type(key).__name__}"


def element_bytes(storage: Storage) -> int:
    """Bytes of one element of a storage."""
    other = OTHER_STORAGES.get(storage.type)
    return types.get(storage.type).block_bytes if other is None else other
