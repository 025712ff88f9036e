"""gguf models in several files, ``NAME-00001-of-00003.gguf`` and so on, read as one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ggmlkit.errors import FormatError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.gguf.reader import GgufFile
from ggmlkit.tensor import Tensor

NUMBER, COUNT, TENSORS = "split.no", "split.count", "split.tensors.count"
KEYS = (NUMBER, COUNT, TENSORS)

_NAME = re.compile(r"(?P<prefix>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.gguf", re.DOTALL)


def part_name(prefix: str, number: int, count: int) -> str:
    """The file name of part ``number``, counted from 0."""
    return f"{prefix}-{number + 1:05d}-of-{count:05d}.gguf"


def is_part(file: GgufFile) -> bool:
    """Whether the metadata says that a file is a part of a split model (also of a single part)."""
    count = file.metadata.get(COUNT, 0)
    return type(count) is not int or count != 0  # llama.cpp writes 0 after merging


def open_gguf(path: Path) -> ModelFile:
    """Open a gguf file; a part of a split model opens all parts.

    Raises FormatError if a file is damaged, or a part is missing or belongs to another model.
    """
    file = GgufFile(path)
    try:
        return GgufParts(file) if is_part(file) else file
    except BaseException:
        file.close()
        raise


class GgufParts(ModelFile):
    """A gguf model in several files; its metadata is the first part's without the split keys.

    Args:
        opened: any of the files.

    Raises:
        FormatError: a part is missing, damaged, or belongs to another model.
    """

    def __init__(self, opened: GgufFile) -> None:
        self._parts: list[GgufFile] = []
        count = _split_number(opened, COUNT, 1)
        number = _split_number(opened, NUMBER, 0)
        if number >= count:
            raise FormatError(opened.path, None, f"{NUMBER} is {number} of only {count} parts")
        paths = _paths(opened.path, number, count)
        try:
            for at, path in enumerate(paths):
                self._parts.append(opened if at == number else _open_part(path, at, count))
            self._tensors = _joined(self._parts)
        except BaseException:
            for part in self._parts:
                if part is not opened:  # on failure the caller closes that one
                    part.close()
            raise
        first = self._parts[0]
        super().__init__(
            opened.path,
            "gguf",
            version=first.version,
            byte_order=first.byte_order,
            metadata=_without_keys(first.metadata),
            value_types=_without_keys(first.value_types),
        )

    def check(self) -> None:
        """Raise FormatError if one of the files has been cut short since it was opened."""
        for part in self._parts:
            part.check()

    @property
    def parts(self) -> Sequence[GgufFile]:
        """The files, in order."""
        return self._parts

    def stored_values(self) -> dict[str, bytes]:
        """The stored values of the first part."""
        return _without_keys(self._parts[0].stored_values())

    def close(self) -> None:
        """Unmap all parts."""
        super().close()
        for part in self._parts:
            part.close()


def _without_keys(values: dict[str, Any]) -> dict[str, Any]:
    kept = values.copy()
    for key in KEYS:
        kept.pop(key, None)
    return kept


def _split_number(file: GgufFile, key: str, least: int) -> int:
    value = file.metadata.get(key)
    if type(value) is not int or value < least:
        raise FormatError(file.path, None, f"{key} is {value!r}, which no part of a model has")
    return value


def _paths(path: Path, number: int, count: int) -> Iterable[Path]:
    """The paths of all parts, derived from the name of part ``number``."""
    if count == 1:
        return [path]
    match = _NAME.fullmatch(path.name)
    if match is None or match["number"] != f"{number + 1:05d}" or match["count"] != f"{count:05d}":
        wanted = part_name("NAME", number, count)
        raise FormatError(
            path, None, f"this is part {number + 1} of {count}, but isn't called {wanted}"
        )
    prefix = match["prefix"]
    return (path.with_name(part_name(prefix, at, count)) for at in range(count))


def _open_part(path: Path, number: int, count: int) -> GgufFile:
    if not path.exists():
        raise FormatError(path, None, f"part {number + 1} of {count} of the model is missing")
    file = GgufFile(path)
    stored = file.metadata.get(NUMBER), file.metadata.get(COUNT)
    if stored != (number, count):
        file.close()
        raise FormatError(
            path,
            None,
            f"{NUMBER} and {COUNT} are {stored[0]!r} and {stored[1]!r} where the model has "
            f"{number} and {count}",
        )
    return file


def _joined(parts: list[GgufFile]) -> dict[str, Tensor]:
    first = parts[0]
    wanted = _split_number(first, TENSORS, 0)
    joined: dict[str, Tensor] = {}
    for part in parts:
        if part.metadata.get(TENSORS) != wanted:
            stored = part.metadata.get(TENSORS)
            raise FormatError(
                part.path, None, f"{TENSORS} is {stored!r}, but {wanted} in {first.path.name}"
            )
        for name, tensor in part.tensors.items():
            if name in joined:
                raise FormatError(part.path, None, f"tensor {name!r} is in another part too")
            joined[name] = tensor
    if len(joined) != wanted:
        raise FormatError(
            first.path, None, f"{TENSORS} is {wanted}, but the parts hold {len(joined)}"
        )
    return joined
