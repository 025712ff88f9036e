"""Generation in the caller's thread: prefill the prompt, then decode token after token."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.engine.completion import Completion, Token, drawn
from ggmlkit.errors import ModelError

NO_TOKEN = (
    "no token can be drawn: all logits of the model are NaN (`ggmlkit verify` shows its weights "
    "that are not finite), or the settings allow no token"
)

if TYPE_CHECKING:
    from ggmlkit.engine.constraint import Constraint
    from ggmlkit.engine.model import Model
    from ggmlkit.engine.sampling import SamplingParams
    from ggmlkit.engine.sequence import Adapter


@dataclass
class Stats:
    """Work of one generation: the prompt prefilled, then tokens decoded.

    Attributes:
        prompt_tokens: that were computed.
        cached_tokens: of the prompt, that the cache held already.
    """

    prompt_tokens: int = 0
    cached_tokens: int = 0
    prompt_seconds: float = 0.0
    decode_tokens: int = 0
    decode_seconds: float = 0.0

    @property
    def prompt_tps(self) -> float:
        """Prompt tokens a second; 0 before any."""
        return self.prompt_tokens / self.prompt_seconds if self.prompt_seconds else 0.0

    @property
    def decode_tps(self) -> float:
        """Decoded tokens a second; 0 before any."""
        return self.decode_tokens / self.decode_seconds if self.decode_seconds else 0.0


def check_fits(model: Model, tokens: int, name: str) -> None:
    """Raise ModelError if so many tokens do not fit the context; ``name`` is what they are."""
    if tokens > model.context:
        raise ModelError(
            f"{name} of {tokens} tokens does not fit the context of {model.context}; "
            f"context=… sets a longer one (the model was trained for {model.config.context})"
        )


def room_for(model: Model, prompt: list[int], params: SamplingParams) -> int:
    """Tokens that may follow a prompt.

    Raises:
        ModelError: the prompt does not fit the context.
    """
    check_fits(model, len(prompt), "the prompt")
    # The last token needs no room: what would follow it is not computed.
    room = model.context - len(prompt) + 1
    return room if params.max_tokens is None else min(params.max_tokens, room)


def generated(
    model: Model,
    prompt: list[int],
    params: SamplingParams,
    limit: int,
    adapter: Adapter | None,
    stats: Stats,
    constraint: Constraint | None = None,
) -> Iterator[Token]:
    """At most ``limit`` tokens that follow a prompt (see `room_for`); ``stats`` keeps count.

    The ``constraint`` is that of the settings; it is made where it isn't given.
    """
    vocab = model.config.vocab
    logits = np.empty((1, vocab), np.float32)
    with model.sequence(prompt, adapter) as sequence:
        start = time.perf_counter()
        stats.cached_tokens = len(sequence)
        stats.prompt_tokens = len(prompt) - len(sequence)
        new = model.ids(prompt[len(sequence) :])
        model.append([sequence], [new], ["last"], logits)
        stats.prompt_seconds = time.perf_counter() - start
        if limit == 0:
            return
        completion = Completion(prompt, params, model.tokenizer, limit, vocab, constraint)
        ids = list(prompt)
        while True:
            start = time.perf_counter()
            allowed = completion.prepare(ids, logits[0])
            (id,) = drawn([completion], logits, [allowed])
            if id < 0:
                raise ModelError(NO_TOKEN)
            ids.append(id)
            token = completion.take(id, logits[0])
            stats.decode_tokens += 1
            stats.decode_seconds += time.perf_counter() - start
            yield token
            if token.finish_reason:
                return
            start = time.perf_counter()
            model.append([sequence], [np.array([id], np.int32)], ["last"], logits)
            stats.decode_seconds += time.perf_counter() - start
