"""gguf files assembled by hand, with tensors of any type number at any place."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_ALIGNMENT = 32


@dataclass(frozen=True)
class Entry:
    """A tensor: numpy shape, type number, bytes; and their offset in the data, if they don't follow
    the tensor before."""

    name: str
    shape: tuple[int, ...]
    type_id: int
    data: bytes
    offset: int | None = None


def raw_gguf(entries: Sequence[Entry], byte_order: str = "little", end: bytes = b"") -> bytes:
    """A gguf v3 file without metadata; ``end`` follows the last tensor's padding."""
    mark = "<" if byte_order == "little" else ">"
    header = b"GGUF" + struct.pack(f"{mark}IQQ", 3, len(entries), 0)
    data = b""
    for entry in entries:
        name = entry.name.encode()
        offset = len(data) if entry.offset is None else entry.offset
        header += struct.pack(f"{mark}Q", len(name)) + name
        header += struct.pack(f"{mark}I", len(entry.shape))
        header += b"".join(struct.pack(f"{mark}Q", size) for size in reversed(entry.shape))
        header += struct.pack(f"{mark}IQ", entry.type_id, offset)
        data += padded(entry.data)
    return padded(header) + data + end


def padded(raw: bytes) -> bytes:
    """The bytes padded as in a file."""
    return raw + bytes(-len(raw) % _ALIGNMENT)
