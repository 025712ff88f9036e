"""How few pages of the cache a step needs: what is held twice, or by one alone, takes no more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from decoder_models import random_model, random_of
from ggmlkit.engine.model import Model
from ggmlkit.engine.sequence import Chunk

TOKENS = np.random.default_rng(5).integers(0, 101, 400).tolist()
FEW = [random_model(), random_of("gemma3")]


def last(of: Model, sequence: gk.Sequence, tokens: list[int]) -> Any:
    return of.step([Chunk(sequence, tokens)])[0]


@pytest.mark.parametrize("of", FEW)
def test_a_sequence_that_fills_the_cache_goes_on_after_a_truncation(of: Any) -> None:
    engine = Model(of, context=128)
    sequence = engine.sequence()
    last(engine, sequence, TOKENS[:128])
    assert sequence.truncate(100) == 100
    found = last(engine, sequence, [5])
    other = Model(of, context=128)
    np.testing.assert_array_equal(found, last(other, other.sequence(), [*TOKENS[:100], 5]))


@pytest.mark.parametrize("of", FEW)
def test_what_two_sequences_compute_at_once_is_kept_once(of: Any) -> None:
    engine = Model(of, context=160, cache_tokens=384)
    a, b = engine.sequence(), engine.sequence()
    engine.step([Chunk(a, TOKENS[:130]), Chunk(b, TOKENS[:130])])
    assert engine.free_cache_tokens == 128  # two pages of both, and one of each
    a.close()
    assert engine.free_cache_tokens == 192
    last(engine, engine.sequence(), TOKENS[140:300])
    found = last(engine, b, [5])
    other = Model(of, context=160)
    np.testing.assert_array_equal(found, last(other, other.sequence(), [*TOKENS[:130], 5]))


@pytest.mark.parametrize("of", FEW)
def test_of_forks_that_all_go_on_the_last_keeps_the_page(of: Any) -> None:
    engine = Model(of, context=128, cache_tokens=256)
    first = engine.sequence()
    last(engine, first, TOKENS[:70])
    forks = [first, first.fork(), first.fork()]
    found = engine.step([Chunk(fork, [i]) for i, fork in enumerate(forks)])
    assert engine.free_cache_tokens == 0
    for i, logits in enumerate(found):
        other = Model(of, context=128)
        np.testing.assert_array_equal(logits, last(other, other.sequence(), [*TOKENS[:70], i]))


def test_a_fork_that_waits_keeps_its_page() -> None:
    engine = Model(random_model(), context=128, cache_tokens=192)
    first = engine.sequence()
    last(engine, first, TOKENS[:70])
    forks = [first.fork(), first.fork()]
    with pytest.raises(gk.CacheFullError, match="128 more positions are needed, 64 of 192"):
        engine.step([Chunk(fork, [1]) for fork in forks])
    assert (engine.free_cache_tokens, [len(fork) for fork in forks]) == (64, [70, 70])
