"""How far a calibration is."""

from __future__ import annotations

from ggmlkit.io.writing.stream import Progress


class Meter:
    """Reports work, counted in weights.

    Args:
        progress: called with (done, in all, what is done next); may be None.
        total: of all work.
    """

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def begin(self, name: str) -> None:
        """Report what is done next."""
        if self._progress is not None:
            self._progress(self._done, self._total, name)

    def advance(self, count: int, name: str) -> None:
        """Report what was done."""
        self._done += count
        self.begin(name)

    def end(self) -> None:
        """Report that all is done."""
        self._done = self._total
        self.begin("")
