"""Refusing to write a file over what it is made from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from ggmlkit.cli.usage import UsageError

# What readers of a checkpoint folder read; other files in it may be written again.
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin", "adapter_model*", "*.pth", "*.pt", "*.ckpt")
_PART = re.compile(r"(.*)-\d{5}-of-(\d{5})(\.\w+)")


def refuse_overwriting(out: Path, *sources: Path | None) -> None:
    """UsageError if ``out`` is, perhaps through a link, one of the files that are read."""
    for source in sources:
        for path in _read_files(source) if source is not None else ():
            if _is_same(out, path):
                raise UsageError(f"{out} would be written over {path}, which is read: name another")


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return False


def _read_files(source: Path) -> Iterator[Path]:
    """A path, and the files that are read with it."""
    yield source
    if source.is_dir():
        names = (path for path in source.iterdir() if path.is_file())
        yield from (p for p in names if any(fnmatchcase(p.name, form) for form in _WEIGHTS))
    elif part := _PART.fullmatch(source.name):
        prefix, count, suffix = part.groups()
        yield from source.parent.glob(f"{_literal(prefix)}-?????-of-{count}{suffix}")


def _literal(text: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", text)


def refuse_parts_over(prefix: str, source: Path) -> None:
    """UsageError if a file that is read has the name of a part of ``prefix``."""
    folder, name = os.path.split(prefix)
    for part in Path(folder).glob(f"{_literal(name)}-?????-of-?????.gguf"):
        refuse_overwriting(part, source)
