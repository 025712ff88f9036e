"""Refusing to write a file over what it is made from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from ggmlkit.errors import ArgumentError
from ggmlkit.io.first_bytes import START, reader_of

_PART = re.compile(r"(.*)-\d{5}-of-(\d{5})(\.\w+)")
_MODEL_SUFFIXES = (".gguf", ".bin", ".ggml", ".ggjt")


AnyPath = str | os.PathLike[str]


def refuse_overwriting(out: AnyPath, *sources: AnyPath | None) -> None:
    """ArgumentError if ``out`` is, perhaps through a link, a file that is read.

    In a checkpoint's folder that is every file but model files as this library writes them.
    """
    target = Path(out)
    if not target.exists():
        return
    for source in (Path(each) for each in sources if each is not None):
        for path in _files_of(source):
            if path == source or not _is_beside(path, source):
                refuse_same(target, path)


def refuse_same(out: AnyPath, *files: AnyPath | None) -> None:
    """ArgumentError if ``out`` is, perhaps through a link, one of the files that are read."""
    for path in files:
        if path is not None and _is_same(Path(out), Path(path)):
            raise ArgumentError(f"{out} would be written over {path}, which is read: name another")


def refuse_parts_over(prefix: AnyPath, source: AnyPath) -> None:
    """ArgumentError if a file that is read has the name of a part of ``prefix``."""
    folder, name = os.path.split(os.fspath(prefix))
    for part in Path(folder).glob(f"{_literal(name)}-?????-of-?????.gguf"):
        refuse_overwriting(part, source)


def _files_of(source: Path) -> Iterator[Path]:
    """A path, and the files that may be read with it."""
    yield source
    if folder := _checkpoint_folder(source):
        yield from (path for path in folder.iterdir() if path.is_file())
    elif part := _PART.fullmatch(source.name):
        prefix, count, suffix = part.groups()
        yield from source.parent.glob(f"{_literal(prefix)}-?????-of-{count}{suffix}")


def _checkpoint_folder(source: Path) -> Path | None:
    """The folder whose files make a checkpoint: its data, settings, tokenizer."""
    if source.is_dir():
        return source
    is_loose = source.is_file() and source.suffix.lower() not in _MODEL_SUFFIXES
    return source.parent if is_loose else None


def _is_beside(path: Path, source: Path) -> bool:
    """Whether a file in a checkpoint's folder is a model file, made of the checkpoint before."""
    if _checkpoint_folder(source) is None:
        return False
    with path.open("rb") as file:
        reader = reader_of(file.read(START)) or ""
    return reader.startswith(("gguf.", "legacy."))


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return False


def _literal(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)
