"""Perplexity and distances from a base, beside their definitions written out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ggmlkit as gk
from ggmlkit.engine.model import Model
from ggmlkit.evaluation import logit_blocks
from ggmlkit.evaluation.evaluating import perplexity
from ggmlkit.evaluation.text_chunks import scored_positions

CONTEXT = 32
Floats = NDArray[np.float64]


def defined(path: Path, text: str, context: int) -> tuple[Floats, Floats]:
    """Log-probabilities of all tokens, and of those that came: llama-perplexity's way."""
    with gk.Llama(path, context=context, threads=1) as llama:
        ids = llama.tokenizer.encode(text)
        rows, taken = [], []
        for begin in range(0, len(ids) // context * context, context):
            chunk = ids[begin : begin + context]
            read = [llama.tokenizer.bos_id, *chunk[1:]] if llama.tokenizer.add_bos else chunk
            logits = llama.logits(read).astype(np.float64)  # type: ignore[arg-type]
            log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            for place in range(context // 2, context - 1):
                rows.append(log_probs[place])
                taken.append(log_probs[place, chunk[place + 1]])
    return np.array(rows), np.array(taken)


def test_perplexity_is_as_defined(base: Path, text: str) -> None:
    _, taken = defined(base, text, CONTEXT)
    found = perplexity(base, text, context=CONTEXT, threads=1)
    assert found.tokens == len(taken) == found.chunks * scored_positions(CONTEXT)
    assert found.perplexity.value == pytest.approx(np.exp(-taken.mean()), rel=1e-4)
    error = taken.std() / np.sqrt(len(taken) - 1)
    assert found.perplexity.error == pytest.approx(found.perplexity.value * error, rel=1e-3)
    assert found.nll.ravel() == pytest.approx(-taken, abs=5e-3)
    assert found.by_position == pytest.approx(np.exp(found.nll.mean(axis=0)))
    assert found.first_position == 16
    assert found.base is None


def test_distance_from_a_base_is_as_defined(base: Path, quantized: Path, text: str) -> None:
    p, of_base = defined(base, text, CONTEXT)
    q, of_model = defined(quantized, text, CONTEXT)
    found = perplexity(quantized, text, context=CONTEXT, base=base, threads=2).base
    assert found is not None
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    assert found.kl.value == pytest.approx(kl.mean(), rel=0.02)
    assert found.kl_quantiles[0.5] == pytest.approx(np.median(kl), rel=0.05)
    assert found.kl_quantiles[1.0] == pytest.approx(kl.max(), rel=0.05)
    ratio = np.exp((of_base - of_model).mean())
    assert found.perplexity_ratio.value == pytest.approx(ratio, rel=1e-3)
    assert found.base_perplexity.value == pytest.approx(np.exp(-of_base.mean()), rel=1e-4)
    change = np.exp(of_model) - np.exp(of_base)
    assert found.p_difference_rms.value == pytest.approx(np.sqrt((change**2).mean()), rel=0.05)
    assert found.p_difference.value == pytest.approx(change.mean(), abs=1e-5)
    same = (p.argmax(axis=1) == q.argmax(axis=1)).mean()
    assert found.top_1.value == pytest.approx(same, abs=0.02)
    five = [set(np.argsort(rows)[-5:]) for rows in p], [set(np.argsort(rows)[-5:]) for rows in q]
    shared = np.mean([len(one & other) / 5 for one, other in zip(*five, strict=True)])
    assert found.top_5.value == pytest.approx(shared, abs=0.02)
    assert found.kl_by_position.shape == (scored_positions(CONTEXT),)


def test_a_model_is_at_no_distance_from_itself(base: Path, text: str) -> None:
    with Model(base, context=CONTEXT, contexts=2, threads=1) as model:
        found = perplexity(model, text, context=CONTEXT, base=model).base
    assert found is not None
    assert found.kl.value == 0
    assert set(found.kl_quantiles.values()) == {0}
    assert found.top_1.value == found.top_5.value == found.perplexity_ratio.value == 1
    assert found.p_difference_rms.value == found.p_difference_rms.error == 0


def without_bos(base: Path, folder: Path) -> Path:
    path = folder / "no-bos.gguf"
    with gk.open(base) as file:
        keys = {**file.metadata, "tokenizer.ggml.add_bos_token": False}
        gk.save(path, file.tensors, keys)
    return path


def test_only_a_vocabulary_that_says_so_puts_a_token_before(
    base: Path, text: str, tmp_path: Path
) -> None:
    path = without_bos(base, tmp_path)
    _, taken = defined(path, text, CONTEXT)
    found = perplexity(path, text, context=CONTEXT)
    assert found.nll.ravel() == pytest.approx(-taken, abs=5e-3)
    assert not np.allclose(perplexity(base, text, context=CONTEXT).nll[1:], found.nll[1:])


@pytest.mark.parametrize(("name", "value"), [("_PASS", 1), ("_MOST_LOGITS", 3 * 384)])
def test_figures_do_not_depend_on_how_much_is_computed_at_a_time(
    base: Path, text: str, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    with Model(base, context=CONTEXT, contexts=9, threads=1, batch_invariant=True) as model:
        whole = perplexity(model, text, context=CONTEXT)
        monkeypatch.setattr(logit_blocks, name, value)
        assert perplexity(model, text, context=CONTEXT) == whole


def test_fewer_chunks_are_the_first_ones(base: Path, text: str) -> None:
    told: list[tuple[int, int]] = []
    some = perplexity(
        base, text, context=CONTEXT, chunks=3, progress=lambda *now: told.append(now[:2])
    )
    assert some.chunks == 3
    assert told[0] == (0, 3)
    assert told[-1] == (3, 3)
    whole = perplexity(base, text, context=CONTEXT)
    assert some.nll == pytest.approx(whole.nll[:3], abs=5e-3)  # of other company, on AMX


@pytest.mark.parametrize("context", [3, 4, 5])
def test_the_smallest_contexts(base: Path, text: str, context: int) -> None:
    _, taken = defined(base, text, context)
    found = perplexity(base, text, context=context)
    assert found.nll.ravel() == pytest.approx(-taken, abs=5e-3)


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no text": ({"text": None}, "give a text; it can be left out for a base's saved predictions"),
    "an empty text": ({"text": ""}, "the text is empty"),
    "a short text": ({"text": "abc"}, "the text has . tokens, too few .* 64 tokens, are the least"),
    "bytes": ({"text": b"abc"}, "text must be a str, not bytes"),
    "a context of two": ({"context": 2}, "context must be at least 3, not 2"),
    "no chunks": ({"chunks": 0}, "chunks must be at least 1, not 0"),
    "few top tokens": ({"top": 4}, "top must be at least 5, not 4"),
    "no threads": ({"threads": 0}, "threads must be at least 1"),
    "another model": ({"model": 5}, "model must be a path or a gk.Model, not 5"),
    "another base": ({"base": 5}, "base must be a path or a gk.Model, not 5"),
    "settings of none": ({"settings": 5}, "settings must be a mapping"),
    "a wrong setting": ({"settings": {"kv_typ": "f16"}}, "'kv_typ', .* did you mean 'kv_type'"),
    "the context twice": ({"settings": {"context": 9}}, "'context', which is none of a model"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_get_one_sentence(base: Path, text: str, name: str) -> None:
    wrong, message = WRONG[name]
    given: dict[str, Any] = {"model": base, "text": text, "context": CONTEXT, **wrong}
    with pytest.raises(gk.ArgumentError, match=message):
        perplexity(**given)


def test_an_open_model_needs_the_context(base: Path, text: str) -> None:
    message = "context of 16 tokens: open it with at least 32"
    with Model(base, context=16) as model, pytest.raises(gk.ArgumentError, match=message):
        perplexity(model, text, context=CONTEXT)


def test_an_open_model_with_a_small_cache(base: Path, text: str) -> None:
    with Model(base, context=CONTEXT) as model:
        found = perplexity(model, text, context=CONTEXT)
        assert found.nll == pytest.approx(perplexity(base, text, context=CONTEXT).nll, abs=5e-3)
        with pytest.raises(gk.ArgumentError, match="cache of 64 tokens, too few for chunks of 32"):
            perplexity(model, text, context=CONTEXT, base=model)


def other_vocabulary(base: Path, folder: Path) -> Path:
    path = folder / "other.gguf"
    with gk.open(base) as file:
        tokens = list(file.metadata["tokenizer.ggml.tokens"])
        tokens[300], tokens[301] = tokens[301], tokens[300]
        gk.save(path, file.tensors, {**file.metadata, "tokenizer.ggml.tokens": tokens})
    return path


def test_a_base_of_another_vocabulary_is_refused(base: Path, text: str, tmp_path: Path) -> None:
    other = other_vocabulary(base, tmp_path)
    with pytest.raises(gk.ArgumentError, match=r"other tokens than its base .*other\.gguf"):
        perplexity(base, text, context=CONTEXT, base=other)


def test_logits_that_are_not_finite_are_an_error(base: Path, text: str, tmp_path: Path) -> None:
    path = tmp_path / "nan.gguf"
    with gk.open(base) as file:
        norm = np.full(file["output_norm.weight"].shape, np.nan, np.float32)
        gk.save(path, {**file.tensors, "output_norm.weight": norm}, file.metadata)
    with pytest.raises(gk.ModelError, match=r"nan\.gguf: logits of the model are not finite"):
        perplexity(path, text, context=CONTEXT)


def test_as_dict_is_json(base: Path, quantized: Path, text: str) -> None:
    import json

    found = perplexity(quantized, text, context=CONTEXT, chunks=2, base=base)
    document = json.loads(json.dumps(found.as_dict()))
    assert document["perplexity"]["value"] == found.perplexity.value
    assert document["base"]["kl_quantiles"]["0.999"] > 0
    assert len(document["by_position"]) == len(document["base"]["kl_by_position"]) == 15
