"""Work beside a scheduler, in portions: no answer waits long for its next token."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.engine.sequence import Chunk

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.engine.model import Model

_SECONDS = 0.1  # of a portion, with the time that it waits for the scheduler's step
_LEAST_TOKENS = 16  # fewer read all weights for too little
_FIRST_TOKENS = 32  # before any portion was measured
_MOST_TOKENS = 256  # one pass of the engine


class Portions:
    """Computes batches: whole, or in portions while answers are generated.

    Args:
        is_busy: whether answers are generated now.
    """

    def __init__(self, is_busy: Callable[[], bool]) -> None:
        self._is_busy = is_busy
        self._token_time = _SECONDS / _FIRST_TOKENS  # a running mean

    def step(self, model: Model, batch: Sequence[Chunk]) -> list[NDArray[np.float32]]:
        """As :meth:`ggmlkit.Model.step`; where it fails, sequences may hold a part of the batch."""
        return self._computed(model.step, batch)

    def hidden_states(self, model: Model, batch: Sequence[Chunk]) -> list[NDArray[np.float32]]:
        """As :meth:`ggmlkit.Model.hidden_states`; where it fails, as :meth:`step`."""
        return self._computed(model.hidden_states, batch)

    def _computed(
        self,
        compute: Callable[[Sequence[Chunk]], list[NDArray[np.float32]]],
        batch: Sequence[Chunk],
    ) -> list[NDArray[np.float32]]:
        rows: list[list[NDArray[np.float32]]] = [[] for _ in batch]
        places, begins = list(range(len(batch))), [0] * len(batch)
        while places:
            if not self._is_busy():
                portion = [_part(batch[place], begins[place]) for place in places]
                taken, places = places, []
            else:
                portion, taken = _portion(batch, places, begins, self._most())
            start = time.perf_counter()
            found = compute(portion)
            if places:
                self._learn(sum(len(part.tokens) for part in portion), time.perf_counter() - start)
            for place, part in zip(taken, found, strict=True):
                rows[place].append(part)
        return [_joined(chunk, own) for chunk, own in zip(batch, rows, strict=True)]

    def _most(self) -> int:
        """Tokens of a portion."""
        return max(_LEAST_TOKENS, min(_MOST_TOKENS, int(_SECONDS / self._token_time)))

    def _learn(self, tokens: int, seconds: float) -> None:
        self._token_time += 0.3 * (seconds / max(tokens, _LEAST_TOKENS) - self._token_time)


WHOLE = Portions(lambda: False)


def _portion(
    batch: Sequence[Chunk], places: list[int], begins: list[int], most: int
) -> tuple[list[Chunk], list[int]]:
    """The next chunks of at most so many tokens, and their places; those that end are taken out."""
    portion: list[Chunk] = []
    taken: list[int] = []
    while places and most > 0:
        place = places[0]
        part = _part(batch[place], begins[place], most)
        portion.append(part)
        taken.append(place)
        most -= len(part.tokens)
        begins[place] += len(part.tokens)
        if begins[place] == len(batch[place].tokens):
            del places[0]
    return portion, taken


def _part(chunk: Chunk, begin: int, most: int | None = None) -> Chunk:
    """At most so many tokens of a chunk, from a place on."""
    end = len(chunk.tokens) if most is None else min(begin + most, len(chunk.tokens))
    has_rows = chunk.logits == "all" or end == len(chunk.tokens)
    return Chunk(chunk.sequence, chunk.tokens[begin:end], chunk.logits if has_rows else "none")


def _joined(chunk: Chunk, rows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    if chunk.logits == "all" and len(rows) > 1:
        return np.concatenate(rows)
    return rows[-1]
