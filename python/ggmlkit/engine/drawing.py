"""Tokens are drawn from the logits of a step: one for each text, or several that were guessed.

A guess changes no token. Each row of logits is drawn from as if the step had computed nothing else;
a text goes on with the next row only where what was drawn is what was guessed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit import _core
from ggmlkit.engine.completion import Completion, Token
from ggmlkit.errors import ArgumentError, GgmlkitError, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_TOKEN = (
    "no token can be drawn: all logits of the model are NaN (`ggmlkit verify` shows its weights "
    "that are not finite), or the settings allow no token"
)


@dataclass(eq=False)
class Turn:
    """What one text draws from the logits of a step.

    Attributes:
        ids: all so far; what is drawn is appended.
        first_row: of its logits: those after the last id. The next are after each guess.
        guesses: of the tokens that follow.
        tokens: what was drawn.
        error: why no more could be.
    """

    completion: Completion
    ids: list[int]
    first_row: int
    guesses: Sequence[int] = ()
    tokens: list[Token] = field(default_factory=list)
    error: GgmlkitError | None = None

    @property
    def row(self) -> int:
        """Whose logits the next token is drawn from."""
        return self.first_row + len(self.tokens)

    def is_over(self) -> bool:
        """Whether no row of logits is left, as a guess was wrong, or the text ended."""
        if self.error or (self.tokens and self.tokens[-1].finish_reason):
            return True
        drawn = [token.id for token in self.tokens]
        return len(drawn) > len(self.guesses) or drawn != list(self.guesses[: len(drawn)])

    def prepare(self, logits: NDArray[np.float32]) -> NDArray[np.uint32] | None:
        """As `Completion.prepare`, for the next row; errors are kept."""
        try:
            return self.completion.prepare(self.ids, logits[self.row])
        except (ArgumentError, ModelError) as error:  # of its grammar
            self.error = error
        except Exception as error:  # of the caller's own logits_processor
            self.error = ModelError(f"logits_processor failed: {error!r}")
            self.error.__cause__ = error
        return None

    def take(self, id: int, logits: NDArray[np.float32]) -> None:
        """Go on with a token that was drawn, and with those that only its grammar leaves."""
        if id < 0:
            self.error = ModelError(NO_TOKEN)
            return
        self._append(self.completion.take(id, logits[self.row]))
        for forced in self.completion.forced():
            if self.tokens[-1].finish_reason:
                return
            self._append(self.completion.take(forced, None))

    def _append(self, token: Token) -> None:
        self.tokens.append(token)
        self.ids.append(token.id)


def draw(turns: Sequence[Turn], logits: NDArray[np.float32]) -> None:
    """Draw the tokens of some texts from float32 ``(rows, vocab)``, which settings may change."""
    going_on = list(turns)
    while going_on:
        allowed = [turn.prepare(logits) for turn in going_on]
        ready = [
            (turn, bits) for turn, bits in zip(going_on, allowed, strict=True) if not turn.error
        ]
        if not ready:
            return
        rows = [turn.row for turn, _ in ready]
        is_all = rows == list(range(len(logits)))
        ids = _sampled(
            [turn.completion for turn, _ in ready],
            logits if is_all else logits[rows],
            [bits for _, bits in ready],
        )
        for (turn, _), id in zip(ready, ids, strict=True):
            turn.take(id, logits)
        going_on = [turn for turn, _ in ready if not turn.is_over()]


def _sampled(
    completions: Sequence[Completion],
    logits: NDArray[np.float32],
    allowed: Sequence[NDArray[np.uint32] | None],
) -> list[int]:
    """A token for each row of logits; -1 where none is left.

    ``allowed`` is what `Completion.prepare` gave for each.
    """
    bits: NDArray[np.uint32] | None = None
    if any(row is not None for row in allowed):
        words = (logits.shape[1] + 31) // 32
        bits = np.full((len(completions), words), 2**32 - 1, np.uint32)
        for to, row in zip(bits, allowed, strict=True):
            if row is not None:
                to[:] = row
    found: list[int] = _core.sample_rows([c.sampler for c in completions], logits, bits).tolist()
    return found
