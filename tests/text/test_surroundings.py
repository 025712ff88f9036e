"""Tokens before and after a text: from a carried post-processor, or from keys."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from ggmlkit.errors import ModelError
from ggmlkit.text.joining.surroundings import Surroundings, surroundings
from ggmlkit.text.tokenizer import Tokenizer
from ggmlkit.text.vocab import Vocab
from ggmlkit.text.vocab_keys import CARRIED

PIECES = ["a", "<s>", "</s>", "<x>", "[CLS]", "[SEP]"]
TWO = {
    "type": "TemplateProcessing",
    "single": [
        {"SpecialToken": {"id": "<s>", "type_id": 0}},
        {"SpecialToken": {"id": "<x>", "type_id": 0}},
        {"Sequence": {"id": "A", "type_id": 0}},
    ],
    "pair": [],
    "special_tokens": {
        "<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
        "<x>": {"id": "<x>", "ids": [3, 3], "tokens": ["<x>", "<x>"]},
    },
}


def vocabulary(model: str, pre: str = "gpt-2") -> Vocab:
    return Vocab(model, PIECES, np.array([1, 3, 3, 3, 3, 3], np.int32), None, [], pre)


def ids(**numbers: int) -> dict[str, int]:
    return {f"tokenizer.ggml.{name}_token_id": number for name, number in numbers.items()}


def flags(**values: object) -> dict[str, object]:
    return {f"tokenizer.ggml.add_{name}_token": value for name, value in values.items()}


@pytest.mark.parametrize(
    ("model", "pre", "metadata", "before", "after"),
    [
        ("llama", "default", {}, (1,), ()),
        ("llama", "default", flags(bos=False, eos=True), (), (2,)),
        ("llama", "default", {**ids(bos=-1), **flags(bos=True)}, (), ()),
        ("gpt2", "gpt-2", ids(bos=1, eos=2), (), ()),
        ("gpt2", "gpt-2", {**ids(bos=1, eos=2), **flags(bos=True, eos=True)}, (1,), (2,)),
        ("gpt2", "llama-bpe", ids(bos=3), (3,), ()),
        ("gpt2", "tekken", {**ids(bos=3), **flags(bos=False)}, (), ()),
        ("gpt2", "gpt-2", {**ids(bos=1, seperator=5), **flags(bos=True, sep=True)}, (1,), ()),
        ("t5", "default", {}, (), (2,)),
        ("t5", "default", {**ids(bos=1), **flags(bos=True, eos=False)}, (1,), ()),
        ("bert", "default", {}, (4,), (5,)),
        ("bert", "default", {**ids(cls=3, seperator=2), **flags(bos=False)}, (3,), (2,)),
        ("bert", "default", ids(bos=1, cls=3), (1,), (5,)),
        ("gemma4", "gemma4", {**ids(bos=3), **flags(bos=False)}, (3,), ()),
    ],
)
def test_without_a_post_processor_keys_and_the_kind_decide(
    model: str,
    pre: str,
    metadata: dict[str, Any],
    before: tuple[int, ...],
    after: tuple[int, ...],
) -> None:
    assert surroundings(vocabulary(model, pre), metadata) == Surroundings(before, after)


def carried(post_processor: object) -> dict[str, str]:
    return {CARRIED: json.dumps({"post_processor": post_processor})}


def test_a_carried_post_processor_decides() -> None:
    metadata = {**ids(bos=1), **flags(bos=True), **carried(TWO)}
    assert surroundings(vocabulary("gpt2"), metadata).before == (1, 3, 3)
    found = Tokenizer.from_metadata(
        {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": "gpt-2",
            "tokenizer.ggml.tokens": PIECES,
            "tokenizer.ggml.token_type": [1, 3, 3, 3, 3, 3],
            "tokenizer.ggml.merges": [],
            **metadata,
        }
    )
    assert found.encode("aa") == [1, 3, 3, 0, 0]
    assert found.encode("aa", add_special=False) == [0, 0]
    assert found.encode("") == [1, 3, 3]
    assert (found.add_bos, found.add_eos) == (True, False)


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (flags(bos=False), (), ()),
        (flags(eos=True) | ids(eos=2), (1,), (2,)),
        (ids(bos=4), (4,), ()),
        (ids(bos=-1), (), ()),
        ({CARRIED: "{"}, (1,), ()),
        ({CARRIED: "[]"}, (1,), ()),
        ({CARRIED: 5}, (1,), ()),
        (carried({"type": "Martian"}), (1,), ()),
        (carried(None), (1,), ()),
    ],
)
def test_keys_that_were_changed_since_count(
    change: dict[str, Any], before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    metadata = {**ids(bos=1), **flags(bos=True), **carried(TWO), **change}
    assert surroundings(vocabulary("gpt2"), metadata) == Surroundings(before, after)


def test_ids_beyond_the_vocabulary_are_not_added() -> None:
    bert = {"type": "BertProcessing", "cls": ["<s>", 1], "sep": ["<y>", 6]}
    metadata = {**ids(bos=1), **flags(bos=True), **carried(bert)}
    assert surroundings(vocabulary("gpt2"), metadata) == Surroundings((1,), ())


def test_keys_of_the_wrong_type() -> None:
    with pytest.raises(ModelError, match="add_bos_token is 'yes'"):
        surroundings(vocabulary("llama"), flags(bos="yes"))
