"""Log-probabilities of tokens that are given, not drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit import _core
from ggmlkit.engine.sequence import Chunk
from ggmlkit.engine.text_lists import groups
from ggmlkit.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.engine import sequence
    from ggmlkit.engine.model import Model

_PASS = 256  # tokens that the engine computes at a time
_MOST_LOGITS = 2**24  # at a time: 64 MB


def log_probabilities(
    model: Model,
    beginning: sequence.Sequence,
    logits: NDArray[np.float32],
    texts: Sequence[list[int]],
) -> Iterator[list[float]]:
    """Of each text, the natural log-probabilities of its tokens after a common beginning.

    Memory does not grow with the texts: logits are there for at most 256 tokens at a time.

    Args:
        model: whose sequence the beginning is.
        beginning: what all texts continue; it stays as it is, and the texts are forks of it.
        logits: after its last token, float32 ``(vocab,)``.
        texts: at least one token each.

    Raises:
        ModelError: logits are not finite.
    """
    in_page = len(beginning) % _core.KV_PAGE  # which each fork copies
    for places in groups([in_page + len(ids) for ids in texts], model.free_cache_tokens):
        yield from _of_group(model, beginning, logits, [texts[place] for place in places])


def _of_group(
    model: Model,
    beginning: sequence.Sequence,
    logits: NDArray[np.float32],
    texts: list[list[int]],
) -> list[list[float]]:
    found = [_of_rows(logits[np.newaxis], ids[:1]) for ids in texts]
    most = max(1, min(_PASS, _MOST_LOGITS // model.config.vocab))
    with ExitStack() as opened:
        forks = [opened.enter_context(beginning.fork()) for _ in texts]
        while parts := _parts(texts, found, most):
            chunks = [
                Chunk(forks[place], texts[place][begin:end], "all") for place, begin, end in parts
            ]
            for (place, begin, end), rows in zip(parts, model.step(chunks), strict=True):
                found[place] += _of_rows(rows, texts[place][begin + 1 : end + 1])
    return found


def _parts(
    texts: list[list[int]], found: list[list[float]], most: int
) -> list[tuple[int, int, int]]:
    """What a step computes, at most so many tokens: each text's place, begin and end.

    The token at ``begin`` has its log-probability already, and gives the one of the next.
    """
    parts = []
    for place, (ids, own) in enumerate(zip(texts, found, strict=True)):
        begin = len(own) - 1
        n = min(most, len(ids) - len(own))
        if n > 0:
            parts.append((place, begin, begin + n))
            most -= n
    return parts


def _of_rows(logits: NDArray[np.float32], ids: list[int]) -> list[float]:
    """The log-probability of a token by each row of logits."""
    if not np.isfinite(logits).all():  # which would pass for impossible tokens
        raise ModelError(
            "logits of the model are not finite (`ggmlkit verify` shows weights that are not)"
        )
    return [_core.log_probability(row, id) for row, id in zip(logits, ids, strict=True)]
