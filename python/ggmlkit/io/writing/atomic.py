"""Files that appear whole or not at all, and folders of files that never mix old and new."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ggmlkit.io.writing.staged import Staged, sync_folder


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A binary file to write; it takes the place of ``path`` when the block ends well.

    However the block ends otherwise (an error, Ctrl-C, a full disk), ``path`` stays as it was and
    nothing is left beside it. A process killed may leave a hidden file, hardly ever where the
    system knows nameless files; the next that writes ``path`` removes it. A symbolic link stays and
    the file it points to is replaced; that file's permissions are kept.

    Raises:
        OSError: the folder can't be written, or ``path`` is something other than a file.
    """
    staged = Staged(path)
    try:
        yield staged.file
        staged.finish()
        staged.commit()
    finally:
        staged.close()
    sync_folder(staged.target.parent)


class FileSet:
    """Files of one folder, being written; see :func:`replacing_together`."""

    def __init__(self, folder: Path, files: ExitStack) -> None:
        self.folder = folder
        self._files = files
        self._staged: dict[str, Staged] = {}

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        """A file of the folder to write; it takes its place together with the others."""
        staged = Staged(self.folder / name)
        self._files.callback(staged.close)
        yield staged.file
        staged.finish()
        self._staged[name] = staged

    def commit(self, last: str) -> None:
        """Put all files in their places, ``last`` gone before the first and back after them."""
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
    """Files of a folder to write, all of which take their places when the block ends well.

    ``last`` names the file without which the others mean nothing to whoever reads the folder. All
    are complete and on the disk before it is taken away, and it comes back after the others have
    been renamed: a process killed in that moment leaves a folder that nobody takes for a whole
    one, and whatever is killed or fails before leaves every file as it was. The folder is made if
    need be, and removed again if nothing came of it. Other files in it are let be.

    Raises:
        OSError: the folder can't be written, or one of the names is that of something else.
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
            with suppress(OSError):  # somebody else has put something there
                path.rmdir()
        raise


def _made(folder: Path) -> list[Path]:
    """Make a folder; it and those above it that had to be made too, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing
