"""Readers and writers, one module per container; :func:`open` recognizes one by its first bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ggmlkit.arguments import path_text, shown, stored_text, thread_count
from ggmlkit.errors import ArgumentError, ArgumentTypeError, ConversionError, FormatError
from ggmlkit.io.base import ByteOrder, ModelFile
from ggmlkit.io.first_bytes import START, reader_of, refusal
from ggmlkit.io.origin import set_origins
from ggmlkit.io.writing.stream import Progress
from ggmlkit.quantizing import tensor_of
from ggmlkit.tensor import Tensor

__all__ = ["ModelFile", "Progress", "open", "save"]

_SUFFIXES = {".gguf": "gguf", ".bin": "ggjt", ".ggml": "ggjt", ".ggjt": "ggjt"}


def open(path: str | os.PathLike[str]) -> ModelFile:
    """Open a model file; its container is recognized by the first bytes.

    Models, checkpoints, LoRA adapters and importance matrices all consist of metadata and tensors.
    Any part of a gguf model in several files opens all its parts as one model. Only headers are
    read; a tensor's data is mapped on first use. ``hf:OWNER/NAME[@REVISION][:FILE]`` is a file on
    the hub.

    Raises:
        FormatError: the container is unknown, the file is damaged, or ``path`` is a folder.
        HubError: the file can't be downloaded.
        ArgumentError: ``path`` is neither a ``str`` nor a ``pathlib.Path``, or empty.
        OSError: the file can't be opened.
    """
    if path_text(path).startswith("hf:"):
        from ggmlkit.io.hub import model_file

        path = model_file(path)
    path = Path(path)
    if path.is_dir():
        raise FormatError(path, None, _folder_refusal(path))
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
    set_origins(opened)
    return opened


def save(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Any] | Iterable[Tensor],
    metadata: Mapping[str, Any] = MappingProxyType({}),
    *,
    container: str | None = None,
    version: int | None = None,
    byte_order: ByteOrder = "little",
    value_types: Mapping[str, int] | None = None,
    stored_values: Mapping[str, bytes] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write a model file, a few tensors at a time; ``path`` is replaced when all is written.

    Args:
        path: the file; its suffix decides the container: ``.gguf``, or ``.bin`` for ggjt.
        tensors: a mapping from names, or a list of tensors that have names. An array of float32,
            float16, bfloat16, float64 or signed integers can stand for a tensor and is stored as it
            is. gguf allows any names; the old containers need Meta's.
        metadata: by GGUF key, whatever the container.
        container: ``"gguf"``, ``"ggjt"``, ``"ggmf"``, ``"ggml"``, or ``"ggla"`` for an adapter,
            if the suffix doesn't decide.
        version: of the container; the default is 3 for gguf and ggjt.
        byte_order: of the numbers; only gguf v3 can be ``"big"``.
        value_types: GGUF types to keep, in the form of :attr:`ModelFile.value_types`; by default
            those of metadata that was read from a gguf file. Without a type to keep, an integer
            becomes u32 if it fits; a float becomes f32 if that is exact or readers expect f32 for
            the key, else f64.
        stored_values: bytes of unchanged values, from :meth:`ModelFile.stored_values`. They are
            copied instead of written from `metadata` if the container is the same.
        threads: the most that read, convert and write at once; the default is all that the process
            may use. With 1, one tensor at a time is in memory.
        progress: called with (bytes written, total bytes, tensor name).

    Raises:
        ConversionError: the container can't hold a tensor or a metadata value.
        ArgumentError: a tensor has no name, an array has a dtype without a type, or ``threads`` is
            below 1.
        OSError: the disk is full, or the folder can't be written.
    """
    from ggmlkit.io.gguf import writer as gguf_writer
    from ggmlkit.io.legacy import writer as legacy_writer

    kind = container_of(path, container)
    thread_count(threads)
    named = _by_name(tensors)
    if not isinstance(metadata, Mapping):
        raise ArgumentTypeError(f"metadata must be a mapping by key, not {shown(metadata)}")
    for key in metadata:
        stored_text(key, "a key of metadata")
    if progress is not None and not callable(progress):
        raise ArgumentTypeError(f"progress must be a function, not {shown(progress)}")
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
        raise ConversionError(
            f"there is no writer for {kind!r}; there are gguf, ggjt, ggmf, ggml and ggla"
        )


def container_of(path: str | os.PathLike[str], container: str | None = None) -> str:
    """The container of a file to write: as named, or by its suffix.

    Raises:
        ConversionError: none is named, and the suffix names none.
    """
    found = container or _SUFFIXES.get(Path(path_text(path)).suffix.lower())
    if found is None:
        raise ConversionError(
            f"{os.fspath(path)}: the suffix names no container; use .gguf or .bin, or name the "
            "container (--container)"
        )
    return found


def _folder_refusal(path: Path) -> str:
    if any((path / mark).is_file() for mark in ("config.json", "params.json")):
        return (
            "this is a checkpoint folder, not a model file; make one of it with "
            f"'ggmlkit convert {path} OUT.gguf'"
        )
    return "this is a folder, not a model file"


def _by_name(
    tensors: Mapping[str, Any] | Iterable[Tensor],
) -> dict[str, Tensor]:
    if isinstance(tensors, Mapping):
        return {
            stored_text(name, "the name of a tensor"): tensor_of(each, name)
            for name, each in tensors.items()
        }
    if isinstance(tensors, (Tensor, str, bytes)) or not isinstance(tensors, Iterable):
        raise ArgumentTypeError(
            f"tensors must be a mapping by name or a list of tensors, not {shown(tensors)}"
        )
    named: dict[str, Tensor] = {}
    for place, tensor in enumerate(tensors):
        name = getattr(tensor, "name", "") if isinstance(tensor, Tensor) else ""
        if not name:
            raise ArgumentError(
                f"number {place} of the tensors has no name; give a mapping of names to tensors"
            )
        if name in named:
            raise ArgumentError(f"two tensors are called {name!r}")
        named[name] = tensor
    return named
