"""One step of many texts: their ids are appended, and the tokens that follow them are drawn."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.closing import Closing
from ggmlkit.engine.completion import Completion
from ggmlkit.engine.drawing import Turn, draw
from ggmlkit.engine.full_context import shifted
from ggmlkit.engine.inbox import wake
from ggmlkit.engine.masks import computing_masks
from ggmlkit.errors import CacheFullError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.engine.model import Model
    from ggmlkit.engine.request import Request
    from ggmlkit.engine.sequence import LogitsOf
    from ggmlkit.engine.speculation.speculator import Speculator

# Tokens of a step at most: one pass of the engine, so that no step holds it for longer.
STEP_TOKENS = 256


@dataclass(eq=False)
class Part:
    """What a step computes of one text.

    Attributes:
        count: of its missing ids, that are appended.
        guesses: of the tokens after them.
        is_last: no id is missing then.
    """

    request: Request
    count: int
    guesses: Sequence[int] = ()

    def __post_init__(self) -> None:
        self.is_last = self.count == self.request.missing

    @property
    def is_decoding(self) -> bool:
        """Whether it computes one token, and what was guessed after it."""
        return self.is_last and self.count == 1

    @property
    def logits(self) -> LogitsOf:
        """Which tokens give logits: none while ids are missing, else the last, and all guesses."""
        if not self.is_last:
            return "none"
        return "all" if self.guesses else "last"

    @property
    def rows(self) -> int:
        """Of logits."""
        return 1 + len(self.guesses) if self.is_last else 0

    def new_ids(self) -> NDArray[np.int32]:
        """What is appended: int32 ``(count + guesses,)``."""
        held = self.request.held
        return np.array([*self.request.ids[held : held + self.count], *self.guesses], np.int32)


class Decoding(Closing):
    """Computes the steps of one model, guesses of the speculator among them."""

    def __init__(self, model: Model, speculator: Speculator | None = None) -> None:
        self._model = model
        self._speculator = speculator

    def step(self, parts: Sequence[Part]) -> None:
        """Compute the parts; requests get their tokens, and end where they are complete or fail.

        Raises:
            CacheFullError: the cache has too few free pages; all requests are as before.
        """
        start = time.perf_counter()
        self._guess(parts)
        logits = self._fitting(parts)
        is_plain = all(part.is_decoding for part in parts)
        drawing = [part for part in parts if part.rows]
        for part in parts:
            part.request.held += part.count
        turns = self._turns(drawing)
        draw([turn for _, turn in turns], logits)
        for part, turn in turns:
            self._take(part, turn)
        wake(part.request.tokens for part, _ in turns)
        if self._speculator and is_plain and turns:
            tokens = sum(len(turn.tokens) for _, turn in turns)
            seconds = time.perf_counter() - start
            self._speculator.learn_time(len(parts), len(logits), tokens, seconds)

    def _guess(self, parts: Sequence[Part]) -> None:
        """Give the parts that decode a token guesses of what follows it."""
        if self._speculator is None:
            return
        decoding = [part for part in parts if part.is_decoding and part.request.text]
        if not decoding:
            return
        free = (STEP_TOKENS - sum(part.count for part in parts)) // len(decoding)
        texts, samplers, most = [], [], []
        for part in decoding:
            text, completion = part.request.text, part.request.completion
            assert text is not None
            assert completion is not None
            texts.append(text)
            samplers.append(completion.sampler)
            room = min(completion.left - 1, self._model.context - len(text.ids), free)
            most.append(max(0, room))
        found = self._speculator.guesses(texts, samplers, most)
        for part, guesses in zip(decoding, found, strict=True):
            part.guesses = guesses

    def _fitting(self, parts: Sequence[Part]) -> NDArray[np.float32]:
        """As `_computed`; guesses that the cache has no room for are left out."""
        try:
            return self._computed(parts)
        except CacheFullError:
            if not any(part.guesses for part in parts):
                raise
        for part in parts:
            part.guesses = ()
        return self._computed(parts)

    def _computed(self, parts: Sequence[Part]) -> NDArray[np.float32]:
        """Append the parts' ids and guesses: logits, float32 ``(rows of all parts, vocab)``."""
        constraints = [
            part.request.completion.constraint
            for part in parts
            if part.request.completion and part.request.completion.constraint
        ]
        out = np.empty((sum(part.rows for part in parts), self._model.config.vocab), np.float32)
        with computing_masks(constraints):
            self._model.append(
                [part.request.held_sequence for part in parts],
                [part.new_ids() for part in parts],
                [part.logits for part in parts],
                out,
            )
        return out

    def _turns(self, parts: Sequence[Part]) -> list[tuple[Part, Turn]]:
        """What each text draws; a request of no tokens ends."""
        turns: list[tuple[Part, Turn]] = []
        first_row = 0
        for part in parts:
            request = part.request
            if request.completion is None:
                self._begin(request)
            if request.completion is None:
                request.end()
            else:
                turn = Turn(request.completion, request.ids, first_row, part.guesses)
                turns.append((part, turn))
            first_row += part.rows
        return turns

    def _begin(self, request: Request) -> None:
        """The prompt is computed."""
        request.prompt_computed()
        if request.limit == 0:
            return
        request.completion = Completion(
            request.ids,
            request.params,
            self._model.tokenizer,
            request.limit,
            self._model.config.vocab,
            request.constraint,
        )
        self._begin_text(request)

    def _begin_text(self, request: Request) -> None:
        if self._speculator:
            request.text = self._speculator.begin(request.ids)

    def _take(self, part: Part, turn: Turn) -> None:
        """Give a request what was drawn."""
        request = part.request
        request.give(turn.tokens)
        drawn = [token.id for token in turn.tokens]
        if self._speculator and request.text:
            self._speculator.compare(request.text, drawn)
        if turn.error or turn.tokens[-1].finish_reason:
            self.end(request)
            request.end(turn.error)
            return
        right = common_length(drawn, part.guesses)
        request.held += right
        if right < len(part.guesses):
            request.forget(request.held)
        if len(request.ids) > self._model.context:
            self._shift(request)

    def _shift(self, request: Request) -> None:
        """Go on with a part of the ids, as the context is full."""
        self.end(request)
        request.ids = shifted(
            request.ids, request.prompt_length, request.params, self._model.context
        )
        request.let_go()
        request.hold(self._model.sequence(request.ids, request.adapter))
        self._begin_text(request)

    def end(self, request: Request) -> None:
        """A request's text goes on no more: nothing is guessed about it."""
        text, request.text = request.text, None
        if self._speculator and text:
            self._speculator.end(text)

    def close(self) -> None:
        """Guess no more. Twice is no error."""
        if self._speculator:
            self._speculator.close()


def common_length(ids: Sequence[int], others: Sequence[int]) -> int:
    """How many ids two lists begin with alike."""
    most = min(len(ids), len(others))
    return next((place for place in range(most) if ids[place] != others[place]), most)
