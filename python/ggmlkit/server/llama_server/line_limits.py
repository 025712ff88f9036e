"""Ends of answers that depend on their lines, which editors ask for."""

from __future__ import annotations

import time


class LineLimits:
    """Watches the text of an answer.

    Args:
        indent: spaces and tabs that each line but the first must begin with.
        seconds: from the first token on, after which the next line break ends the answer; 0 or
            less: any number.

    Attributes:
        has_new_line: a line break came.
    """

    def __init__(self, indent: int, seconds: float) -> None:
        self._indent, self._seconds = indent, seconds
        self._start: float | None = None
        self._found: int | None = None  # indentation of a line that has nothing else yet
        self.has_new_line = self._has_ended = False

    def has_ended(self) -> bool:
        """Whether the answer ends here."""
        return self._has_ended

    def push(self, text: str) -> str:
        """The next piece of text, without a line that ends the answer."""
        if self._start is None:
            self._start = time.perf_counter()
        kept = self._indented(text) if self._indent else text
        has_break = "\n" in kept
        if has_break and self._is_late(self._start):
            self._has_ended = True
        self.has_new_line |= has_break
        return kept

    def _is_late(self, start: float) -> bool:
        return 0 < self._seconds < time.perf_counter() - start

    def _indented(self, text: str) -> str:
        """The text up to a line with too little indentation."""
        for place, letter in enumerate(text):
            if letter in " \t":
                self._found = None if self._found is None else self._found + 1
                continue
            if self._found is not None and self._found < self._indent:
                self._has_ended = True
                return text[:place]
            self._found = 0 if letter == "\n" else None
        return text
