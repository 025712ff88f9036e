"""The lines of a batch: read one at a time, however many there are."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ggmlkit.errors import FormatError

# Bytes. A longer line is no prompt: it is answered with an error, and never held whole.
LONGEST_LINE = 16 << 20
_PORTION = 1 << 20
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Line:
    """A line of a batch that is not blank.

    Attributes:
        number: from 1, blank lines counted.
        data: its bytes without white space around them; empty where it is too long.
        digest: of all its bytes.
        end: bytes of the input up to its end.
    """

    number: int
    data: bytes
    digest: bytes
    end: int

    @property
    def is_too_long(self) -> bool:
        """Whether it has more than `LONGEST_LINE` bytes."""
        return not self.data


def read_lines(file: BinaryIO) -> Iterator[Line]:
    """The lines that are not blank, read as they are asked for.

    Raises:
        FormatError: the file became shorter meanwhile.
    """
    number = end = 0
    while head := file.readline(LONGEST_LINE):
        number += 1
        end += len(head)
        data = head.strip()
        if number == 1:
            data = data.removeprefix(_BOM)
        if len(head) < LONGEST_LINE or head.endswith(b"\n"):
            if data:
                yield Line(number, data, hashlib.sha256(data).digest(), end)
            continue
        digest = hashlib.sha256(data)
        while rest := file.readline(_PORTION):
            end += len(rest)
            digest.update(rest)
            if rest.endswith(b"\n"):
                break
        yield Line(number, b"", digest.digest(), end)
    _check_not_cut(file, end)


def _check_not_cut(file: BinaryIO, end: int) -> None:
    """Raise FormatError if a file that was read to its end has fewer bytes than were read."""
    try:
        found = os.fstat(file.fileno())
    except OSError:  # it is no file of the system
        return
    if stat.S_ISREG(found.st_mode) and found.st_size < end:
        raise FormatError(
            Path(str(file.name)),
            found.st_size,
            "the file became shorter while it was read; begin again when nothing writes it",
        )
