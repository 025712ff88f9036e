"""MessagePack, read from a mapped file: the structure is parsed, binary data is only located.

The format is https://github.com/msgpack/msgpack/blob/master/spec.md: the first byte gives the type
and, for short values, the length; lengths and numbers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from typing import Any, NamedTuple

from ggmlkit.errors import FormatError
from ggmlkit.io.mapped_file import MappedFile

_DEEPEST = 64
# A tree of weights has about 10⁴ parts; in a hostile file, each byte could be one.
_MOST_PARTS = 1 << 18
_LONGEST_TEXT = 1 << 16

# By the first byte: struct code of the number that follows, or of the length that follows.
_NUMBERS = {
    0xCA: "f", 0xCB: "d", 0xCC: "B", 0xCD: "H", 0xCE: "I", 0xCF: "Q",
    0xD0: "b", 0xD1: "h", 0xD2: "i", 0xD3: "q",
}  # fmt: skip
_BINARY = {0xC4: "B", 0xC5: "H", 0xC6: "I"}
_EXTENSION = {0xC7: "B", 0xC8: "H", 0xC9: "I"}
_FIXED_EXTENSION = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_TEXT = {0xD9: "B", 0xDA: "H", 0xDB: "I"}
_LIST = {0xDC: "H", 0xDD: "I"}
_MAP = {0xDE: "H", 0xDF: "I"}
_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}


class Binary(NamedTuple):
    """A range of bytes in the file that are not read yet.

    Attributes:
        offset: where they begin.
        size: how many there are.
        kind: the number of an extension type; None for plain bytes.
    """

    offset: int
    size: int
    kind: int | None = None


class MsgpackReader:
    """Reads a range of a mapped file value by value.

    Args:
        file: the file.
        start: where to begin.
        end: where the range ends; the end of the file by default.
    """

    def __init__(self, file: MappedFile, start: int = 0, end: int | None = None) -> None:
        self.file = file
        self.at = start
        self.end = file.size if end is None else end
        self._left = [_MOST_PARTS]  # a list, so that all readers of a file share it

    def within(self, binary: Binary) -> MsgpackReader:
        """A reader of the values inside some binary data; its parts count for this reader too."""
        inner = MsgpackReader(self.file, binary.offset, binary.offset + binary.size)
        inner._left = self._left
        return inner

    def value(self, depth: int = 0) -> Any:
        """The next value: None, bool, int, float, str, list, dict, or :class:`Binary`.

        Raises FormatError, with the value's place, if it reaches beyond the end, is nested too
        deeply, or if there are too many values.
        """
        place = self.at
        self._left[0] -= 1
        if self._left[0] < 0 or depth > _DEEPEST:
            raise self._fail(place, "more values, or deeper nesting, than any model has")
        lead = self._number("B")
        if lead in _CONSTANTS:
            return _CONSTANTS[lead]
        if lead < 0x80 or lead >= 0xE0:
            return lead if lead < 0x80 else lead - 0x100
        if lead in _NUMBERS:
            return self._number(_NUMBERS[lead])
        if lead in _BINARY:
            return self._binary(self._number(_BINARY[lead]))
        if lead in _EXTENSION or lead in _FIXED_EXTENSION:
            fixed = _FIXED_EXTENSION.get(lead)
            size = self._number(_EXTENSION[lead]) if fixed is None else fixed
            kind = self._number("b")
            return self._binary(size, kind)
        if 0xA0 <= lead <= 0xBF or lead in _TEXT:
            return self._text(lead & 0x1F if lead <= 0xBF else self._number(_TEXT[lead]))
        if 0x90 <= lead <= 0x9F or lead in _LIST:
            count = lead & 0x0F if lead <= 0x9F else self._number(_LIST[lead])
            return self._list(count, depth)
        if lead <= 0x8F or lead in _MAP:
            count = lead & 0x0F if lead <= 0x8F else self._number(_MAP[lead])
            return self._map(count, depth)
        raise self._fail(place, f"no value begins with the byte {lead:#x}")

    def _list(self, count: int, depth: int) -> list[Any]:
        self._need_parts(count, "a list")
        return [self.value(depth + 1) for _ in range(count)]

    def _map(self, count: int, depth: int) -> dict[Hashable, Any]:
        self._need_parts(2 * count, "a dictionary")
        found: dict[Hashable, Any] = {}
        for _ in range(count):
            place = self.at
            key = self.value(depth + 1)
            if not isinstance(key, (str, int)) or key in found:
                raise self._fail(place, "a key that is neither text nor number, or occurs twice")
            found[key] = self.value(depth + 1)
        return found

    def _text(self, size: int) -> str:
        place = self.at
        if size > _LONGEST_TEXT:
            raise self._fail(place, f"a text of {size} bytes")
        binary = self._binary(size)
        try:
            return str(self.file.buffer[binary.offset : binary.offset + size], "utf-8")
        except UnicodeDecodeError:
            raise self._fail(place, "a text that is not UTF-8") from None

    def _binary(self, size: int, kind: int | None = None) -> Binary:
        self._need(size, "a value")
        found = Binary(self.at, size, kind)
        self.at += size
        return found

    def _number(self, code: str) -> Any:
        form = struct.Struct(">" + code)
        self._need(form.size, "a number")
        (value,) = form.unpack_from(self.file.buffer, self.at)
        self.at += form.size
        return value

    def _need_parts(self, count: int, what: str) -> None:
        """Raise unless so many values, of a byte at least, can follow."""
        if count > self._left[0]:
            raise self._fail(self.at, f"{what} of {count} values, more than any model has")
        self._need(count, what)

    def _need(self, size: int, what: str) -> None:
        if size > self.end - self.at:
            left = self.end - self.at
            raise self._fail(self.at, f"{what} needs {size} bytes, but only {left} are left")

    def _fail(self, place: int, reason: str) -> FormatError:
        return FormatError(self.file.path, place, reason)
