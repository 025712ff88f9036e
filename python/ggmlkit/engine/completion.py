"""What is generated for one prompt: tokens, their text, and where it ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from ggmlkit import _core
from ggmlkit.engine.sampling import SamplingParams, stop_strings

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
        finish_reason: of the last token alone: "stop" at the model's end or a stop string,
            "length" where no more tokens were asked for, or the context is full.
    """

    id: int
    text: str
    logprob: float | None = None
    finish_reason: FinishReason | None = None


class Completion:
    """The tokens after one prompt, as they are drawn.

    Args:
        prompt: its token ids.
        limit: tokens that may follow, at least 1.
        vocab: logits in a row.
    """

    def __init__(
        self,
        prompt: list[int],
        params: SamplingParams,
        tokenizer: Tokenizer,
        limit: int,
        vocab: int,
    ) -> None:
        self._ending = frozenset(id for id in tokenizer.eog_ids if 0 <= id < vocab)
        self.sampler = params.new_sampler(self._ending)
        for token in prompt[len(prompt) - min(len(prompt), params.repeat_last_n) :]:
            self.sampler.accept(token)
        self._text = tokenizer.stream()
        self._until = StopStrings(stop_strings(params.stop))
        self._logprobs = params.logprobs
        self._left = limit

    def take(self, id: int, logits: NDArray[np.float32]) -> Token:
        """The next token, drawn from these logits."""
        self.sampler.accept(id)
        self._left -= 1
        logprob = _core.log_probability(logits, id) if self._logprobs else None
        is_end = id in self._ending
        text = "" if is_end else self._until.push(self._text.push(id))
        if not self._until.is_found() and (is_end or self._left == 0):
            text += self._until.push(self._text.flush())
            text += self._until.rest()
        reason: FinishReason | None = None
        if is_end or self._until.is_found():
            reason = "stop"
        elif self._left == 0:
            reason = "length"
        return Token(id, text, logprob, reason)


class StopStrings:
    """Text up to the first of some strings; what may begin one is held back."""

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = stops
        self._held = ""
        self._found = False

    def is_found(self) -> bool:
        """Whether one came."""
        return self._found

    def push(self, text: str) -> str:
        """The text that no stop string takes, of what was held and this."""
        if not self._stops:
            return text
        if self._found:
            return ""
        self._held += text
        places = [at for at in (self._held.find(stop) for stop in self._stops) if at >= 0]
        if places:
            self._found = True
            given, self._held = self._held[: min(places)], ""
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
