"""How likely a text is to a model."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, fsum, inf
from typing import TYPE_CHECKING

from ggmlkit.engine.completion import Token
from ggmlkit.engine.log_probabilities import log_probabilities
from ggmlkit.engine.sequence import Chunk
from ggmlkit.errors import ArgumentError

if TYPE_CHECKING:
    from ggmlkit.engine.model import Model
    from ggmlkit.engine.sequence import Adapter


@dataclass(frozen=True)
class Score:
    """How likely a text is.

    Attributes:
        tokens: all of the text, each with its ``logprob``, given the tokens before it. That of the
            first is None: nothing is before it.
        logprob: sum of the log-probabilities (natural).
    """

    tokens: tuple[Token, ...]
    logprob: float

    @property
    def perplexity(self) -> float:
        """``exp(-logprob / n)``, where ``n`` tokens have a log-probability."""
        try:
            return exp(-self.logprob / (len(self.tokens) - 1))
        except OverflowError:
            return inf


def score_of(model: Model, adapter: Adapter | None, ids: list[int]) -> Score:
    """The score of a text.

    Raises:
        ArgumentError: it has one token only.
        ModelError: logits are not finite.
    """
    if len(ids) == 1:
        raise ArgumentError("text has one token only: nothing is before it that could predict it")
    tokenizer = model.tokenizer
    with model.sequence(adapter=adapter) as sequence:
        (logits,) = model.step([Chunk(sequence, ids[:1])])
        (found,) = log_probabilities(model, sequence, logits, [ids[1:]])
    stream = tokenizer.stream()
    texts = [stream.push(id) for id in ids]
    texts[-1] += stream.flush()
    logprobs = [None, *found]
    return Score(tuple(map(Token, ids, texts, logprobs)), fsum(found))
