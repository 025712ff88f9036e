"""Log-probabilities of tokens that are given, not drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ggmlkit import _core
from ggmlkit.engine.sequence import Chunk
from ggmlkit.engine.text_lists import groups
from ggmlkit.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.engine import sequence
    from ggmlkit.engine.model import Model

_Found = TypeVar("_Found")

_PASS = 256  # tokens that the engine computes at a time
_MOST_LOGITS = 2**24  # at a time: 64 MB


def log_probabilities(
    model: Model,
    beginning: sequence.Sequence,
    logits: NDArray[np.float32],
    texts: Sequence[list[int]],
) -> Iterator[list[float]]:
    """Of each text, the natural log-probabilities of its tokens after a common beginning.

    See :func:`of_tokens` for the arguments.

    Raises:
        ModelError: logits are not finite.
    """
    return of_tokens(model, beginning, logits, texts, _log_probabilities)


def of_tokens(
    model: Model,
    beginning: sequence.Sequence,
    logits: NDArray[np.float32],
    texts: Sequence[list[int]],
    of_rows: Callable[[NDArray[np.float32], list[int]], list[_Found]],
) -> Iterator[list[_Found]]:
    """Of each text, what a function says of its tokens after a common beginning.

    Memory does not grow with the texts: logits are there for at most 256 tokens at a time.

    Args:
        model: whose sequence the beginning is.
        beginning: what all texts continue; it stays as it is, and the texts are forks of it.
        logits: after its last token, float32 ``(vocab,)``.
        texts: at least one token each.
        of_rows: is called with logits, float32 ``(tokens, vocab)``, and the ids of the tokens that
            follow; what it returns has an element for each.

    Raises:
        ModelError: logits are not finite.
    """
    in_page = len(beginning) % _core.KV_PAGE  # which each fork copies
    for places in groups([in_page + len(ids) for ids in texts], model.free_cache_tokens):
        yield from _of_group(model, beginning, logits, [texts[place] for place in places], of_rows)


def _of_group(
    model: Model,
    beginning: sequence.Sequence,
    logits: NDArray[np.float32],
    texts: list[list[int]],
    of_rows: Callable[[NDArray[np.float32], list[int]], list[_Found]],
) -> list[list[_Found]]:
    def of_finite(rows: NDArray[np.float32], ids: list[int]) -> list[_Found]:
        if not np.isfinite(rows).all():  # which would pass for impossible tokens
            raise ModelError(
                "logits of the model are not finite (`ggmlkit verify` shows weights that are not)"
            )
        return of_rows(rows, ids)

    found = [of_finite(logits[np.newaxis], ids[:1]) for ids in texts]
    most = max(1, min(_PASS, _MOST_LOGITS // model.config.vocab))
    with ExitStack() as opened:
        forks = [opened.enter_context(beginning.fork()) for _ in texts]
        while parts := _parts(texts, list(map(len, found)), most):
            chunks = [
                Chunk(forks[place], texts[place][begin:end], "all") for place, begin, end in parts
            ]
            for (place, begin, end), rows in zip(parts, model.step(chunks), strict=True):
                found[place] += of_finite(rows, texts[place][begin + 1 : end + 1])
    return found


def _parts(texts: list[list[int]], found: list[int], most: int) -> list[tuple[int, int, int]]:
    """What a step computes, at most so many tokens: each text's place, begin and end.

    The token at ``begin`` is the last one of those that are found, and gives what is to find of the
    next.
    """
    parts = []
    for place, (ids, done) in enumerate(zip(texts, found, strict=True)):
        n = min(most, len(ids) - done)
        if n > 0:
            parts.append((place, done - 1, done - 1 + n))
            most -= n
    return parts


def _log_probabilities(logits: NDArray[np.float32], ids: list[int]) -> list[float]:
    """The log-probability of a token by each row of logits."""
    return [_core.log_probability(row, id) for row, id in zip(logits, ids, strict=True)]
