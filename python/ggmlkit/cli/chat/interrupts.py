"""Ctrl-C in a conversation: it ends what is allowed to end, and nothing else."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupts:
    """Between :meth:`allowed` blocks, Ctrl-C is ignored, so that no message is lost by it."""

    def __init__(self) -> None:
        self._is_allowed = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle Ctrl-C like this within the block."""
        before = signal.signal(signal.SIGINT, self._handle)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Within the block the first Ctrl-C raises KeyboardInterrupt; a second one is ignored."""
        self._is_allowed = True
        try:
            yield
        finally:
            self._is_allowed = False

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        if self._is_allowed:
            self._is_allowed = False
            raise KeyboardInterrupt
