"""LevelDB's table of sorted keys and values, the format of TensorFlow's ``.index`` files.

The last 48 bytes are the footer: the places of two blocks, then a magic number. A place is an
offset and a size, as varints. A block is a sequence of entries. Each has three varints (the number
of bytes kept from the last key, the number of bytes added, the length of the value), the added
bytes and the value. A block ends with a list of restarts, u32 each, and their number; after the
block come a byte for its compression and a checksum. The index block's values are the places of the
data blocks. Source: LevelDB, doc/table_format.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ggmlkit.errors import FormatError
from ggmlkit.io.foreign.protobuf import varint

_FOOTER = 48
_MAGIC = bytes.fromhex("57fb808b247547db")
_TRAILER = 5
_LONGEST_KEY = 4096


def entries(path: Path, raw: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a table's content, in order.

    Raises FormatError if the table is damaged or compressed.
    """
    footer = len(raw) - _FOOTER
    if footer < 0 or raw[-len(_MAGIC) :] != _MAGIC:
        raise FormatError(path, max(footer, 0), "a TensorFlow checkpoint's index doesn't end so")
    try:
        _, at = varint(raw, footer, len(raw))
        _, at = varint(raw, at, len(raw))
        index = _place(raw, at, len(raw))
        end = 0
        for _, value in _block(path, raw, index):
            place = _place(value, 0, len(value))
            # Blocks must not overlap: many references to one block would make an endless table.
            if place.start < end:
                raise ValueError("blocks overlap")
            end = place.stop
            yield from _block(path, raw, place)
    except ValueError as error:
        raise FormatError(path, None, f"damaged table: {error}") from error


def _place(raw: bytes, at: int, end: int) -> range:
    start, at = varint(raw, at, end)
    size, _ = varint(raw, at, end)
    return range(start, start + size)


def _block(path: Path, raw: bytes, place: range) -> Iterator[tuple[bytes, bytes]]:
    if place.stop + _TRAILER > len(raw) or len(place) < 4:
        raise ValueError("a block reaches beyond the file")
    if raw[place.stop] != 0:
        raise FormatError(path, place.stop, "the table is compressed, which is not supported")
    restarts = int.from_bytes(raw[place.stop - 4 : place.stop], "little")
    end = place.stop - 4 * (restarts + 1)
    if end < place.start:
        raise ValueError("a block has more restarts than it has room for")
    at, key = place.start, b""
    while at < end:
        kept, at = varint(raw, at, end)
        added, at = varint(raw, at, end)
        size, at = varint(raw, at, end)
        if kept > len(key) or added + size > end - at or kept + added > _LONGEST_KEY:
            raise ValueError("an entry reaches beyond its block")
        key = key[:kept] + raw[at : at + added]
        yield key, raw[at + added : at + added + size]
        at += added + size
