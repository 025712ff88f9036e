"""Special tokens: their ids by key or usual name, and their texts for chat templates."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from ggmlkit.errors import ModelError
from ggmlkit.text.special_ids import CARRIED_TEXTS, special_id, special_texts
from ggmlkit.text.vocab import Vocab

PIECES = ["<unk>", "<s>", "</s>", "[CLS]", "[SEP]", "[PAD]", "[MASK]", b"\xff"]


def vocabulary(model: str) -> Vocab:
    types = np.array([2, 3, 3, 3, 3, 3, 3, 3], np.int32)
    return Vocab(model, PIECES, types, None, [], "default")


@pytest.mark.parametrize(
    ("model", "name", "metadata", "expected"),
    [
        ("llama", "bos", {}, 1),
        ("llama", "bos", {"bos": 3}, 3),
        ("llama", "bos", {"bos": -1}, None),
        ("llama", "padding", {}, None),
        ("gpt2", "bos", {}, None),
        ("gpt2", "seperator", {"seperator": 4}, 4),
        ("t5", "eos", {}, 2),
        ("t5", "bos", {}, None),
        ("bert", "bos", {}, 3),
        ("bert", "bos", {"cls": 1}, 1),
        ("bert", "bos", {"cls": 1, "bos": 2}, 2),
        ("bert", "mask", {}, 6),
    ],
)
def test_the_key_counts_before_the_usual_text(
    model: str, name: str, metadata: dict[str, int], expected: int | None
) -> None:
    assert special_id(vocabulary(model), keys(metadata), name) == expected


def keys(numbers: dict[str, int]) -> dict[str, Any]:
    return {f"tokenizer.ggml.{name}_token_id": number for name, number in numbers.items()}


def test_ids_outside_the_vocabulary() -> None:
    with pytest.raises(ModelError, match="bos_token_id 8 is outside 8 tokens"):
        special_id(vocabulary("llama"), keys({"bos": 8}), "bos")


def test_texts_by_the_names_that_templates_use() -> None:
    every = {"bos": 1, "eos": 2, "unknown": 0, "seperator": 4, "padding": 5, "cls": 3, "mask": 6}
    assert special_texts(vocabulary("gpt2"), keys(every)) == {
        "bos_token": "<s>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "sep_token": "[SEP]",
        "pad_token": "[PAD]",
        "cls_token": "[CLS]",
        "mask_token": "[MASK]",
    }


def test_missing_first_and_last_tokens_have_an_empty_text() -> None:
    assert special_texts(vocabulary("gpt2"), {}) == {"bos_token": "", "eos_token": ""}
    beyond = keys({"padding": 8, "eos": 7})  # many files have such a padding token
    assert special_texts(vocabulary("gpt2"), beyond) == {"bos_token": "", "eos_token": ""}


@pytest.mark.parametrize(
    ("value", "more"),
    [
        (json.dumps({"image_token": "<image>", "bos_token": "<b>"}), {"image_token": "<image>"}),
        (json.dumps({"messages": "x", "tools": "y", "x_token": 5}), {}),
        ("[]", {}),
        ("{", {}),
        ("[" * 100_000, {}),
        (7, {}),
    ],
)
def test_texts_that_the_file_carries(value: object, more: dict[str, str]) -> None:
    found = special_texts(vocabulary("llama"), {CARRIED_TEXTS: value})
    expected = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", **more}
    assert found == expected
