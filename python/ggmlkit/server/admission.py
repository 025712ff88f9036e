"""Which requests may come in: a bounded number for each model, and none while the server ends."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from typing import Final

from ggmlkit.chat.errors import RETRY_SECONDS, RequestError, bad_request

_LONGEST_RETRY: Final = 60


class Admission:
    """Counts answers that run or wait. The event loop's thread alone uses it.

    Args:
        parallel: answers that run at a time for a model.
        waiting: that may wait for them.

    Attributes:
        is_draining: the server ends, and takes no more requests.
    """

    def __init__(self, parallel: int, waiting: int) -> None:
        self._parallel, self._waiting = parallel, waiting
        self._taken: Counter[str] = Counter()
        self._seconds = float(RETRY_SECONDS)  # that an answer takes, a running mean
        self.is_draining = False

    @contextmanager
    def admitted(self, model: str, answers: int = 1) -> Iterator[None]:
        """Room for some answers of a model, given back at the end of the block.

        Raises:
            RequestError: the queue is full (429), or the server ends (503).
        """
        self.check_draining()
        most = self._parallel + self._waiting
        if answers > most:
            raise bad_request(f"{answers} answers are more than the {most} of a request", "n")
        if self._taken[model] + answers > most:
            raise RequestError(
                429,
                f"{self._taken[model]} answers run or wait; try again later",
                code="queue_full",
                headers={"Retry-After": str(self._retry_seconds(model))},
            )
        self._taken[model] += answers
        start = time.monotonic()
        try:
            yield
        finally:
            self._taken[model] -= answers
            self._seconds += 0.1 * (time.monotonic() - start - self._seconds)

    def check_draining(self) -> None:
        """Raise RequestError if the server ends."""
        if self.is_draining:
            raise RequestError(
                503,
                "the server is shutting down",
                code="shutting_down",
                headers={"Retry-After": str(RETRY_SECONDS), "Connection": "close"},
            )

    @property
    def answers(self) -> int:
        """That run or wait, of all models."""
        return sum(self._taken.values())

    def waiting(self, model: str) -> int:
        """Answers of a model beyond those that can run."""
        return max(0, self._taken[model] - self._parallel)

    def _retry_seconds(self, model: str) -> int:
        """About when half of those that wait will have had their turn."""
        turns = self.waiting(model) / self._parallel / 2
        return max(1, min(_LONGEST_RETRY, ceil(turns * self._seconds)))
