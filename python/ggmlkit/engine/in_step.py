"""What a thread is in the middle of: it must not wait for its own step.

A step calls Python: observers, and between two passes the handlers of signals.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from ggmlkit import _core
from ggmlkit.errors import ModelError


class HasCompiled(Protocol):
    """A sequence."""

    @property
    def compiled(self) -> _core.Sequence: ...


class _Thread(threading.local):
    is_observing = False
    sequences: tuple[object, ...] = ()  # that its steps work on


_this = _Thread()


@contextmanager
def observing() -> Iterator[None]:
    """While an observer runs; the step waits for it, and others for the step."""
    _this.is_observing = True
    try:
        yield
    finally:
        _this.is_observing = False


@contextmanager
def stepping(sequences: Sequence[HasCompiled]) -> Iterator[list[_core.Sequence]]:
    """While a step works on sequences: what is compiled of them."""
    compiled = [sequence.compiled for sequence in sequences]
    before, _this.sequences = _this.sequences, (*_this.sequences, *sequences)
    try:
        yield compiled
    finally:
        _this.sequences = before
        compiled.clear()  # the traceback of an error must not keep their pages


def refuse_in_observer() -> None:
    """Refuse what would wait for the step that waits for this thread's observer.

    Raises:
        ModelError: an observer runs in this thread.
    """
    if _this.is_observing:
        raise ModelError(
            "an observer can't use models and sequences, as their step waits for it; keep the "
            "activations, and do the rest after the step"
        )


def refuse_in_step(sequence: object) -> None:
    """Refuse a sequence that this thread's step works on, and all within an observer.

    Raises:
        ModelError: an observer, or the handler of a signal, asks for it.
    """
    refuse_in_observer()
    if any(sequence is each for each in _this.sequences):
        raise ModelError(
            "a handler of a signal can't use the sequence that this thread's step works on; do it "
            "after the step"
        )
