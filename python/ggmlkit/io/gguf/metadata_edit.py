"""Changes the metadata of a gguf file, in place if there is room."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ggmlkit.arguments import (
    check_paths,
    check_progress,
    mapping,
    shown,
    stored_text,
    text,
)
from ggmlkit.errors import ArgumentTypeError, GgmlkitError
from ggmlkit.io.gguf.reader import GgufFile
from ggmlkit.io.gguf.values import checked_types
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
    """Set or remove metadata keys of a gguf file.

    If the new header fits before the data (the padding there leaves some room), only the changed
    bytes of the header are written, in one call. If the process is killed or power is lost during
    this call, the file can hold a mixture of both headers; this is unlikely if values keep their
    length and little changes. Otherwise a new file is written and then replaces the old one, which
    is safe at any moment.
    Of a model in several files, only the given file is changed.

    Args:
        path: the file.
        changed: new values by key; new keys are added at the end.
        removed: keys to remove.
        value_types: GGUF types of the new values, instead of the keys' current types.
        in_place: False to write a new file even if there is room.
        progress: as in ``gk.save``; called only if a new file is written.

    Returns:
        Whether the file was changed in place.

    Raises:
        FormatError: the file is damaged, or is not a gguf file.
        ArgumentError: a key is not text that files can hold, or a number in ``value_types`` is not
            a GGUF type.
        GgmlkitError: a key to remove doesn't exist.
        ConversionError: gguf has no type for a value.
        UnsupportedTypeError: a new file has to be written, and the size of a tensor of an unknown
            type is not certain.
        OSError: the file can't be written.
    """
    check_paths(path=path)
    mapping(changed, "changed", '{"general.name": "mine"}')
    for key in changed:
        stored_text(key, "a key of metadata")
    if isinstance(removed, (str, bytes)) or not isinstance(removed, Iterable):
        raise ArgumentTypeError(f"removed must be a list of keys, not {shown(removed)}")
    removed = [text(key, "a key to remove") for key in removed]
    check_progress(progress)
    new_types = checked_types(value_types or {})
    with GgufFile(path) as file:
        for key in removed:
            if key not in file.metadata:
                raise missing_key(file.path, key)
        metadata = {k: v for k, v in file.metadata.items() if k not in removed} | dict(changed)
        kinds = file.value_types | new_types
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
    """The error for a key that the file doesn't have."""
    return GgmlkitError(f"{path}: there is no key {key!r}")


def _fitting_header(
    file: GgufFile, metadata: Mapping[str, Any], kinds: Mapping[str, int], stored: dict[str, bytes]
) -> bytes | None:
    """The new header, padded to the start of the data; ``None`` if the data would have to move."""
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
        return None  # a file without data can end before the padding does
    return whole.ljust(room, b"\0")


def _overwrite(path: Path, old: bytes, new: bytes) -> None:
    """Write the bytes that differ, in one call."""
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
