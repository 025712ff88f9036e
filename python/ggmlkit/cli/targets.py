"""Refusing a command line that writes a file over what it is made from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ggmlkit.cli.usage import UsageError
from ggmlkit.errors import ArgumentError

_CHECKPOINT_MARKS = ("config.json", "params.json")


def refuse_overwriting(out: Path, *sources: Path | None) -> None:
    """UsageError if ``out`` is, perhaps through a link, a file that is read."""
    from ggmlkit.io import targets  # deferred: it loads numpy

    with _as_usage():
        targets.refuse_overwriting(out, *sources)


def refuse_same(out: Path, *files: Path | None) -> None:
    """UsageError if ``out`` is one of the files that are read, each by itself."""
    from ggmlkit.io import targets  # deferred: it loads numpy

    with _as_usage():
        targets.refuse_same(out, *files)


def refuse_replacing(folder: Path, is_allowed: bool) -> None:
    """UsageError if a folder has a checkpoint already, unless it may be replaced."""
    if not is_allowed and any((folder / mark).exists() for mark in _CHECKPOINT_MARKS):
        raise UsageError(f"{folder} has a checkpoint already: --overwrite replaces its files")


def refuse_parts_over(prefix: str, source: Path) -> None:
    """UsageError if a file that is read has the name of a part of ``prefix``."""
    from ggmlkit.io import targets  # deferred: it loads numpy

    with _as_usage():
        targets.refuse_parts_over(prefix, source)


@contextmanager
def _as_usage() -> Iterator[None]:
    try:
        yield
    except ArgumentError as error:
        raise UsageError(str(error)) from None
