"""End tokens: llama.cpp's by text and key, and those that a checkpoint lists."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ggmlkit.errors import ModelError
from ggmlkit.text.tokenizer import Tokenizer
from ggmlkit.text.vocab_keys import CARRIED

# Tokens with their types, keys by name of a token, and the end tokens of llama.cpp (the source in
# llama-cpp-python 0.3.36, run as xllamacpp 2026.10) for a file with these tokens after two letters.
LLAMA_CPP = [
    ("<x>=3 <|eot_id|>=3 <|eom_id|>=3", "eos=<x>", "<x> <|eot_id|> <|eom_id|>"),
    ("<x>=3 </s>=1 [EOS]=4 [e~[=5", "eos=<x>", "<x> </s> [EOS] [e~["),
    ("<x>=3 <y>=3 <z>=1", "eos=<x> eot=<y> eom=<z>", "<x> <y> <z>"),
    # gpt-oss: <|end|> ends one of several messages, unless there is no <|call|>.
    ("<|return|>=3 <|call|>=3 <|end|>=3", "eos=<|return|>", "<|return|> <|call|>"),
    ("<|return|>=3 <|end|>=3", "eos=<|return|>", "<|return|> <|end|>"),
    ("<|flush|>=3 <|calls|>=3 <|end|>=3", "eos=<|end|>", "<|flush|> <|calls|>"),
    ("<|flush|>=3 <|return|>=3 <|end|>=3", "eos=<|end|>", "<|flush|> <|return|> <|end|>"),
    # Gemma 4 and PLaMo: </s> is a word.
    ("<eos>=3 </s>=3 <|tool_response>=3", "eos=<eos>", "<eos> <|tool_response>"),
    ("<|plamo:eos|>=3 </s>=3", "eos=<|plamo:eos|>", "<|plamo:eos|>"),
    ("<|plamo:eos|>=3 </s>=3", "eos=</s>", "</s>"),
    # Code models: the padding, repository and file tokens end a text; by a key, else by text.
    ("<x>=3 [PAD]=3 <reponame>=1 <|file_sep|>=3", "eos=<x>", "<x> [PAD] <reponame> <|file_sep|>"),
    ("<x>=3 <PAD>=3 <y>=3", "eos=<x> fim_pad=<y>", "<x> <y>"),
    ("<x>=3 <fim_prefix>=3 <MID>=3", "eos=<x>", "<x>"),
]


def metadata(tokens: dict[str, int], keys: dict[str, str], **more: Any) -> dict[str, Any]:
    """A byte-level vocabulary of two letters and these tokens, the keys by tokens' texts."""
    names = ["a", "b", *tokens]
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": names,
        "tokenizer.ggml.token_type": [1, 1, *tokens.values()],
        "tokenizer.ggml.merges": [],
        **{f"tokenizer.ggml.{key}_token_id": names.index(text) for key, text in keys.items()},
        **more,
    }


def ends(found: dict[str, Any]) -> set[str | bytes]:
    tokenizer = Tokenizer.from_metadata(found)
    return {tokenizer.token_text(number) for number in tokenizer.eog_ids}


@pytest.mark.parametrize(("tokens", "keys", "expected"), LLAMA_CPP)
def test_end_tokens_are_llama_cpps(tokens: str, keys: str, expected: str) -> None:
    types = {text: int(kind) for text, kind in (token.rsplit("=", 1) for token in tokens.split())}
    named = dict(key.split("=", 1) for key in keys.split())
    assert ends(metadata(types, named)) == set(expected.split())


def test_tokens_for_gaps_are_found_by_key_or_text() -> None:
    types = dict.fromkeys(["<x>", "<fim_prefix>", "<MID>", "<y>", "<|file_sep|>"], 3)
    found = metadata(types, {"suffix": "<y>", "fim_rep": "<x>"})
    tokenizer = Tokenizer.from_metadata(found)
    assert {key: tokenizer.token_text(id) for key, id in tokenizer.fim_ids.items()} == {
        "fim_pre": "<fim_prefix>",
        "fim_suf": "<y>",
        "fim_mid": "<MID>",
        "fim_rep": "<x>",
        "fim_sep": "<|file_sep|>",
    }
    assert Tokenizer.from_metadata(metadata({}, {})).fim_ids == {}


def test_all_that_the_file_lists_end_a_text() -> None:
    tokens = {f"<{n}>": 3 for n in range(6)}
    found = metadata(tokens, {"eos": "<0>"}, **{"tokenizer.ggml.eos_token_ids": [3, 5, 6, 7, 5]})
    assert ends(found) == {"<0>", "<1>", "<3>", "<4>", "<5>"}


@pytest.mark.parametrize("value", ["<0>", [1.5], [[1, 2]], [[1], [1, 2]], ["a"], {"a": 1}])
def test_a_value_that_is_not_a_list_is_refused(value: object) -> None:
    found = metadata({"<0>": 3}, {}, **{"tokenizer.ggml.eos_token_ids": value})
    with pytest.raises(ModelError, match="eos_token_ids is not a list of integers"):
        Tokenizer.from_metadata(found)


@pytest.mark.parametrize("value", [[], [-1, 99, 2**40]])
def test_ids_that_name_no_token_end_nothing(value: object) -> None:
    assert ends(metadata({"<0>": 3}, {}, **{"tokenizer.ggml.eos_token_ids": value})) == set()


def test_key_of_no_token() -> None:
    found = metadata({"<0>": 3}, {}, **{"tokenizer.ggml.eot_token_id": 3})
    with pytest.raises(ModelError, match="eot_token_id 3 is outside 3 tokens"):
        Tokenizer.from_metadata(found)
    found = metadata({"<0>": 3}, {}, **{"tokenizer.ggml.fim_pad_token_id": 3})
    assert ends(found) == set()  # llama.cpp then uses the text


def test_with_a_carried_tokenizer_json_texts_count_for_added_tokens_only() -> None:
    carried = {CARRIED: json.dumps({"model": {}, "added_tokens": []})}
    tokens = {"</s>": 1, "<|im_end|>": 4, "<|endoftext|>": 3}
    assert ends(metadata(tokens, {}, **carried)) == {"<|im_end|>", "<|endoftext|>"}
    tokens = {"<|return|>": 3, "<|call|>": 3, "<|end|>": 3}
    assert "<|end|>" in ends(metadata(tokens, {"eos": "<|end|>"}, **carried))
