"""Vectors and probabilities of texts: against transformers, and against plain logits."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ggmlkit as gk
import tiny_models
import torch
from decoder_models import TOKENS, fresh, random_adapter
from ggmlkit.engine.choosing import branches
from ggmlkit.engine.text_lists import GROUP_TOKENS, groups
from paths import GOLDEN

# Only keys and values in float16 differ: 2⁻¹² of each, some layers deep. Measured for one vector of
# 64 elements: 1.3e-3 of their spread.
BOUND = 3e-3
LENGTHS = (1, 7, 300, 64, 65, 2, 400)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    top = wide.max(-1, keepdims=True)
    return np.asarray(wide - top - np.log(np.exp(wide - top).sum(-1, keepdims=True)))


def expected_logprobs(llama: gk.Llama, ids: list[int]) -> NDArray[np.float64]:
    rows = log_softmax(llama.logits(ids[:-1]))
    return np.asarray([row[id] for row, id in zip(rows, ids[1:], strict=True)])


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> tuple[gk.Llama, Any]:
    folder = tmp_path_factory.mktemp("peer")
    model = tiny_models.save_tiny("Llama", folder / "hf")
    gk.convert(folder / "hf", folder / "m.gguf", type="f32")
    return gk.Llama(folder / "m.gguf", context=512), model


def ids_of(llama: gk.Llama) -> list[list[int]]:
    random = np.random.default_rng(7)
    return [random.integers(3, llama.config.vocab, n).tolist() for n in LENGTHS]


def theirs(model: Any, ids: list[int]) -> NDArray[np.float32]:
    with torch.no_grad():
        states = model(torch.tensor([ids]), output_hidden_states=True).hidden_states
    return np.asarray(states[-1][0].numpy())


@pytest.mark.parametrize("pooling", ["mean", "last", "none"])
@pytest.mark.parametrize("normalize", [False, True])
def test_vectors_are_those_of_transformers(
    peer: tuple[gk.Llama, Any], pooling: Any, normalize: bool
) -> None:
    llama, model = peer
    texts = ids_of(llama)
    found = llama.embed(texts, pooling, normalize=normalize)
    if pooling != "none":
        assert isinstance(found, np.ndarray)
        assert found.shape == (len(texts), llama.config.dim)
    for ours, ids in zip(found, texts, strict=True):
        rows = theirs(model, ids)
        expected = {"mean": rows.mean(0), "last": rows[-1], "none": rows}[pooling]
        if normalize:
            expected = expected / np.linalg.norm(expected, axis=-1, keepdims=True)
        assert ours.dtype == np.float32
        assert ours.shape == expected.shape
        assert np.sqrt(np.mean((ours - expected) ** 2)) < BOUND * expected.std()


def test_a_texts_vector_is_independent_of_the_others() -> None:
    llama = fresh(context=2048)
    texts: list[Any] = ["hello", "good day", "hello", TOKENS * 40, [5] * 1500, "a"] * 9
    for pooling in ("mean", "last"):
        together = llama.embed(texts, pooling)  # type: ignore[call-overload]
        for text, vector in zip(texts[:6], together, strict=False):
            alone = llama.embed([text], pooling)[0]  # type: ignore[call-overload]
            assert np.abs(alone - vector).max() < 1e-6
        assert np.array_equal(together[0], together[2])
    assert llama.model.free_cache_tokens == llama.model.cache_tokens
    assert llama.embed([]).shape == (0, llama.config.dim)
    assert llama.embed([], "none") == []


def test_texts_find_room_beside_a_sequence_that_fills_a_context() -> None:
    llama = fresh(context=128)
    expected = llama.embed(["hello"] * 20)
    llama.eval([5] * 120)
    assert np.array_equal(llama.embed(["hello"] * 20), expected)
    assert llama.choose("hello", [[5] * n for n in range(1, 20)]).index == 0


@pytest.mark.parametrize("free", [0, 64, 640, 10**6])
def test_groups_take_all_texts_in_order(free: int) -> None:
    sizes = [1, 64, 65, 700, 3, 3, 3, 5000, 1] * 5
    found = list(groups(sizes, free))
    assert [place for group in found for place in group] == list(range(len(sizes)))
    for group in found:
        pages = sum(-(-sizes[place] // 64) * 64 for place in group)
        tokens = sum(sizes[place] for place in group)
        assert len(group) == 1 or (pages <= free and tokens <= GROUP_TOKENS)


def test_a_score_is_of_the_logits() -> None:
    llama = fresh(context=1024)
    ids = (TOKENS * 60)[:700]  # of several passes
    found = llama.score(ids)
    expected = expected_logprobs(llama, ids)
    assert [token.id for token in found.tokens] == ids
    assert found.tokens[0].logprob is None
    logprobs = [token.logprob for token in found.tokens[1:]]
    assert np.abs(np.array(logprobs, np.float64) - expected).max() < 1e-5
    assert found.logprob == pytest.approx(expected.sum())
    assert found.perplexity == pytest.approx(exp(-expected.mean()))


def test_a_score_is_that_of_transformers(peer: tuple[gk.Llama, Any]) -> None:
    llama, model = peer
    ids = ids_of(llama)[-1]
    with torch.no_grad():
        loss = float(model(torch.tensor([ids]), labels=torch.tensor([ids])).loss)
    assert np.log(llama.score(ids).perplexity) == pytest.approx(loss, rel=1e-3)


def test_a_score_of_text_has_its_text() -> None:
    llama = fresh()
    found = llama.score("hello wörld")
    assert [token.id for token in found.tokens] == llama.tokenize("hello wörld")
    assert "".join(token.text for token in found.tokens).strip() == "hello wörld"
    assert llama.tokens == ()


def test_a_perplexity_beyond_floats_is_infinite() -> None:
    assert gk.Score((gk.Token(1, ""), gk.Token(2, "")), -1e6).perplexity == float("inf")


def test_the_likeliest_is_chosen() -> None:
    llama = fresh(context=512)
    prompt, options = "one two", [" three", " four five", "three", " x"]
    found = llama.choose(prompt, options)
    begin = len(branches(llama.model, prompt, list(options))[0])
    for place, option in enumerate(options):
        whole = llama.tokenize(prompt + option)
        expected = expected_logprobs(llama, whole)[begin - 1 :]
        assert found.token_counts[place] == len(expected)
        assert found.logprobs[place] == pytest.approx(expected.sum(), abs=1e-4)
    assert found.index == int(np.argmax(found.logprobs))
    assert found.option == options[found.index]
    assert sum(found.probabilities) == pytest.approx(1)
    assert int(np.argmax(found.probabilities)) == found.index


def test_options_longer_than_a_pass() -> None:
    llama = fresh(context=1024)
    prompt, options = TOKENS * 5, [(TOKENS * 50)[n : n + 300] for n in range(4)]
    found = llama.choose(prompt, [*options, [7]])
    for option, logprob in zip([*options, [7]], found.logprobs, strict=True):
        expected = expected_logprobs(llama, prompt + option)[len(prompt) - 1 :]
        assert logprob == pytest.approx(expected.sum(), rel=1e-5)
    assert found.index == 4
    held = -(-len(llama.tokens) // 64) * 64  # by the sequence of `logits`
    assert llama.model.free_cache_tokens == llama.model.cache_tokens - held


def test_of_equal_options_the_first_is_chosen() -> None:
    assert fresh().choose([1, 3], [[5], [7], [5], [7]]).index in (0, 1)
    assert fresh().choose([1, 3], [[5]] * 3).index == 0
    unlikely = gk.Choice(0, "a", (float("-inf"),) * 2, (1, 1))
    assert unlikely.probabilities == (0.5, 0.5)


def test_a_token_across_the_border_counts_for_all_options() -> None:
    model = fresh().model
    encode = model.tokenizer.encode
    text = next(  # two letters that are one token
        piece
        for piece in map(model.tokenizer.decode, ([id] for id in range(259, model.config.vocab)))
        if len(piece) == 2 and len(encode(piece)) < len(encode(piece[0])) + 1
    )
    shared, rests = branches(model, "x" + text[0], [text[1], "z"])
    before = encode("x" + text[0])
    assert shared == before[:-1]
    assert [shared + rest for rest in rests] == [encode("x" + text), encode("x" + text[0] + "z")]
    # After ids, an option is tokenized by itself.
    shared, rests = branches(model, before, [text[1]])
    assert (shared, rests) == (before, [encode(text[1], add_special=False)])


def test_adapters_count(tmp_path: Path) -> None:
    path = GOLDEN / "gguf-v1-f16.bin"
    with gk.open(path) as file:
        lora = random_adapter(tmp_path / "a.gguf", file)
    plain, adapted = gk.Llama(path), gk.Llama(path, lora=[lora])
    assert not np.allclose(plain.embed(["hello"]), adapted.embed(["hello"]), atol=1e-3)
    ids = adapted.tokenize("hello there")
    expected = expected_logprobs(adapted, ids).sum()
    assert adapted.score(ids).logprob == pytest.approx(expected, abs=1e-4)
    assert adapted.score(ids).logprob != pytest.approx(plain.score(ids).logprob, abs=1e-3)
    assert adapted.choose([1, 3], [[5]]).logprobs != plain.choose([1, 3], [[5]]).logprobs


def test_wrong_arguments_get_one_sentence() -> None:
    llama = fresh(context=32)
    wrong: list[tuple[Any, type[Exception], str]] = [
        (lambda: llama.embed("text"), gk.ArgumentTypeError, "texts must be a list of texts, not"),
        (lambda: llama.embed(["a", 5]), gk.ArgumentTypeError, r"texts\[1\] must be a str or token"),
        (lambda: llama.embed([[5] * 33]), gk.ModelError, r"texts\[0\] of 33 tokens does not fit"),
        (lambda: llama.embed(["a"], "max"), gk.ArgumentError, "pooling is 'max', not 'mean', 'la"),
        (lambda: llama.embed(["a"], 5), gk.ArgumentError, "pooling is 5, not"),
        (lambda: llama.score([5]), gk.ArgumentError, "text has one token only"),
        (lambda: llama.score([]), gk.ArgumentError, "text has no tokens"),
        (lambda: llama.score(5), gk.ArgumentTypeError, "text must be a str or token ids, not 5"),
        (lambda: llama.score([5, 10**6]), gk.OutOfRangeError, "token 1000000 is not in the"),
        (lambda: llama.score([5] * 33), gk.ModelError, "text of 33 tokens does not fit"),
        (lambda: llama.choose("a", []), gk.ArgumentError, "options has none"),
        (lambda: llama.choose("a", "yes"), gk.ArgumentTypeError, "options must be a list of opt"),
        (lambda: llama.choose("a", ["b", ""]), gk.ArgumentError, r"options\[1\] is empty"),
        (lambda: llama.choose("a", ["b", 5]), gk.ArgumentTypeError, r"options\[1\] must be a str"),
        (lambda: llama.choose("a", [[5] * 33]), gk.ModelError, r"prompt with options\[0\] of"),
        (lambda: llama.choose([], ["a"]), gk.ArgumentError, "prompt has no tokens"),
    ]
    for work, kind, message in wrong:
        with pytest.raises(kind, match=message) as caught:
            work()
        assert "\n" not in str(caught.value)
    llama.close()
    for work in (
        lambda: llama.embed(["a"]),
        lambda: llama.score("ab"),
        lambda: llama.choose("", ""),
    ):
        with pytest.raises(gk.ClosedError, match="open it again"):
            work()


def test_logits_that_are_not_finite_are_an_error(tmp_path: Path) -> None:
    with gk.open(GOLDEN / "gguf-v1-f16.bin") as file:
        norm = np.full(file["output_norm.weight"].shape, np.nan, np.float32)
        tensors = {**file.tensors, "output_norm.weight": gk.tensor_of(norm)}
        gk.save(tmp_path / "m.gguf", tensors, file.metadata)
    llama = gk.Llama(tmp_path / "m.gguf")
    with pytest.raises(gk.ModelError, match=r"output for texts\[0\] is not finite"):
        llama.embed(["a"])
    for work in (lambda: llama.score("hello"), lambda: llama.choose("hello", ["a"])):
        with pytest.raises(gk.ModelError, match="logits of the model are not finite"):
            work()
