"""Adapts progress reports to work on several files or tensors."""

from __future__ import annotations

from collections.abc import Iterable

from ggmlkit.io.writing.stream import Progress
from ggmlkit.tensor import Tensor


def shifted(progress: Progress | None, before: int, total: int) -> Progress | None:
    """Progress for one of several files: ``before`` of ``total`` bytes are already written."""
    if progress is None:
        return None

    def report(done: int, _: int, name: str) -> None:
        progress(before + done, total, name)

    return report


class Reporter:
    """Reports progress of tensors that are written one after another."""

    def __init__(self, progress: Progress | None, tensors: Iterable[Tensor]) -> None:
        self._progress = progress
        self._total = sum(tensor.nbytes for tensor in tensors)
        self._done = 0

    def begin(self, name: str, tensor: Tensor) -> None:
        """Report that a tensor is written next."""
        if self._progress is not None:
            self._progress(self._done, self._total, name)
        self._done += tensor.nbytes

    def end(self) -> None:
        """Report that all tensors are written."""
        if self._progress is not None:
            self._progress(self._total, self._total, "")
