"""Types and stripping that llama.cpp sets when it loads a vocabulary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ggmlkit.text.stripping import stripping_by_model
from ggmlkit.text.token_fixups import fixed_types
from ggmlkit.text.tokenizer import Tokenizer
from ggmlkit.text.vocab import TokenType, Vocab
from ggmlkit.text.vocab_keys import CARRIED

NORMAL, UNKNOWN, CONTROL, USER, UNUSED = map(TokenType, (1, 2, 3, 4, 5))

# Piece, its type in the file, and its type in llama.cpp after loading (xllamacpp 2026.10).
LLAMA_CPP = [
    ("a", NORMAL, NORMAL),
    ("<|im_end|>", NORMAL, CONTROL),
    ("<|endoftext|>", USER, CONTROL),
    ("<|im_start|>", NORMAL, NORMAL),  # not one that it searches for
    ("</s>", UNUSED, CONTROL),
    ("<eos>", UNKNOWN, UNKNOWN),
    ("<fim_prefix>", NORMAL, CONTROL),
    ("▁<SUF>", NORMAL, CONTROL),
    ("<|file_sep|>", USER, CONTROL),
    ("<|channel|>", CONTROL, USER),  # found in any text, and shown
    ("<|start|>", NORMAL, USER),
]


def keys(pieces: list[str], types: list[int], **more: Any) -> dict[str, Any]:
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": more.pop("pre", "gpt-2"),
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.token_type": types,
        "tokenizer.ggml.merges": [],
        **more,
    }


def test_types_are_llama_cpps() -> None:
    pieces, types, expected = (list(column) for column in zip(*LLAMA_CPP, strict=True))
    assert fixed_types(pieces, types, {}).tolist() == expected
    vocab = Vocab.from_metadata(keys(pieces, types))
    assert vocab.types.tolist() == expected
    assert vocab.types.dtype == np.int32


def test_exceptions_that_end_nothing_are_text() -> None:
    pieces = ["<|end|>", "<|call|>", "<|return|>", "</s>", "<|tool_response>"]
    assert fixed_types(pieces, [3] * 5, {}).tolist() == [USER, CONTROL, CONTROL, NORMAL, CONTROL]


def test_a_key_names_the_fim_token_and_the_others_stay() -> None:
    metadata = {"tokenizer.ggml.fim_pre_token_id": 0}
    assert fixed_types(["a", "<fim_prefix>"], [1, 1], metadata).tolist() == [NORMAL, NORMAL]
    metadata = {"tokenizer.ggml.prefix_token_id": 0}  # its older name
    assert fixed_types(["a", "<fim_prefix>"], [1, 1], metadata).tolist() == [NORMAL, NORMAL]
    metadata = {"tokenizer.ggml.fim_pre_token_id": 9}
    assert fixed_types(["a", "<fim_prefix>"], [1, 1], metadata).tolist() == [NORMAL, CONTROL]


def test_a_file_with_its_tokenizer_json_keeps_its_types() -> None:
    assert fixed_types(["<|im_end|>", "<|channel|>"], [4, 3], {CARRIED: "{}"}).tolist() == [4, 3]


def test_text_of_a_control_token_is_a_token_if_requested() -> None:
    pieces = ["a", "<|im_end|>", "<", "|", "i", "m", "_", "e", "n", "d", ">"]
    tokenizer = Tokenizer.from_metadata(keys(pieces, [1] * len(pieces)))
    assert tokenizer.encode("a<|im_end|>", parse_special=True) == [0, 1]
    assert tokenizer.encode("a<|im_end|>") == [0, 2, 3, 4, 5, 6, 7, 8, 9, 3, 10]
    assert tokenizer.decode([0, 1]) == "a"


PIECES = ["a", "<s>", "<unk>", "</s>", "<|endoftext|>", "<|user|>", "<tool>", "<mask>", "[MASK]"]
TYPES = [1, 3, 2, 1, 3, 3, 4, 1, 3]


@pytest.mark.parametrize(
    ("more", "left", "right"),
    [
        ({}, [], []),
        ({"general.name": "My PHI-3 mini"}, [], ["</s>", "<|user|>", "<tool>", "[MASK]"]),
        ({"general.name": "Phi3"}, [], ["</s>", "<|user|>", "<tool>", "[MASK]"]),
        ({"general.name": "modern-bert base"}, ["[MASK]"], []),
        ({"pre": "jina-v2-code"}, ["<mask>"], []),
        ({"pre": "jina-v2-de", "general.name": "phi-3"}, ["<mask>"], []),
        ({"general.architecture": "nomic-bert-moe"}, ["<mask>"], []),
        ({"general.architecture": "jina-bert-v3"}, ["<mask>"], []),
        ({"general.name": 3, "general.architecture": ["phi3"]}, [], []),
        ({"general.name": "phi-3", CARRIED: "{}"}, [], []),
    ],
)
def test_stripping_depends_on_the_models_name(
    more: dict[str, Any], left: list[str], right: list[str]
) -> None:
    metadata = keys(PIECES, TYPES, **more)
    found = stripping_by_model(Vocab.from_metadata(metadata), metadata)
    assert [PIECES[number] for number in sorted(found.left)] == left
    # The type "normal" is corrected first, unless the file carries its tokenizer.json.
    assert [PIECES[number] for number in sorted(found.right)] == right


def test_a_vocabulary_without_the_mask_strips_nothing() -> None:
    metadata = keys(["a"], [1], pre="jina-v2-es")
    assert not stripping_by_model(Vocab.from_metadata(metadata), metadata).left
