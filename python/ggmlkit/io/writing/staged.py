"""A file written in the folder of the file that it replaces: renamed when complete, or deleted."""

from __future__ import annotations

import errno
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ggmlkit.io.writing.leftovers import SUFFIX, lock, remove_leftovers

_BUFFER_BYTES = 1 << 20
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Staged:
    """A new file for ``path``; the old file stays until :meth:`commit`.

    Attributes:
        file: to write to, until :meth:`finish`.
        target: the file to replace, with links resolved.

    Raises:
        OSError: the folder can't be written, or ``path`` is something other than a file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = path
        self.target = Path(os.path.realpath(path))
        self._mode = _mode_of(self.target)
        with self._naming_target():
            remove_leftovers(self.target)
            descriptor, self._name = _create(self.target)
        self.file = os.fdopen(descriptor, "w+b", buffering=_BUFFER_BYTES)
        self._kept: int | None = None
        lock(descriptor)

    @contextmanager
    def writing(self) -> Iterator[BinaryIO]:
        """The file to write; a full disk is an error that names the target."""
        try:
            yield self.file
        except OSError as error:
            if error.errno in _NO_SPACE and error.filename is None:
                raise self._named(error) from error
            raise  # perhaps of another file, which is read

    def finish(self) -> None:
        """End the writing: the whole file is on the disk afterwards, but not under its name yet."""
        with self._naming_target():
            self.file.flush()
            if self._mode is not None:
                os.fchmod(self.file.fileno(), self._mode)
            os.fsync(self.file.fileno())
            if sys.platform != "win32":
                # An unnamed file and its lock exist as long as a descriptor is open.
                self._kept = os.dup(self.file.fileno())
            self.file.close()

    def commit(self) -> None:
        """Rename the finished file to its target."""
        with self._naming_target():
            if self._name is None:
                assert self._kept is not None, "finish() comes before commit()"
                self._name = _give_name(self._kept, self.target)
            self._name.replace(self.target)
        self._name = None

    def close(self) -> None:
        """Close the file, and delete it unless it was committed."""
        with suppress(OSError):  # a failed flush doesn't matter: the file is deleted
            self.file.close()
        if self._name is not None:
            self._name.unlink(missing_ok=True)
            self._name = None
        if self._kept is not None:
            os.close(self._kept)
            self._kept = None

    @contextmanager
    def _naming_target(self) -> Iterator[None]:
        """Errors name the file as the caller did, not the temporary one."""
        try:
            yield
        except OSError as error:
            if error.errno is None:
                raise
            raise self._named(error) from error

    def _named(self, error: OSError) -> OSError:
        return OSError(error.errno, error.strerror, os.fspath(self.path))


def sync_folder(folder: Path) -> None:
    """Make renames in a folder durable, if folders can be opened (not on Windows)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _mode_of(target: Path) -> int | None:
    """Permissions of the file to replace; ``None`` if it doesn't exist."""
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
    """A new file in the target's folder: its descriptor, and its name if it has one."""
    unnamed = getattr(os, "O_TMPFILE", None)
    if unnamed is not None and Path("/proc/self/fd").is_dir():
        with suppress(OSError):  # not supported, or a real fault that mkstemp raises too
            return os.open(target.parent, unnamed | os.O_RDWR | os.O_CLOEXEC, 0o666), None
    try:
        descriptor, created = tempfile.mkstemp(SUFFIX, f".{target.name}.", target.parent)
    except OSError as error:  # the user knows the target's name, not the temporary one
        raise OSError(error.errno, error.strerror, os.fspath(target)) from None
    name = Path(created)
    try:
        name.chmod(0o666 & ~_umask())
    except BaseException:
        os.close(descriptor)
        name.unlink()
        raise
    return descriptor, name


def _give_name(descriptor: int, target: Path) -> Path:
    """Give an unnamed file a temporary name; a link can't replace a file, so a rename follows."""
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
    # It can't be read without setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
