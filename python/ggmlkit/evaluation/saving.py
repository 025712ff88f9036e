"""Saves a model's predictions while it is evaluated, for later comparisons."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ggmlkit.io.writing.atomic import replacing
from ggmlkit.io.writing.staged import sync_folder

if TYPE_CHECKING:
    from ggmlkit.evaluation.saved_logits import LogitsWriter

_PARTIAL = ".partial"

WriterOf = Callable[[BinaryIO], "LogitsWriter"]


@dataclass(frozen=True)
class Saving:
    """A file of predictions that is being written.

    Attributes:
        writer: of its rows.
        done: chunks that an earlier, killed process wrote.
        is_complete: whether the file is there already, with all chunks.
    """

    writer: LogitsWriter
    done: int = 0
    is_complete: bool = False


@contextmanager
def saving(
    path: Path, writer_of: WriterOf, chunks: int, checksums: Sequence[int] | None
) -> Iterator[Saving]:
    """A file of predictions to write, which replaces ``path`` when the ``with`` block succeeds.

    Args:
        path: of the file.
        writer_of: its writer, given the open file.
        chunks: that it will hold.
        checksums: of the chunks that an earlier process wrote. What is written then stays beside
            the file, as ``PATH.partial``, if the block fails or the process is killed, and another
            one goes on with it. None: nothing stays.

    Raises:
        OSError: it can't be written; the error names it.
    """
    if checksums is None:
        with replacing(path) as file:
            writer = writer_of(file)
            writer.begin()
            yield Saving(writer)
        return
    if len(checksums) == chunks and path.is_file():
        with path.open("rb") as file:
            writer = writer_of(file)
            if writer.verified(checksums) == chunks:
                yield Saving(writer, chunks, True)
                return
    partial = path.with_name(path.name + _PARTIAL)
    with _naming(path):
        partial.touch()
        with partial.open("r+b") as file:
            writer = writer_of(file)
            done = writer.verified(checksums)
            file.truncate(len(writer.head) + done * writer.chunk_bytes if done else 0)
            writer.begin()
            yield Saving(writer, done)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_folder(path.parent)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """A full disk is an error that names the file."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = os.fspath(path)
        raise
