"""Vectors of texts: the last layer's output, normed, pooled over a text's tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Literal

import numpy as np

from ggmlkit.arguments import shown
from ggmlkit.engine.portions import WHOLE, Portions
from ggmlkit.engine.sequence import Chunk
from ggmlkit.engine.text_lists import GROUP_TOKENS, groups
from ggmlkit.errors import ArgumentError, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.engine.model import Model
    from ggmlkit.engine.sequence import Adapter

Pooling = Literal["mean", "last", "none"]
POOLINGS = ("mean", "last", "none")


def check_pooling(pooling: object) -> None:
    """Raise ArgumentError if there is no such pooling."""
    if not isinstance(pooling, str) or pooling not in POOLINGS:
        raise ArgumentError(f"pooling is {shown(pooling)}, not 'mean', 'last' or 'none'")


def embeddings(
    model: Model,
    adapter: Adapter | None,
    texts: Sequence[list[int]],
    pooling: Pooling,
    normalize: bool,
    portions: Portions = WHOLE,
) -> Iterator[NDArray[np.float32]]:
    """Of each text float32 ``(dim,)``, or ``(tokens, dim)`` with pooling "none".

    Args:
        portions: computes the steps.

    Raises:
        ModelError: a value is not finite.
    """
    for places in groups([len(ids) for ids in texts], model.free_cache_tokens):
        group = [texts[place] for place in places]
        for place, found in zip(
            places, _pooled(model, adapter, group, pooling, portions), strict=True
        ):
            if not np.isfinite(found).all():
                raise ModelError(
                    f"the model's output for texts[{place}] is not finite (`ggmlkit verify` shows "
                    "weights that are not)"
                )
            yield _unit(found) if normalize else found


def _pooled(
    model: Model,
    adapter: Adapter | None,
    group: list[list[int]],
    pooling: Pooling,
    portions: Portions,
) -> list[NDArray[np.float32]]:
    if pooling == "mean" and len(group) == 1:
        return [_mean(model, adapter, group[0], portions)]
    with ExitStack() as opened:
        chunks = []
        for ids in group:
            # Where one row is wanted, the pages that the cache knows need not be computed.
            known = ids if pooling == "last" else ()
            sequence = opened.enter_context(model.sequence(known, adapter))
            new = ids[len(sequence) :]
            chunks.append(Chunk(sequence, new, "last" if pooling == "last" else "all"))
        found = portions.hidden_states(model, chunks)
    if pooling == "mean":
        return [rows.mean(0, dtype=np.float64).astype(np.float32) for rows in found]
    return [rows.copy() for rows in found]  # they are parts of one array


def _mean(
    model: Model, adapter: Adapter | None, ids: list[int], portions: Portions
) -> NDArray[np.float32]:
    """The mean over a text of any length, never held as a whole."""
    total = np.zeros(model.config.dim)
    with model.sequence(adapter=adapter) as sequence:
        for begin in range(0, len(ids), GROUP_TOKENS):
            part = Chunk(sequence, ids[begin : begin + GROUP_TOKENS], "all")
            (rows,) = portions.hidden_states(model, [part])
            total += rows.sum(0, dtype=np.float64)
    return (total / len(ids)).astype(np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vectors of length 1 in the last axis; one of zeros stays so."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=-1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)
