"""Saves a model's predictions while it is evaluated, for later comparisons."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ggmlkit.io.writing.atomic import replacing
from ggmlkit.io.writing.staged import sync_folder

if TYPE_CHECKING:
    from ggmlkit.evaluation.saved_logits import LogitsWriter

_PARTIAL = ".partial"

WriterOf = Callable[[BinaryIO], "LogitsWriter"]


class Saving:
    """A file of predictions that is being written.

    Attributes:
        writer: of its rows.
        done: chunks that an earlier, killed process wrote.
        is_complete: whether the file is there already, with all chunks.
    """

    def __init__(self, writer: LogitsWriter, done: int, is_complete: bool) -> None:
        self.writer, self.done, self.is_complete = writer, done, is_complete


@contextmanager
def saving(path: Path, writer_of: WriterOf, chunks: int, *, keep: bool) -> Iterator[Saving]:
    """A file of predictions to write, which replaces ``path`` when the ``with`` block succeeds.

    Args:
        path: of the file.
        writer_of: its writer, given the open file.
        chunks: that it will hold.
        keep: whether what is written stays beside it, as ``PATH.partial``, where the block fails or
            the process is killed, so that another one goes on with it.

    Raises:
        OSError: it can't be written; the error names it.
    """
    if not keep:
        with replacing(path) as file:
            writer = writer_of(file)
            writer.begin()
            yield Saving(writer, 0, False)
        return
    if path.exists():
        with path.open("rb") as file:
            writer = writer_of(file)
            size = len(writer.head) + chunks * writer.chunk_bytes
            if writer.done_chunks() == chunks and file.seek(0, os.SEEK_END) == size:
                yield Saving(writer, chunks, True)
                return
    partial = path.with_name(path.name + _PARTIAL)
    with _naming(path):
        partial.touch()
        with partial.open("r+b") as file:
            writer = writer_of(file)
            done = min(chunks, writer.done_chunks())
            file.truncate(len(writer.head) + done * writer.chunk_bytes if done else 0)
            writer.begin()
            yield Saving(writer, done, False)
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
