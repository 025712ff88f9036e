"""Ranges of a file that are read on demand, into their own memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ggmlkit.errors import FormatError


@dataclass(frozen=True)
class FileRange:
    """A function that returns ``size`` bytes at ``offset`` of a file, as uint8 ``(size,)``.

    Checkpoints are read, not mapped: a conversion needs every byte once, the pages of a mapping
    would count as its memory, and a file that is cut short meanwhile would cause a bus error.
    """

    path: Path
    offset: int
    size: int

    def __call__(self) -> npt.NDArray[np.uint8]:
        try:
            data = np.fromfile(self.path, np.uint8, self.size, offset=self.offset)
        except OSError as error:
            raise FormatError(self.path, self.offset, str(error)) from error
        if data.size != self.size:
            raise FormatError(self.path, self.offset, "the file was cut short while it was read")
        return data

    def part(self, start: int, nbytes: int) -> FileRange:
        """The range of ``nbytes`` bytes that begins ``start`` bytes into this one."""
        return FileRange(self.path, self.offset + start, nbytes)
