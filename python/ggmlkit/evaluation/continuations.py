"""How likely texts are after contexts: what multiple choice and lm-eval ask for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, takewhile
from math import fsum
from typing import TYPE_CHECKING

from ggmlkit import _core
from ggmlkit.engine.log_probabilities import of_tokens
from ggmlkit.engine.sequence import Chunk
from ggmlkit.errors import ArgumentError, ModelError
from ggmlkit.evaluation.text_chunks import unended

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ggmlkit.engine.model import Model
    from ggmlkit.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Pair:
    """A context and what continues it, as token ids.

    Attributes:
        context: at least one id.
        continuation: at least one id.
    """

    context: tuple[int, ...]
    continuation: tuple[int, ...]

    @property
    def ids(self) -> list[int]:
        """All of them."""
        return [*self.context, *self.continuation]


@dataclass(frozen=True)
class Continuation:
    """How likely a continuation is.

    Attributes:
        logprob: sum of the natural log-probabilities of its tokens.
        is_greedy: whether each of its tokens is the likeliest at its place.
        tokens: how many it has.
    """

    logprob: float
    is_greedy: bool
    tokens: int


def prefix_id(tokenizer: Tokenizer) -> int:
    """The token that stands before a text that has nothing before it.

    Raises:
        ModelError: the vocabulary has none.
    """
    for id in (tokenizer.bos_id, tokenizer.eos_id):
        if id is not None:
            return id
    raise ModelError("the vocabulary has no token that begins or ends a text")


def pair_of(tokenizer: Tokenizer, context: str, continuation: str) -> Pair:
    """The ids of a context and of what continues it, as lm-eval cuts them.

    Both are tokenized as one text. White space at the end of the context belongs to the
    continuation, as tokens begin with spaces.

    Raises:
        ArgumentError: the continuation has no tokens of its own.
    """
    kept = context.rstrip()
    continuation, context = context[len(kept) :] + continuation, kept
    if not context:
        ids = tokenizer.encode(continuation, add_special=False)
        first = prefix_id(tokenizer)
        before, after = ([first], ids) if ids[:1] != [first] else (ids[:1], ids[1:])
    else:
        whole = unended(tokenizer, context + continuation)
        count = len(unended(tokenizer, context))
        before, after = whole[:count], whole[count:]
    if not after:
        raise ArgumentError(f"{continuation!r} has no tokens of its own after {context[-40:]!r}")
    return Pair(tuple(before), tuple(after))


def continuations(model: Model, pairs: Sequence[Pair]) -> Iterator[Continuation]:
    """How likely each continuation is; neighbours with one context share its computation.

    A context that is too long loses its beginning.

    Raises:
        ModelError: a continuation alone does not fit the context, or logits are not finite.
    """
    for _, group in groupby(pairs, key=lambda pair: pair.context):
        yield from _of_group(model, [_fitting(model, pair) for pair in group])


def _of_group(model: Model, pairs: list[Pair]) -> Iterator[Continuation]:
    alike = takewhile(
        lambda ids: len(set(ids)) == 1, zip(*(pair.ids for pair in pairs), strict=False)
    )
    shared = min(len(list(alike)), *(len(pair.context) for pair in pairs))
    if not shared:  # contexts that were cut to different lengths
        for pair in pairs:
            yield from _of_group(model, [pair])
        return
    beginning = pairs[0].ids[:shared]
    with model.sequence(beginning) as sequence:
        (logits,) = model.step([Chunk(sequence, beginning[len(sequence) :])])
        rests = [pair.ids[shared:] for pair in pairs]
        for pair, found in zip(
            pairs, of_tokens(model, sequence, logits, rests, _of_rows), strict=True
        ):
            own = found[-len(pair.continuation) :]
            yield Continuation(
                fsum(logprob for logprob, _ in own), all(best for _, best in own), len(own)
            )


def _of_rows(logits: NDArray[np.float32], ids: list[int]) -> list[tuple[float, bool]]:
    best = logits.argmax(axis=1).tolist()
    return [
        (_core.log_probability(row, id), id == likeliest)
        for row, id, likeliest in zip(logits, ids, best, strict=True)
    ]


def _fitting(model: Model, pair: Pair) -> Pair:
    """A pair whose context is cut at its beginning so that all fits; the last id needs no room."""
    room = model.context + 1 - len(pair.continuation)
    if room < 1:
        raise ModelError(
            f"a continuation of {len(pair.continuation)} tokens does not fit the context of "
            f"{model.context}"
        )
    return Pair(pair.context[-room:], pair.continuation)
