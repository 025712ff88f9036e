"""A file mapped into memory, and a cursor that never reads past its end."""

from __future__ import annotations

import mmap
import os
import stat
import struct
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from ggmlkit import _core
from ggmlkit.errors import ClosedError, FormatError
from ggmlkit.io.base import ByteOrder

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Strings = TypeVar("_Strings", bound=Sized)


class _GuardedMap(mmap.mmap):
    """A mapping and its guard; both must end together."""

    guard: _core.MappingGuard


class MappedFile:
    """A read-only mapping of a whole file.

    Raises:
        FormatError: the file is empty, or no file but a pipe or device.
        OSError: it can't be opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            self.size = status.st_size
            if not stat.S_ISREG(status.st_mode):
                raise FormatError(path, None, "a pipe or device can't be mapped: copy it to a file")
            if self.size == 0:
                raise FormatError(path, 0, "the file is empty")
            self._map: _GuardedMap | None = _GuardedMap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._map.guard = _core.MappingGuard(np.frombuffer(self._map, np.uint8))

    @property
    def buffer(self) -> mmap.mmap:
        """The mapping; ``ClosedError`` once the file is closed."""
        if self._map is None:
            raise ClosedError(f"{self.path} is closed; open it again")
        return self._map

    def bytes_at(self, offset: int, count: int) -> NDArray[np.uint8]:
        """A uint8 view ``(count,)`` of the file; the caller has checked the range."""
        return np.frombuffer(self.buffer, np.uint8, count, offset)

    def check(self, offset: int = 0) -> None:
        """Raise FormatError, which names ``offset``, if the file has become shorter since opening.

        Bytes behind the new end are read as zeros.
        """
        mapped = self._map
        if mapped is not None and (mapped.guard.has_lost_pages or mapped.size() < self.size):
            raise FormatError(self.path, offset, "the file was cut short while it was read")

    def close(self) -> None:
        """Unmap the file; if arrays still view it, it is unmapped when the last one is deleted."""
        mapped, self._map = self._map, None
        if mapped is not None:
            with suppress(BufferError):  # arrays handed out keep the mapping alive
                mapped.close()
                del mapped.guard


@contextmanager
def mapped_while_read(path: str | os.PathLike[str]) -> Iterator[MappedFile]:
    """A mapping for code that reads headers; closed if that fails, checked at the end."""
    file = MappedFile(path)
    try:
        yield file
        file.check()
    except BaseException:
        file.close()
        raise


class Cursor:
    """A position in a mapped file that advances as values are read.

    Every method raises FormatError, with the offset of the value, if the file ends too early.
    """

    def __init__(self, file: MappedFile, byte_order: ByteOrder = "little") -> None:
        self.file = file
        self.offset = 0
        self.byte_order = byte_order
        mark: Literal["<", ">"] = "<" if byte_order == "little" else ">"
        self._mark: Literal["<", ">"] = mark
        self._u32 = struct.Struct(mark + "I")
        self._u64 = struct.Struct(mark + "Q")
        self._i32 = struct.Struct(mark + "i")

    @property
    def left(self) -> int:
        """Bytes from here to the end of the file."""
        return self.file.size - self.offset

    def fail(self, reason: str, offset: int | None = None) -> FormatError:
        """The error to raise about the value at ``offset``, by default the current one."""
        return FormatError(self.file.path, self.offset if offset is None else offset, reason)

    def need(self, count: int, what: str) -> None:
        """Raise unless ``count`` more bytes exist."""
        if count > self.left:
            raise self.fail(f"{what} needs {count} bytes, but the file ends after {self.left} more")

    def check_count(self, count: int, least_bytes: int, what: str, offset: int) -> int:
        """``count``, if the rest of the file has room for it at ``least_bytes`` bytes each."""
        if count < 0 or count * least_bytes > self.left:
            raise self.fail(f"{count} {what} can't fit in the {self.left} bytes left", offset)
        return count

    def skip(self, count: int, what: str) -> None:
        """Advance by ``count`` bytes."""
        self.need(count, what)
        self.offset += count

    def align(self, alignment: int) -> None:
        """Advance to a multiple of ``alignment``, possibly past the end."""
        self.offset += -self.offset % alignment

    def u32(self, what: str) -> int:
        return self._number(self._u32, what)

    def u64(self, what: str) -> int:
        return self._number(self._u64, what)

    def i32(self, what: str) -> int:
        return self._number(self._i32, what)

    def _number(self, form: struct.Struct, what: str) -> int:
        self.need(form.size, what)
        (value,) = form.unpack_from(self.file.buffer, self.offset)
        self.offset += form.size
        return int(value)

    def raw(self, count: int, what: str) -> bytes:
        """The next ``count`` bytes."""
        self.need(count, what)
        start = self.offset
        self.offset += count
        return self.file.buffer[start : self.offset]

    def array(self, dtype: str, count: int, what: str) -> NDArray[np.generic]:
        """``count`` numbers of a numpy type code such as ``"f4"``, copied, in native byte order."""
        stored = np.dtype(dtype).newbyteorder(self._mark)
        self.need(count * stored.itemsize, what)
        view = np.frombuffer(self.file.buffer, stored, count, self.offset)
        self.offset += view.nbytes
        return view.astype(stored.newbyteorder("="))

    def strings(self, count: int, wide: bool) -> list[str | bytes]:
        """``count`` strings, each preceded by its length (u64 if ``wide``, else u32).

        Done in C++, as vocabularies have 10⁵ of them.
        """
        return self._strings(_core.read_strings, count, wide)

    def stored_strings(self, count: int, wide: bool) -> _core.StoredStrings:
        """The same strings as stored bytes, to be converted to Python later."""
        return self._strings(_core.stored_strings, count, wide)

    def _strings(
        self,
        read: Callable[[mmap.mmap, int, int, bool, bool], tuple[_Strings, int]],
        count: int,
        wide: bool,
    ) -> _Strings:
        found, end = read(self.file.buffer, self.offset, count, wide, self.byte_order == "big")
        if len(found) < count:
            raise self._broken_string(end, self._u64 if wide else self._u32)
        self.offset = end
        return found

    def _broken_string(self, start: int, form: struct.Struct) -> FormatError:
        left = self.file.size - start - form.size
        if left < 0:
            return self.fail("the file ends inside a string's length", start)
        (length,) = form.unpack_from(self.file.buffer, start)
        return self.fail(f"a string has {length} bytes, but the file ends after {left} more", start)
