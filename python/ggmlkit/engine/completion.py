"""What is generated for one prompt: tokens, their text, and where it ends."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ggmlkit import _core
from ggmlkit.engine.breakers import breaker_tokens
from ggmlkit.engine.constraint import Constraint, constraint_of
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.engine.sampling_checks import strings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.text.tokenizer import Tokenizer

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True)
class Token:
    """A generated token.

    Attributes:
        id: in the vocabulary.
        text: that is complete with it, as whole characters; may be empty, and of several tokens.
        logprob: natural logarithm of its probability, before any setting; None unless asked for.
        top_logprobs: the likeliest tokens' ids and theirs, likeliest first; empty unless asked for.
        finish_reason: of the last token alone: "stop" at the model's end, a stop string or
            the end of the grammar, "length" where no more tokens were asked for, or the context is
            full.
        stop: the stop string that ended the text, of the last token alone.
    """

    id: int
    text: str
    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] = ()
    finish_reason: FinishReason | None = None
    stop: str | None = None


class Completion:
    """The tokens after one prompt, as they are drawn.

    Args:
        prompt: its token ids.
        limit: tokens that may follow, at least 1.
        vocab: logits in a row.
        constraint: of the settings; it is made where it isn't given.

    Attributes:
        sampler: what draws the tokens.
        left: tokens that may still follow.
        constraint: what keeps the text to its grammar; None: it is free.
    """

    def __init__(
        self,
        prompt: list[int],
        params: SamplingParams,
        tokenizer: Tokenizer,
        limit: int,
        vocab: int,
        constraint: Constraint | None = None,
    ) -> None:
        self._ending = frozenset(id for id in tokenizer.eog_ids if 0 <= id < vocab)
        breakers = strings(params.dry_sequence_breakers, "dry_sequence_breakers")
        self.sampler = params.new_sampler(
            self._ending, breaker_tokens(tokenizer, breakers) if params.dry_multiplier else ()
        )
        for token in prompt[len(prompt) - min(len(prompt), params.recent_tokens) :]:
            self.sampler.accept(token)
        self._text = tokenizer.stream()
        self._until = StopStrings(strings(params.stop, "stop"))
        self._params = params
        self._allowed = allowed_bits(params.allowed_tokens, vocab)
        self.constraint = constraint or constraint_of(params, tokenizer, vocab)
        if self.constraint is not None and params.allowed_tokens is not None:
            self._allowed = allowed_bits({*params.allowed_tokens, *self._ending}, vocab)
        self.left = limit

    def prepare(self, ids: Sequence[int], logits: NDArray[np.float32]) -> NDArray[np.uint32] | None:
        """What the next token may be, as bits (see `allowed_bits`); None: any.

        ``ids`` are all so far; the ``logits`` are changed as the settings want.

        Raises:
            ArgumentError, ModelError: the text can't go on as its grammar wants.
        """
        if self._params.logits_processor is not None:
            self._params.logits_processor(tuple(ids), logits)
        if self.constraint is None:
            return self._allowed
        bits = self.constraint.allowed()
        return bits if self._allowed is None else bits & self._allowed

    def forced(self) -> list[int]:
        """The next tokens, where the grammar leaves but one text, and the settings agree.

        They need no logits. None where their log-probabilities are wanted, or a setting may change
        which tokens they are.
        """
        params = self._params
        if self.constraint is None or params.logprobs or params.top_logprobs:
            return []
        if self._allowed is not None or params.logits_processor or params.banned_tokens:
            return []
        return [] if params.logit_bias else self.constraint.forced()

    def take(self, id: int, logits: NDArray[np.float32] | None) -> Token:
        """The next token, drawn from these logits; None: it is a forced one."""
        self.sampler.accept(id)
        self.left -= 1
        params = self._params
        logprob: float | None = None
        top: list[tuple[int, float]] = []
        if logits is not None:
            logprob = _core.log_probability(logits, id) if params.logprobs else None
            top = _core.top_log_probabilities(logits, params.top_logprobs)
        is_end = id in self._ending
        text = "" if is_end else self._until.push(self._text.push(id))
        if not is_end and self.constraint is not None:
            is_end = self.constraint.take(id)
        if not self._until.is_found() and (is_end or self.left == 0):
            text += self._until.push(self._text.flush())
            text += self._until.rest()
        reason: FinishReason | None = None
        if is_end or self._until.is_found():
            reason = "stop"
        elif self.left == 0:
            reason = "length"
        return Token(id, text, logprob, tuple(top), reason, self._until.found)


def allowed_bits(tokens: Collection[int] | None, vocab: int) -> NDArray[np.uint32] | None:
    """Bit ``i % 32`` of word ``i // 32`` is 1 for each of the tokens; None stays None."""
    if tokens is None:
        return None
    bits = np.zeros((vocab + 31) // 32 * 32, bool)
    bits[[token for token in tokens if token < vocab]] = True
    return np.packbits(bits, bitorder="little").view(np.uint32)


class StopStrings:
    """Text up to the first of some strings; what may begin one is held back.

    Attributes:
        found: the string that came; None so far. Of those at one place, the longest.
    """

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self.found: str | None = None

    def is_found(self) -> bool:
        """Whether one came."""
        return self.found is not None

    def push(self, text: str) -> str:
        """The text that no stop string takes, of what was held and this."""
        if not self._stops:
            return text
        if self.found is not None:
            return ""
        self._held += text
        places = [(at, stop) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if places:
            first, self.found = min(places, key=lambda each: (each[0], -len(each[1])))
            given, self._held = self._held[:first], ""
            return given
        keep = max(_overlap(self._held, stop) for stop in self._stops)
        given = self._held[: len(self._held) - keep]
        self._held = self._held[len(given) :]
        return given

    def rest(self) -> str:
        """What was held back, where no more comes."""
        given, self._held = self._held, ""
        return given


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of ``text`` that begins ``stop``."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)
