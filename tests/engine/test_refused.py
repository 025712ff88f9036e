"""Tokens, settings and models that the decoder refuses, and its errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from decoder_models import fresh, random_model
from ggmlkit.engine.llama import Llama
from ggmlkit.quantizing import quantize


@pytest.mark.parametrize("tokens", [[-1], [384], [2**32], [2**40], [], [[1, 2]], [1.5], ["a"]])
def test_bad_tokens_are_refused(tokens: Any) -> None:
    llama = fresh()
    llama.eval([1, 3])
    with pytest.raises(ValueError, match="token"):
        llama.eval(tokens)
    assert llama.tokens == (1, 3)


def test_more_than_the_context_holds_is_refused() -> None:
    llama = fresh(context=8)
    llama.eval([1] * 6)
    with pytest.raises(ValueError, match="3 tokens do not fit: the context of 8 holds 6 already"):
        llama.eval([1, 2, 3])
    llama.eval([1, 2])
    with pytest.raises(gk.ModelError, match="does not fit the context"):
        llama.generate([1] * 9)


@pytest.mark.parametrize(
    "settings", [{"context": 0}, {"context": -1}, {"threads": 0}, {"sequences": 0}]
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be at least 1"):
        fresh(**settings)


@pytest.mark.parametrize("context", [2**45, 2**57, 2**63])
def test_context_beyond_memory_is_an_error(context: int) -> None:
    for settings in ({"context": context}, {"context": 16, "sequences": context}):
        with pytest.raises(gk.ModelError, match="does not fit into memory"):
            fresh(**settings)


@pytest.mark.parametrize(
    "name",
    ["token_embd.weight", "output_norm.weight", "blk.1.attn_k.weight", "blk.0.ffn_norm.weight"],
)
def test_missing_tensor_is_named(name: str) -> None:
    model = random_model()
    del model.tensors[name]
    with pytest.raises(gk.ModelError, match=name):
        Llama(model)


def test_unexpected_tensor_is_named() -> None:
    model = random_model()
    model.tensors["blk.0.attn_q_norm.weight"] = quantize(np.ones(32), "f32")
    with pytest.raises(gk.ModelError, match=r"blk\.0\.attn_q_norm"):
        Llama(model)


@pytest.mark.parametrize("labels", [None, ["no", "yes"], ["yes", "no", "?"], 5])
def test_rows_for_other_labels_than_yes_and_no_are_refused(labels: Any) -> None:
    model = random_model()
    model.tensors["cls.output.weight"] = quantize(np.ones((2, 64)), "f32")
    model.metadata["llama.classifier.output_labels"] = ["yes", "no"]
    Llama(model).close()  # a reranker says these itself
    model.metadata["llama.classifier.output_labels"] = labels
    with pytest.raises(gk.ModelError, match=r"cls\.output"):
        Llama(model)


def test_tensor_of_the_wrong_shape_is_named() -> None:
    model = random_model()
    model.tensors["blk.1.attn_q.weight"] = quantize(np.ones((96, 96)), "f32")
    with pytest.raises(gk.ModelError, match=r"blk\.1\.attn_q\.weight is 96 × 96.*128 × 96"):
        Llama(model)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("llama.attention.head_count_kv", 3, "multiple"),
        ("llama.attention.head_count", 0, "head_count"),
        ("llama.block_count", -1, "block_count"),
        ("llama.block_count", 3, r"blk\.2"),
        ("llama.block_count", 2**31 - 1, "more than there are tensors"),
        ("llama.embedding_length", 1 << 40, "embedding_length"),
        ("llama.rope.dimension_count", 34, "rotated"),
        ("llama.rope.freq_base", float("nan"), "freq_base"),
        ("llama.rope.scaling.type", "longrope", "longrope"),
        ("llama.expert_count", 8, "experts"),
        ("llama.context_length", "long", "context_length"),
        ("general.architecture", "gpt2", "gpt2"),
    ],
)
def test_bad_metadata_is_named(key: str, value: Any, message: str) -> None:
    model = random_model()
    model.metadata[key] = value
    with pytest.raises(gk.ModelError, match=message):
        Llama(model)
