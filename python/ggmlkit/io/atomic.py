"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from ggmlkit.io.debris import SUFFIX, lock, lock_kept, remove_debris

_BUFFER_BYTES = 1 << 20


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
    target = Path(os.path.realpath(path))
    mode = _mode_of(target)
    remove_debris(target)
    descriptor, name = _create(target)
    try:
        with ExitStack() as until_renamed:
            # closefd: the buffered file owns the descriptor from here on.
            with os.fdopen(descriptor, "w+b", buffering=_BUFFER_BYTES) as file:
                lock(file.fileno())
                yield file
                file.flush()
                if mode is not None:
                    os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
                until_renamed.enter_context(lock_kept(file.fileno()))
                if name is None:
                    name = _give_name(file.fileno(), target)
            name.replace(target)
    except BaseException:
        if name is not None:
            name.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


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


def _sync_folder(folder: Path) -> None:
    """Make the rename itself durable, where folders can be opened (not on Windows)."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
