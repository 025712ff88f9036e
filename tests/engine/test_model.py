"""Sequences of a model: forks, files, hidden states, and what observers see."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from decoder_models import Memory, random_adapter, random_model, random_of
from ggmlkit.engine.model import Model
from ggmlkit.engine.sequence import Chunk
from ggmlkit.tensor import Tensor

TOKENS = np.random.default_rng(3).integers(0, 101, 400).tolist()


def model(of: Memory | None = None, **settings: Any) -> Model:
    return Model(of or random_model(), **{"context": 500, "contexts": 4, **settings})


def last(of: Model, sequence: gk.Sequence, tokens: list[int]) -> np.ndarray:
    (logits,) = of.step([Chunk(sequence, tokens)])
    return logits


def test_a_fork_takes_no_memory_until_one_goes_on() -> None:
    engine = model()
    first = engine.sequence()
    last(engine, first, TOKENS[:100])
    free = engine.free_cache_tokens
    second = first.fork()
    assert engine.free_cache_tokens == free
    a, b = last(engine, first, [1, 2]), last(engine, second, [3])
    assert engine.free_cache_tokens == free - 64  # one of them has a copy of the page begun
    assert (first.tokens[100:], second.tokens[100:]) == ((1, 2), (3,))
    np.testing.assert_array_equal(a, last(engine, engine.sequence(), [*TOKENS[:100], 1, 2]))
    np.testing.assert_array_equal(b, last(engine, engine.sequence(), [*TOKENS[:100], 3]))


def test_a_full_cache_changes_nothing() -> None:
    engine = model(cache_tokens=256, context=500)
    first, second = engine.sequence(), engine.sequence()
    engine.step([Chunk(first, TOKENS[:120]), Chunk(second, TOKENS[:60])])
    with pytest.raises(
        gk.CacheFullError, match=r"128 more positions are needed, 64 of 256.*more cache_tokens"
    ):
        engine.step([Chunk(first, TOKENS[:40]), Chunk(second, TOKENS[:10])])
    assert (len(first), len(second)) == (120, 60)
    second.close()
    assert engine.free_cache_tokens == 128
    last(engine, first, TOKENS[:100])


def test_the_room_of_a_cache_in_bytes() -> None:
    page = (
        2 * 2 * 2 * 32 * 64 * 2
    )  # layers, kv heads, keys and values, head_dim, positions, float16
    assert model(cache_bytes=3 * page + 1).cache_tokens == 192
    assert model(random_of("gemma3"), cache_bytes=page).cache_tokens == 64
    mixed = page // 128 * (34 + 18)  # bytes of 32 elements
    assert model(kv_type="q8_0/q4_0", cache_bytes=2 * mixed).cache_tokens == 128
    with pytest.raises(gk.ArgumentError, match=f"at least {mixed}"):
        model(kv_type="q8_0/q4_0", cache_bytes=mixed - 1)
    with pytest.raises(gk.ArgumentError, match=f"at least {page}"):
        model(cache_bytes=page - 1)
    with pytest.raises(gk.ArgumentError, match="either"):
        model(cache_bytes=page, cache_tokens=64)


def test_what_ended_sequences_left_is_taken_again() -> None:
    engine = model()
    with engine.sequence(TOKENS) as sequence:
        assert len(sequence) == 0
        last(engine, sequence, TOKENS[:300])
    again = engine.sequence(TOKENS)
    assert again.tokens == tuple(TOKENS[:256])
    assert len(engine.sequence([9, *TOKENS])) == 0
    assert len(engine.sequence(TOKENS[:64])) == 0  # a token is left to compute
    without = model(prefix_cache=False)
    with without.sequence(TOKENS) as sequence:
        last(without, sequence, TOKENS[:300])
    assert len(without.sequence(TOKENS)) == 0
    assert without.free_cache_tokens == without.cache_tokens


def test_pages_of_another_adapter_are_not_taken(tmp_path: Path) -> None:
    of = random_model("f32", tied=False)
    engine = model(of)
    adapters = [
        engine.load_adapter(random_adapter(tmp_path / f"{i}.gguf", of, i)) for i in range(2)
    ]
    last(engine, engine.sequence(adapter=adapters[0]), TOKENS[:200])
    assert len(engine.sequence(TOKENS, adapters[0])) == 192
    assert len(engine.sequence(TOKENS, adapters[1])) == 0
    assert len(engine.sequence(TOKENS)) == 0


@pytest.mark.parametrize("of", [random_model(), random_of("gemma3")])
@pytest.mark.parametrize("n", [0, 20, 64, 150, 400])
@pytest.mark.parametrize("kv_type", ["f16", "q8_0/q4_0", "q4_0"])
def test_a_sequence_in_a_file_goes_on_as_it_would_have(
    tmp_path: Path, of: Memory, n: int, kv_type: str
) -> None:
    engine = model(of, kv_type=kv_type)
    sequence = engine.sequence()
    if n:
        last(engine, sequence, TOKENS[:n])
    sequence.save(tmp_path / "s.gguf")
    loaded = model(of, kv_type=kv_type).load_sequence(tmp_path / "s.gguf")
    assert loaded.tokens == sequence.tokens
    other = loaded.model
    assert isinstance(other, Model)
    for tokens in ([5], TOKENS[:80]):
        np.testing.assert_array_equal(last(other, loaded, tokens), last(engine, sequence, tokens))


def test_a_sequence_of_another_model_is_refused(tmp_path: Path) -> None:
    of = random_model("q4_0", tied=False)
    engine = model(of)
    sequence = engine.sequence()
    last(engine, sequence, TOKENS[:70])
    path = tmp_path / "s.gguf"
    sequence.save(path)
    adapter = random_adapter(tmp_path / "a.gguf", of)
    others = (
        model(random_model("q5_0", tied=False)),
        model(of, kv_type="q8_0"),
        model(of, kv_type="f16/q4_0"),
        model(of, activation_bits=16),
    )
    for other in others:
        with pytest.raises(gk.ModelError, match="another model"):
            other.load_sequence(path)
    with pytest.raises(gk.ModelError, match="another model"):
        engine.load_sequence(path, engine.load_adapter(adapter))
    with pytest.raises(gk.ModelError, match="sequence of 70 tokens does not fit the context of 69"):
        model(of, context=69).load_sequence(path)
    rotated = random_model("q4_0", tied=False, **{"rope.freq_base": 5e5})
    with pytest.raises(gk.ModelError, match="another model"):
        model(rotated).load_sequence(path)
    with pytest.raises(gk.CacheFullError):
        model(of, cache_tokens=64).load_sequence(path)  # which needs 64 and a token more
    with pytest.raises(gk.FormatError, match="does not hold a sequence"):
        engine.load_sequence(adapter)


def test_damaged_sequence_files_are_refused(tmp_path: Path) -> None:
    engine = model()
    sequence = engine.sequence()
    last(engine, sequence, TOKENS[:130])
    path = tmp_path / "s.gguf"
    sequence.save(path)
    with gk.open(path) as file:
        metadata = dict(file.metadata)
        pages = file["kv_pages"].data.copy()
    changes: list[tuple[dict[str, Any], np.ndarray]] = [
        ({}, pages[:-1]),
        ({"ggmlkit.sequence.window_begin": 64}, pages),
        ({"ggmlkit.sequence.window_begin": -1}, pages),
        ({"ggmlkit.sequence.tokens": [1] * 64}, pages),
        ({"ggmlkit.sequence.tokens": ["a"] * 130}, pages),
        ({"ggmlkit.sequence.tokens": [101] * 130}, pages),
        ({"ggmlkit.sequence.tokens": [*TOKENS[:129], TOKENS[129] ^ 1]}, pages),
        ({"ggmlkit.sequence.tokens": [*TOKENS[:129], TOKENS[129] + 2**32]}, pages),
        ({"ggmlkit.sequence.tokens": [*TOKENS[:129], 101]}, pages),
        ({}, np.concatenate([pages[:-1], pages[-1:] ^ 1])),
    ]
    for change, data in changes:
        bad = tmp_path / "bad.gguf"
        tensor = Tensor("i8", (data.size,), data, "kv_pages")
        gk.save(bad, [tensor], {**metadata, **change}, container="gguf")
        with pytest.raises(gk.FormatError):
            engine.load_sequence(bad)
    assert engine.free_cache_tokens >= engine.cache_tokens - 192


def test_hidden_states_are_what_enters_the_output_matrix() -> None:
    of = random_model("f32", tied=False)
    engine = model(of)
    seen: dict[str, list[np.ndarray]] = {}

    def observe(names: tuple[str, ...], x: np.ndarray) -> None:
        for name in names:
            seen.setdefault(name, []).append(x)

    (logits,) = engine.step([Chunk(engine.sequence(), TOKENS, "all")], observe)
    (hidden,) = engine.hidden_states([Chunk(engine.sequence(), TOKENS, "all")])
    (end,) = engine.hidden_states([Chunk(engine.sequence(), TOKENS)])
    np.testing.assert_array_equal(hidden[-1], end)
    np.testing.assert_array_equal(np.concatenate(seen["output.weight"]), hidden)
    weights = of.tensors["output.weight"].dequantize()
    np.testing.assert_allclose(hidden @ weights.T, logits, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("wanted", ["none", "last", "all"])
@pytest.mark.parametrize("threads", [1, 2])
def test_an_observer_sees_all_tokens_and_changes_nothing(wanted: Any, threads: int) -> None:
    of = random_model("q4_0")
    engine = model(of, threads=threads)
    seen: dict[str, list[np.ndarray]] = {}

    def observe(names: tuple[str, ...], x: np.ndarray) -> None:
        for name in names:
            seen.setdefault(name, []).append(x)

    for tokens in (TOKENS[:1], TOKENS[:5], TOKENS):
        seen.clear()
        (observed,) = engine.step([Chunk(engine.sequence(), tokens, wanted)], observe)
        (plain,) = engine.step([Chunk(engine.sequence(), tokens, wanted)])
        np.testing.assert_equal(observed, plain)
        matrices = {n for n, t in of.tensors.items() if len(t.shape) == 2}
        assert set(seen) == matrices
        for name, parts in seen.items():
            assert np.concatenate(parts).shape == (len(tokens), of.tensors[name].shape[1])


def test_an_observers_error_leaves_the_sequence_as_it_was() -> None:
    engine = model()
    sequence = engine.sequence()
    last(engine, sequence, [1, 2, 3])

    def fail(*_: object) -> None:
        raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        engine.step([Chunk(sequence, TOKENS)], fail)
    assert sequence.tokens == (1, 2, 3)


def test_impossible_steps_are_refused() -> None:
    engine, other = model(), model()
    sequence = engine.sequence()
    refused: list[tuple[list[Chunk], str]] = [
        ([Chunk(sequence, [1]), Chunk(sequence, [2])], "named twice"),
        ([Chunk(other.sequence(), [1])], "another model"),
        ([Chunk(sequence, [])], "non-empty"),
        ([Chunk(sequence, [101])], "vocabulary"),
        ([Chunk(sequence, [1] * 501)], "do not fit the context of 500"),
        ([Chunk(sequence, [1], "some")], "logits is 'some'"),  # type: ignore[arg-type]
        ([Chunk(sequence, "text")], "not 'text'; tokenizer.encode gives a text's"),  # type: ignore[arg-type]
        (Chunk(sequence, [1]), "a batch must be a list of gk.Chunk.*, not a Chunk"),  # type: ignore[list-item]
        ([(sequence, [1])], "a batch must be a list of gk.Chunk.*, not a tuple"),  # type: ignore[list-item]
        (None, "a batch must be a list of gk.Chunk.*, not None"),  # type: ignore[list-item]
    ]
    for batch, message in refused:
        with pytest.raises(gk.ArgumentError, match=message):
            engine.step(batch)
    assert engine.step([]) == []
    for of in (lambda: engine.sequence(adapter="a"), lambda: engine.load_sequence("a", "b")):  # type: ignore[arg-type]
        with pytest.raises(gk.ArgumentTypeError, match=r"what model\.load_adapter returns, not '"):
            of()
    sequence.close()
    with pytest.raises(gk.ClosedError):
        len(sequence)
    with pytest.raises(gk.ClosedError):
        engine.step([Chunk(sequence, [1])])
    engine.close()
    with pytest.raises(gk.ClosedError):
        engine.sequence()


def test_arguments_of_wrong_types_are_refused() -> None:
    engine = model()
    sequence = engine.sequence()
    calls: list[Callable[[Any], object]] = [
        engine.step,
        engine.hidden_states,
        lambda wrong: engine.step([wrong]),
        lambda wrong: engine.step([Chunk(wrong, [1])]),
        lambda wrong: engine.step([Chunk(sequence, wrong)]),
        lambda wrong: engine.step([Chunk(sequence, [1], wrong)]),
        engine.sequence,
        lambda wrong: engine.sequence([1], wrong),
        lambda wrong: engine.load_sequence("s.gguf", wrong),
        gk.Scheduler,
        lambda wrong: model(kv_type=wrong),
        lambda wrong: model(activation_bits=wrong),
        lambda wrong: gk.SamplingParams(logit_bias=wrong),
    ]
    for call in calls:
        for wrong in (5, [[]], object()):
            with pytest.raises(gk.ArgumentError):
                call(wrong)
    masked = np.ma.MaskedArray([1, 2], [False, True])
    with pytest.raises(gk.ArgumentError):
        engine.step([Chunk(sequence, masked)])
    assert len(sequence) == 0


def test_threads_that_step_one_model_take_turns() -> None:
    engine = model(contexts=8)
    alone = model()
    texts = [TOKENS[i:] for i in range(6)]
    expected = [last(alone, alone.sequence(), text) for text in texts]
    found: dict[int, np.ndarray] = {}

    def work(i: int) -> None:
        sequence = engine.sequence()
        for begin in range(0, len(texts[i]), 37):
            found[i] = last(engine, sequence, texts[i][begin : begin + 37])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, logits in enumerate(expected):
        np.testing.assert_array_equal(found[i], logits)
