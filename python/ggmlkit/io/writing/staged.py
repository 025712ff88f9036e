"""A file written beside the one that it is to replace: put in its place, or forgotten."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from ggmlkit.io.writing.leftovers import SUFFIX, lock, remove_debris

_BUFFER_BYTES = 1 << 20


class Staged:
    """A new file for ``path``, which stays as it was until :meth:`commit`.

    Attributes:
        file: to write to, until :meth:`finish`.
        target: the file to replace, links followed.

    Raises:
        OSError: the folder can't be written, or ``path`` is something other than a file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.target = Path(os.path.realpath(path))
        self._mode = _mode_of(self.target)
        remove_debris(self.target)
        descriptor, self._name = _create(self.target)
        self.file = os.fdopen(descriptor, "w+b", buffering=_BUFFER_BYTES)
        self._kept: int | None = None
        lock(descriptor)

    def finish(self) -> None:
        """End the writing: all of the file is on the disk afterwards, though not in its place."""
        self.file.flush()
        if self._mode is not None:
            os.fchmod(self.file.fileno(), self._mode)
        os.fsync(self.file.fileno())
        if sys.platform != "win32":
            # A nameless file lives as long as a descriptor does, and so does the lock.
            self._kept = os.dup(self.file.fileno())
        self.file.close()

    def commit(self) -> None:
        """Put the finished file in its place."""
        if self._name is None:
            assert self._kept is not None, "finish() comes before commit()"
            self._name = _give_name(self._kept, self.target)
        self._name.replace(self.target)
        self._name = None

    def close(self) -> None:
        """Let go of the file, and of all trace of it unless it was committed."""
        with suppress(OSError):  # what can't be written any more need not be
            self.file.close()
        if self._name is not None:
            self._name.unlink(missing_ok=True)
            self._name = None
        if self._kept is not None:
            os.close(self._kept)
            self._kept = None


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, where folders can be opened (not on Windows)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _mode_of(target: Path) -> int | None:
    """Permissions of the file to replace, ``None`` when there is none."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(target))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", os.fspath(target))
    return stat.S_IMODE(status.st_mode)


def _create(target: Path) -> tuple[int, Path | None]:
    """A new file in the target's folder: descriptor, and name unless it has none yet."""
    nameless = getattr(os, "O_TMPFILE", None)
    if nameless is not None and Path("/proc/self/fd").is_dir():
        with suppress(OSError):  # the file system can't; or a real fault, which comes up again
            return os.open(target.parent, nameless | os.O_RDWR | os.O_CLOEXEC, 0o666), None
    descriptor, created = tempfile.mkstemp(SUFFIX, f".{target.name}.", target.parent)
    name = Path(created)
    try:
        name.chmod(0o666 & ~_umask())
    except BaseException:
        os.close(descriptor)
        name.unlink()
        raise
    return descriptor, name


def _give_name(descriptor: int, target: Path) -> Path:
    """Link a nameless file beside the target; links can't replace, so a rename follows."""
    number = 0
    while True:
        name = target.with_name(f".{target.name}.{os.getpid()}-{number}{SUFFIX}")
        try:
            # A folder descriptor, though unused with an absolute source, makes Python call
            # linkat() with the flag that follows the /proc link.
            os.link(f"/proc/self/fd/{descriptor}", name, src_dir_fd=descriptor)
            return name
        except FileExistsError:
            number += 1


def _umask() -> int:
    # There is no way to ask without setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
