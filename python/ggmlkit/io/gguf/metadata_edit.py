"""Changing a gguf file's metadata, where it lies if there is room."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit.arguments import check_paths, shown
from ggmlkit.errors import ArgumentTypeError, GgmlkitError
from ggmlkit.io.gguf.reader import GgufFile
from ggmlkit.io.gguf.writer import HeaderBytes, write_gguf
from ggmlkit.io.unknown_tensor import with_kept_bytes
from ggmlkit.io.writing.stream import Progress

_ALIGNMENT_KEY = "general.alignment"


def edit_metadata(
    path: str | os.PathLike[str],
    changed: Mapping[str, Any],
    removed: Collection[str] = (),
    *,
    value_types: Mapping[str, int] | None = None,
    in_place: bool = True,
    progress: Progress | None = None,
) -> bool:
    """Give keys of a gguf file other values, or take them away.

    Where the new header ends in the same place, because what it grew by fits the padding before
    the data, only its changed bytes are written, in one call. A process killed, or power lost, in
    that very moment can leave a mixture of both headers, though hardly where values keep their
    length and little changes. Otherwise the whole file is written anew and then takes the old
    one's place, which is safe at any moment.
    Of a model in several files only the one given is changed.

    Args:
        path: the file.
        changed: new values by key; keys that aren't there yet are added at the end.
        removed: keys to take away.
        value_types: GGUF types of the new values, instead of the keys' present ones.
        in_place: False to write all anew even if there is room.
        progress: as ``gk.save`` calls it, if all is written anew.

    Returns:
        Whether the file was changed in place.

    Raises:
        FormatError: the file is damaged, or no gguf file.
        GgmlkitError: a key to remove isn't there.
        ConversionError: a value has no place in gguf.
        UnsupportedTypeError: all has to be written anew, and how many bytes a tensor of an unknown
            type has is not certain.
        OSError: the file can't be written.
    """
    check_paths(path=path)
    if not isinstance(changed, Mapping):
        raise ArgumentTypeError(f"changed must be a mapping by key, not {shown(changed)}")
    with GgufFile(path) as file:
        for key in removed:
            if key not in file.metadata:
                raise missing_key(file.path, key)
        metadata = {k: v for k, v in file.metadata.items() if k not in removed} | dict(changed)
        kinds = file.value_types | dict(value_types or {})
        stored = {
            key: value
            for key, value in file.stored_values().items()
            if key in metadata and key not in changed
        }
        old = file.header_bytes()
        header = _fitting_header(file, metadata, kinds, stored) if in_place else None
        if header is None:
            write_gguf(
                path,
                with_kept_bytes(file.tensors),
                metadata,
                version=file.version or 3,
                byte_order=file.byte_order,
                value_types=kinds,
                stored_values=stored,
                progress=progress,
            )
            return False
    _overwrite(Path(path), old, header)
    return True


def missing_key(path: Path, key: str) -> GgmlkitError:
    """The error that says so."""
    return GgmlkitError(f"{path}: there is no key {key!r}")


def _fitting_header(
    file: GgufFile, metadata: Mapping[str, Any], kinds: Mapping[str, int], stored: dict[str, bytes]
) -> bytes | None:
    """The new header, padded to where the data begins; ``None`` if the data would have to move."""
    same_alignment = metadata.get(_ALIGNMENT_KEY) == file.metadata.get(_ALIGNMENT_KEY)
    if file.terminated or not same_alignment:
        return None
    header = HeaderBytes(file.version or 3, file.byte_order)
    header.start(len(file), len(metadata))
    header.pairs(metadata, kinds, stored)
    whole = bytes(header.bytes) + file.entry_bytes()
    if len(whole) + -len(whole) % file.alignment != file.data_start:
        return None
    room = len(file.header_bytes())
    if len(whole) > room or not len(file):
        return None  # without data, a file may end before the padding does
    return whole.ljust(room, b"\0")


def _overwrite(path: Path, old: bytes, new: bytes) -> None:
    """Write the bytes that differ, all at once."""
    different = np.flatnonzero(np.frombuffer(old, np.uint8) != np.frombuffer(new, np.uint8))
    if not different.size:
        return
    start, end = int(different[0]), int(different[-1]) + 1
    descriptor = os.open(path, os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        written = os.pwrite(descriptor, new[start:end], start)
        if written != end - start:
            raise OSError(f"{path}: only {written} of {end - start} bytes were written")
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
