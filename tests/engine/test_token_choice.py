"""Which tokens a prompt may get: banned, allowed, changed by the caller's own function."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ggmlkit as gk
from ggmlkit.engine.breakers import breaker_tokens
from ggmlkit.engine.completion import allowed_bits


@pytest.fixture(scope="module")
def llm(golden: Path) -> gk.Llama:
    return gk.Llama(golden / "ggjt-v3-q4_0.bin", context=128)


PROMPT = [1, 5, 9]


def ids(llm: gk.Llama, **settings: object) -> list[int]:
    given = {"max_tokens": 12, "temperature": 0, "ignore_eos": True, **settings}
    found = [token.id for token in llm.generate_tokens(PROMPT, **given)]  # type: ignore[arg-type]
    with gk.Scheduler(llm.model) as scheduler:
        stream = scheduler.submit(PROMPT, **given)  # type: ignore[arg-type]
        beside = scheduler.submit([7, 8], max_tokens=9, seed=1)
        assert [token.id for token in stream] == found
        assert len(list(beside)) <= 9
    return found


def test_banned_tokens_never_come(llm: gk.Llama) -> None:
    plain = ids(llm)
    banned = set(plain[:4])
    assert not banned & set(ids(llm, banned_tokens=banned))


def test_allowed_tokens_alone_come(llm: gk.Llama) -> None:
    allowed = {40, 41, 77, 200, 10**9}
    assert set(ids(llm, allowed_tokens=allowed, temperature=1.5, seed=2)) <= allowed
    with pytest.raises(gk.ModelError, match="the settings allow no token"):
        ids(llm, allowed_tokens=[])


def test_a_function_sees_all_ids_and_changes_the_logits(llm: gk.Llama) -> None:
    seen: list[tuple[int, ...]] = []

    def next_number(all_ids: Sequence[int], logits: NDArray[np.float32]) -> None:
        seen.append(tuple(all_ids))
        logits[(all_ids[-1] + 1) % logits.size] = 1e6

    found = ids(llm, logits_processor=next_number, max_tokens=4)
    assert found == [10, 11, 12, 13]
    assert seen[:4] == [(1, 5, 9), (1, 5, 9, 10), (1, 5, 9, 10, 11), (1, 5, 9, 10, 11, 12)]


def test_a_function_that_fails_ends_its_own_stream_alone(llm: gk.Llama) -> None:
    def fail(*_: object) -> None:
        raise KeyError("no")

    with gk.Scheduler(llm.model) as scheduler:
        bad = scheduler.submit(PROMPT, max_tokens=5, logits_processor=fail)
        good = scheduler.submit(PROMPT, max_tokens=5, ignore_eos=True)
        assert len(list(good)) == 5
        with pytest.raises(gk.ModelError, match="logits_processor failed: KeyError"):
            list(bad)
    with pytest.raises(KeyError):
        list(llm.generate(PROMPT, logits_processor=fail))


def test_the_likeliest_tokens_come_with_each_token(llm: gk.Llama) -> None:
    (first, *_) = llm.generate_tokens(PROMPT, max_tokens=2, logprobs=True, top_logprobs=3)
    logits = llm.logits(PROMPT)[-1].astype(np.float64)
    expected = logits - np.log(np.exp(logits).sum())
    best = np.argsort(-logits, kind="stable")[:3].tolist()
    assert [id for id, _ in first.top_logprobs] == best
    np.testing.assert_allclose([p for _, p in first.top_logprobs], expected[best], atol=1e-4)
    (plain, *_) = llm.generate_tokens(PROMPT, max_tokens=2)
    assert (plain.logprob, plain.top_logprobs) == (None, ())


def test_repetitions_end_at_tokens_with_a_breaker(llm: gk.Llama) -> None:
    tokenizer = llm.tokenizer
    found = breaker_tokens(tokenizer, ("a",))
    assert found
    texts = [tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)]
    assert found == [id for id, text in enumerate(texts) if b"a" in text]
    assert breaker_tokens(tokenizer, ()) == []


def test_bits_of_allowed_tokens() -> None:
    assert allowed_bits(None, 70) is None
    bits = allowed_bits([0, 33, 69, 70, 500], 70)
    assert bits is not None
    assert bits.tolist() == [1, 2, 1 << 5]
