"""Finds and removes temporary files that a killed process left.

A process that writes such a file holds a lock on it; the system releases it when the process ends.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from errno import ENOLCK, EOPNOTSUPP
from pathlib import Path

if sys.platform != "win32":
    import fcntl

SUFFIX = ".ggmlkit.tmp"


def lock(descriptor: int) -> None:
    """Mark an open file as being written, until it is closed."""
    with suppress(OSError):  # leftovers stay there
        is_exclusive(descriptor)


def is_exclusive(descriptor: int) -> bool:
    """Whether no other process has locked an open file; it is locked then, until it is closed.

    True where the system has no locks.
    """
    if sys.platform != "win32":
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in (ENOLCK, EOPNOTSUPP):  # of a file system without locks
                raise
    return True


def remove_leftovers(target: Path) -> None:
    """Remove temporary files of killed processes that were writing ``target``."""
    if sys.platform == "win32":
        return
    with suppress(OSError), os.scandir(target.parent) as entries:
        names = [entry.name for entry in entries]
        for name in names:
            if name.startswith(f".{target.name}.") and name.endswith(SUFFIX):
                _remove_if_left(target.with_name(name))


def _remove_if_left(path: Path) -> None:
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
        finally:
            os.close(descriptor)
