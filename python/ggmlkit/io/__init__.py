"""Readers and writers, one module a container; :func:`open` tells containers by first bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.io.base import ByteOrder, ModelFile
from ggmlkit.io.first_bytes import START, reader_of, refusal
from ggmlkit.io.writing.stream import Progress
from ggmlkit.tensor import Tensor

__all__ = ["ModelFile", "Progress", "open", "save"]

_SUFFIXES = {".gguf": "gguf", ".bin": "ggjt", ".ggml": "ggjt", ".ggjt": "ggjt"}


def open(path: str | os.PathLike[str]) -> ModelFile:
    """Open a file of any container, told by its first bytes.

    Models, checkpoints, LoRA adapters and importance matrices are all metadata and tensors. Any
    part of a gguf model in several files opens them all, as one. Only headers are read; tensors map
    their data when asked for it. ``hf:OWNER/NAME[@REVISION][:FILE]`` is a file on the hub.

    Raises:
        FormatError: the container is unknown, or the file damaged.
        HubError: the hub does not give the file.
        OSError: the file can't be opened.
    """
    if os.fspath(path).startswith("hf:"):
        from ggmlkit.io.hub import model_file

        path = model_file(path)
    path = Path(path)
    with path.open("rb") as file:
        start = file.read(START)
    if not start:
        raise FormatError(path, 0, "the file is empty")
    reader = reader_of(start)
    if reader is None:
        reason = refusal(start, path.name) or f"no known model file begins with {start[:4]!r}"
        raise FormatError(path, 0, reason)
    module, _, function = reader.partition(":")
    opened: ModelFile = getattr(import_module(f"ggmlkit.io.{module}"), function)(path)
    return opened


def save(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor] | Iterable[Tensor],
    metadata: Mapping[str, Any],
    *,
    container: str | None = None,
    version: int | None = None,
    byte_order: ByteOrder = "little",
    value_types: Mapping[str, int] | None = None,
    stored_values: Mapping[str, bytes] | None = None,
    threads: int | None = 1,
    progress: Progress | None = None,
) -> None:
    """Write a model file, a tensor at a time; ``path`` is replaced only when all is written.

    Args:
        path: the file; its suffix tells the container: ``.gguf``, or ``.bin`` for ggjt.
        tensors: by name, or tensors that have names. gguf takes any; the old containers take
            Meta's names.
        metadata: by GGUF key, whatever the container.
        container: ``"gguf"``, ``"ggjt"``, ``"ggmf"``, ``"ggml"``, or ``"ggla"`` for an adapter,
            where the suffix doesn't say.
        version: of the container; 3 for gguf and ggjt by default.
        byte_order: of the numbers; only gguf v3 can be ``"big"``.
        value_types: GGUF types to keep, as :class:`ModelFile` has them; by default those of
            metadata that was read from a gguf file. Of other values a whole number becomes u32 if
            that holds it, a float f32 where that holds it exactly or readers know the key as f32,
            else f64.
        stored_values: of unchanged keys, as :meth:`ModelFile.stored_values` gives them, to copy
            instead of writing `metadata`'s where the container is the same.
        threads: that read, convert and write at once; None for all the process may use.
        progress: called with (bytes done, bytes in all, tensor name).

    Raises:
        ConversionError: the container has no place for what it is given.
        OSError: the disk is full, the folder can't be written.
    """
    from ggmlkit.io.gguf import writer as gguf_writer
    from ggmlkit.io.legacy import writer as legacy_writer

    named = _by_name(tensors)
    kind = container or _SUFFIXES.get(Path(path).suffix.lower())
    if kind is None:
        raise ConversionError(
            f"{os.fspath(path)}: the suffix names no container; end it in .gguf or .bin, "
            "or pass container="
        )
    if byte_order != "little" and kind != "gguf":
        raise ConversionError(f"{kind} files are little-endian; gguf v3 can be big-endian")
    if kind == "gguf":
        gguf_writer.write_gguf(
            path,
            named,
            metadata,
            version=3 if version is None else version,
            byte_order=byte_order,
            value_types=value_types,
            stored_values=stored_values,
            threads=threads,
            progress=progress,
        )
    elif kind in ("ggjt", "ggmf", "ggml"):
        legacy_writer.write_legacy(
            path,
            named,
            metadata,
            container=kind,
            version=version,
            threads=threads,
            progress=progress,
        )
    elif kind == "ggla":
        from ggmlkit.io.legacy.ggla import write_lora

        write_lora(path, named, metadata, threads=threads, progress=progress)
    else:
        raise ConversionError(f"there is no writer for {kind!r}; there is for gguf and ggjt")


def _by_name(tensors: Mapping[str, Tensor] | Iterable[Tensor]) -> Mapping[str, Tensor]:
    if isinstance(tensors, Mapping):
        return tensors
    named: dict[str, Tensor] = {}
    for tensor in tensors:
        if tensor.name in named:
            raise ConversionError(f"two tensors are called {tensor.name!r}")
        named[tensor.name] = tensor
    return named
