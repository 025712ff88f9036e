"""Answers without the thoughts before them: a terminal shows how long they take."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Generator, Iterator

from ggmlkit.cli.chat.conversation import Piece

_DIM, _PLAIN, _CLEAR = "\x1b[2m", "\x1b[0m", "\r\x1b[K"
_DUMB = ("", "dumb", "unknown")
_SECONDS_BETWEEN = 0.2


def without_thoughts(pieces: Iterator[Piece]) -> Generator[str, None, None]:
    """What is said in the pieces of an answer; empty while the model thinks."""
    indicator = _Indicator()
    was_thinking = False
    is_said = False
    try:
        for _, (thought, said) in pieces:
            if thought:
                was_thinking = True
                indicator.show()
            if was_thinking and not is_said:
                said = said.lstrip("\n")  # line breaks that only set the two apart
            if said:
                is_said = True
                indicator.clear()
            yield said
    finally:
        indicator.clear()


class _Indicator:
    """A dim line that tells for how long the model thinks, on a terminal alone."""

    def __init__(self) -> None:
        is_dumb = os.environ.get("TERM", "") in _DUMB
        self._is_terminal = sys.stderr.isatty() and not is_dumb
        self._is_shown = False
        self._start = self._next = time.monotonic()

    def show(self) -> None:
        """Show it, with the seconds until now."""
        now = time.monotonic()
        if not self._is_terminal or now < self._next:
            return
        self._next = now + _SECONDS_BETWEEN
        self._is_shown = True
        seconds = int(now - self._start)
        self._write(f"{_CLEAR}{_DIM}thinking… {seconds} s (Ctrl-C stops){_PLAIN}")

    def clear(self) -> None:
        """Take it away."""
        if self._is_shown:
            self._is_shown = False
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        sys.stderr.write(text)
        sys.stderr.flush()
