"""Atomic writes: a file appears complete or not at all; a folder never mixes old and new files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ggmlkit.io.writing.staged import Staged, sync_folder


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write, which replaces ``path`` when the ``with`` block succeeds.

    If the block fails (an error, Ctrl-C, a full disk), ``path`` stays as it was and no other file
    is left. A killed process can leave a hidden file, but almost never on systems with unnamed
    files (O_TMPFILE); the next write of ``path`` removes it. A symbolic link stays, and the file it
    points to is replaced; that file's permissions are kept.

    Raises:
        OSError: the folder can't be written, or ``path`` is something other than a file.
    """
    staged = Staged(path)
    try:
        with staged.writing() as file:
            yield file
        staged.finish()
        staged.commit()
    finally:
        staged.close()
    sync_folder(staged.target.parent)


class FileSet:
    """Files of one folder that are being written; see :func:`replacing_together`."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self.folder = folder
        self._files = files
        self._staged: dict[str, Staged] = {}

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file of the folder to write; it gets its name together with the others."""
        staged = Staged(self.folder / name)
        self._files.callback(staged.close)
        with staged.writing() as file:
            yield file
        staged.finish()
        self._staged[name] = staged

    def commit(self, last: str) -> None:
        """Give all files their names; ``last`` is removed before and renamed after the others."""
        ending = self._staged.pop(last)
        ending.target.unlink(missing_ok=True)
        sync_folder(self.folder)
        for staged in self._staged.values():
            staged.commit()
        sync_folder(self.folder)
        ending.commit()
        sync_folder(self.folder)


@contextmanager
def replacing_together(folder: str | os.PathLike[str], last: str) -> Iterator[FileSet]:
    """Several files of a folder to write, which get their names when the ``with`` block succeeds.

    ``last`` is the file that readers need to accept the folder. When all files are complete and on
    the disk, the old ``last`` is removed, the others are renamed, then the new ``last``. So a
    process killed in between leaves a folder that is never mistaken for a complete one; any earlier
    failure leaves every file as it was. The folder is made if it doesn't exist, and removed again
    on failure. Other files in it are not touched.

    Raises:
        OSError: the folder can't be written, or one of the names exists and is not a file.
    """
    folder = Path(folder)
    made = _made(folder)
    try:
        with ExitStack() as files:
            together = FileSet(folder, files)
            yield together
            together.commit(last)
    except BaseException:
        for path in made:
            with suppress(OSError):  # another program has put a file there
                path.rmdir()
        raise


def _made(folder: Path) -> list[Path]:
    """Make a folder and its parents; returns those that didn't exist, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing
