"""Batches in portions give what they give as a whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ggmlkit.engine import portions as module
from ggmlkit.engine.embedding import Pooling, embeddings
from ggmlkit.engine.model import Model
from ggmlkit.engine.portions import WHOLE, Portions
from ggmlkit.engine.sequence import Chunk
from paths import GOLDEN

TEXTS = [[5, 6, 7], list(range(3, 60)) * 3, [9] * 40, [8, 7]]


@pytest.fixture
def model() -> Model:
    return Model(GOLDEN / "gguf-v1-f16.bin", context=512, contexts=4, batch_invariant=True)


def busy(turns: int = 10**6) -> Callable[[], bool]:
    """Whether answers are generated: so many times, then no more."""
    left = iter([True] * turns)
    return lambda: next(left, False)


@pytest.mark.parametrize("turns", [0, 1, 3, 10**4])
@pytest.mark.parametrize("logits", ["none", "last", "all"])
def test_they_give_the_same(model: Model, logits: Any, turns: int) -> None:
    def chunks() -> list[Chunk]:
        return [Chunk(model.sequence(), ids, logits) for ids in TEXTS]

    for name in ("step", "hidden_states"):
        wanted = getattr(WHOLE, name)(model, chunks())
        batch = chunks()
        found = getattr(Portions(busy(turns)), name)(model, batch)
        assert [len(chunk.sequence) for chunk in batch] == [len(ids) for ids in TEXTS]
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("pooling", ["mean", "last", "none"])
def test_embeddings_in_portions(model: Model, pooling: Pooling) -> None:
    wanted = embeddings(model, None, TEXTS, pooling, True)
    found = embeddings(model, None, TEXTS, pooling, True, Portions(busy()))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)


def test_portions_take_as_long_as_they_may(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    clock = [0.0]

    def step(batch: list[Chunk]) -> list[Any]:
        sizes.append(sum(len(chunk.tokens) for chunk in batch))
        clock[0] += 0.02 + sizes[-1] * 0.001
        return [np.empty((0, 1))] * len(batch)

    monkeypatch.setattr(module.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(model, "step", step)
    Portions(busy()).step(model, [Chunk(model.sequence(), [5] * 5000, "none")])
    assert sum(sizes) == 5000
    assert sizes[0] == 32
    assert 60 < sizes[-2] < 90  # with which a portion takes 0.1 s
    assert max(sizes) < 128
