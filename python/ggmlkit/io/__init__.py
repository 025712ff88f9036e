"""Readers and writers, one module a container; :func:`open` tells containers by first bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ggmlkit.arguments import path_text, shown, thread_count
from ggmlkit.errors import ArgumentError, ArgumentTypeError, ConversionError, FormatError
from ggmlkit.io.base import ByteOrder, ModelFile
from ggmlkit.io.first_bytes import START, reader_of, refusal
from ggmlkit.io.origin import tell_origins
from ggmlkit.io.writing.stream import Progress
from ggmlkit.quantizing import tensor_of
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

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
        ArgumentError: ``path`` is neither a ``str`` nor a ``pathlib.Path``, or empty.
        OSError: the file can't be opened.
    """
    if path_text(path).startswith("hf:"):
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
    tell_origins(opened)
    return opened


def save(
    path: str | os.PathLike[str],
    tensors: Mapping[str, Tensor | ArrayLike] | Iterable[Tensor],
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
    """Write a model file, a few tensors at a time; ``path`` is replaced only when all is written.

    Args:
        path: the file; its suffix tells the container: ``.gguf``, or ``.bin`` for ggjt.
        tensors: by name, or tensors that have names. In place of a tensor, an array of float32,
            float16, bfloat16, float64 or integers with a sign is stored as it is. gguf takes any
            names; the old containers take Meta's.
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
        threads: that read, convert and write at once, at most; the default is all that the process
            may use. With 1, one tensor at a time is in memory.
        progress: called with (bytes done, bytes in all, tensor name).

    Raises:
        ConversionError: the container has no place for what it is given.
        ArgumentError: a tensor has no name, an array a dtype that no type has, or ``threads`` is
            below 1.
        OSError: the disk is full, the folder can't be written.
    """
    from ggmlkit.io.gguf import writer as gguf_writer
    from ggmlkit.io.legacy import writer as legacy_writer

    suffix = Path(path_text(path)).suffix.lower()
    thread_count(threads)
    named = _by_name(tensors)
    if not isinstance(metadata, Mapping):
        raise ArgumentTypeError(f"metadata must be a mapping by key, not {shown(metadata)}")
    kind = container or _SUFFIXES.get(suffix)
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


def _by_name(
    tensors: Mapping[str, Tensor | ArrayLike] | Iterable[Tensor],
) -> dict[str, Tensor]:
    if isinstance(tensors, Mapping):
        return {_checked_name(name): tensor_of(each, name) for name, each in tensors.items()}
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


def _checked_name(name: object) -> str:
    if isinstance(name, str):
        return name
    raise ArgumentTypeError(f"names of tensors must be str, not {shown(name)}")
