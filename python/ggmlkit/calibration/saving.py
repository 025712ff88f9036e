"""Where an importance matrix is saved while it is made."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from ggmlkit.arguments import check_paths, counted, whole
from ggmlkit.errors import ArgumentError
from ggmlkit.io.imatrix import Form, Imatrix, checked_form, read_imatrix, save_imatrix
from ggmlkit.io.writing.staged import Staged


@dataclass
class Saving:
    """The file of an importance matrix, and how often it is written. It is replaced as a whole.

    Attributes:
        path: the file. What is saved early is an importance matrix like any other.
        form: "gguf" or "dat"; by the path's suffix if None.
        every: chunks from one writing to the next; 0 for the end only.
        copies_every: chunks from one copy that is kept, ``PATH.at_N``, to the next; 0 for none.
        resume: go on from what ``path`` holds. If there is no such file, the work begins anew.

    Raises:
        ArgumentError: a number is negative, the form is unknown, or imatrix.dat is to be resumed.
    """

    path: str | os.PathLike[str]
    form: Form | None = None
    every: int = 10
    copies_every: int = 0
    resume: bool = False
    _saved: int = field(default=0, init=False)  # chunks that the file holds
    _seen: int = field(default=0, init=False)  # chunks, when last asked to save

    def __post_init__(self) -> None:
        check_paths(path=self.path)
        self.every = whole(self.every, "every", least=0)
        self.copies_every = whole(self.copies_every, "copies_every", least=0)
        self.form = checked_form(self.path, self.form)
        if self.resume and self.form == "dat":
            raise ArgumentError(
                "imatrix.dat does not say how far the work came, so it can't be resumed; save as "
                "gguf"
            )

    def found(self, work: str) -> Imatrix | None:
        """What was saved of this work; None: nothing, or it is not to be used.

        Raises:
            ArgumentError: the file is of other work.
            FormatError: it is damaged, or not an importance matrix.
            OSError: the file can't be written later.
        """
        _check_writable(self.path)
        if not self.resume or not Path(self.path).exists():
            return None
        found = read_imatrix(self.path)
        if found.work is None or found.work.digest != work:
            raise ArgumentError(
                f"{os.fspath(self.path)} can't be resumed: it was made of another model or text, "
                "or with other settings"
            )
        self._saved = self._seen = found.work.done
        return found

    def after(self, made: Imatrix) -> None:
        """Save what was made so far, where it is time for that.

        Raises:
            OSError: the disk is full; what was saved before stays.
        """
        done = _done(made)
        before, self._seen = self._seen, done
        if _is_due(self.every, before, done):
            self.save(made)
        if _is_due(self.copies_every, before, done):
            self._write(f"{os.fspath(self.path)}.at_{done}", made)

    def save(self, made: Imatrix) -> None:
        """Save what was made so far; raises as :meth:`after`."""
        self._write(self.path, made)
        self._saved = _done(made)

    def _write(self, path: str | os.PathLike[str], made: Imatrix) -> None:
        try:
            save_imatrix(path, made, self.form)
        except OSError as error:
            kept = ""
            if self._saved:
                kept = f"; {os.fspath(self.path)} still holds {counted(self._saved, 'chunk')}"
            raise OSError(error.errno, f"{error.strerror}{kept}", error.filename) from error


def _done(made: Imatrix) -> int:
    return made.work.done if made.work else 0


def _is_due(every: int, before: int, done: int) -> bool:
    return every > 0 and done // every > before // every


def _check_writable(path: str | os.PathLike[str]) -> None:
    """Raise OSError before hours of work, not after."""
    Staged(path).close()
