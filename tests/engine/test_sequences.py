"""Several sequences of one model, and Python threads that share it."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from decoder_models import random_model
from ggmlkit.engine.llama import Llama


def prompts(count: int, longest: int) -> list[list[int]]:
    random = np.random.default_rng(6)
    return [random.integers(0, 101, 1 + i * longest // count).tolist() for i in range(count)]


@pytest.mark.parametrize("kind", ["f32", "q4_0", "q8_0"])
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_batch_equals_separate_runs_bit_for_bit(kind: str, threads: int, count: int) -> None:
    model = random_model(kind)
    batch = Llama(model, context=200, sequences=count, threads=threads)
    alone = Llama(model, context=200, threads=1)
    texts = prompts(count, 180)
    for i, text in enumerate(texts):
        batch.eval(text, i)
    steps = np.random.default_rng(7).integers(0, 101, (6, count))
    got = np.stack([batch.decode_batch(tokens) for tokens in steps])
    for i, text in enumerate(texts):
        alone.reset()
        alone.eval(text)
        for step, token in enumerate(steps[:, i]):
            np.testing.assert_array_equal(got[step, i], alone.eval([token]))
        assert batch.tokens_of(i) == (*text, *steps[:, i])


def test_some_sequences_continue_while_others_wait() -> None:
    llama = Llama(random_model(), context=50, sequences=3)
    for i in range(3):
        llama.eval([i, 9], i)
    some = llama.decode_batch([4, 5], [2, 0])
    assert some.shape == (2, 101)
    assert [llama.tokens_of(i) for i in range(3)] == [(0, 9, 5), (1, 9), (2, 9, 4)]
    llama.truncate(2, 2)
    np.testing.assert_array_equal(llama.decode_batch([4], [2])[0], some[0])
    assert llama.tokens == (0, 9, 5)
    llama.reset()
    assert [llama.tokens_of(i) for i in range(3)] == [(), (), ()]


def test_more_sequences_than_a_pass_has_tokens() -> None:
    llama = Llama(random_model(), context=4, sequences=300)
    alone = Llama(random_model(), context=4)
    tokens = np.arange(300) % 101
    logits = llama.decode_batch(tokens)
    assert logits.shape == (300, 101)
    for i in (0, 255, 256, 299):
        alone.reset()
        np.testing.assert_array_equal(logits[i], alone.eval([tokens[i]]))


@pytest.mark.parametrize(
    ("tokens", "sequences", "message"),
    [
        ([1], None, "each takes one"),
        ([1, 2, 3], [0, 1], "each takes one"),
        ([1, 2], [0, 0], "named twice"),
        ([1, 2], [0, 2], "no sequence 2 of 2"),
        ([1, 2], [-1, 0], "no sequence -1"),
        ([1, 101], None, "vocabulary"),
        ([[1, 2]], None, "row of integers"),
        ([1, 2], None, "the context of 5 holds 5"),
    ],
)
def test_impossible_batches_are_refused(tokens: Any, sequences: Any, message: str) -> None:
    llama = Llama(random_model(), context=5, sequences=2)
    llama.eval([1, 2, 3], 0)
    llama.eval([1, 2, 3, 4, 5], 1)
    with pytest.raises(ValueError, match=message):
        llama.decode_batch(tokens, sequences)
    assert [len(llama.tokens_of(i)) for i in range(2)] == [3, 5]


def test_sequences_out_of_range_are_refused() -> None:
    llama = Llama(random_model(), context=5, sequences=2)
    for work in (
        lambda: llama.eval([1], 2),
        lambda: llama.truncate(0, -1),
        lambda: llama.tokens_of(2),
    ):
        with pytest.raises(ValueError, match="there is no sequence"):
            work()
    with pytest.raises(ValueError, match="n must be at least 0"):
        llama.truncate(-1)


def test_python_threads_take_turns_at_one_model() -> None:
    model = random_model("q4_0")
    llama = Llama(model, context=300, sequences=4)
    texts = [t * 3 for t in prompts(4, 90)]
    alone = [Llama(model, context=300).eval(text) for text in texts]
    got: dict[int, NDArray[np.float32]] = {}

    def work(i: int) -> None:
        for _ in range(10):
            llama.truncate(0, i)
            got[i] = llama.eval(texts[i], i)
            assert llama.tokens_of(i) == tuple(texts[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, logits in enumerate(alone):
        np.testing.assert_array_equal(got[i], logits)
