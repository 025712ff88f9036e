"""Llama 3's tokenizer.model: ids equal tiktoken's and transformers'."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from awkward import texts
from ggmlkit.conversion.vocabulary import metadata_from_tiktoken, to_tokenizer_json
from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.text.byte_letters import BYTE_OF_LETTER
from ggmlkit.text.splitting import families as pretokenizers
from ggmlkit.text.tokenizer import Tokenizer

SPECIAL = 256


@pytest.fixture
def ranks(train: Callable[..., Any], tmp_path: Path) -> dict[bytes, int]:
    """The ranks of a small vocabulary, also written to tokenizer.model as Meta does."""
    vocab = train("llama-bpe").get_vocab()
    ordered = sorted(vocab, key=vocab.__getitem__)
    tokens = [text for text in ordered if not text.startswith("<")] + ["<"]
    spelled = dict.fromkeys(bytes(BYTE_OF_LETTER[ord(c)] for c in text) for text in tokens)
    found = {token: rank for rank, token in enumerate(spelled)}
    lines = [f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in found.items()]
    (tmp_path / "tokenizer.model").write_text("".join(lines))
    (tmp_path / "tokenizer.json").unlink()
    return found


def test_ids_equal_tiktoken(ranks: dict[bytes, int], tmp_path: Path) -> None:
    import tiktoken
    import tokenizers

    found = metadata_from_tiktoken(tmp_path / "tokenizer.model", len(ranks) + SPECIAL)
    pattern = pretokenizers.by_name("llama-bpe").steps[0]["pattern"]["Regex"]
    special = {
        text: number
        for number, text in enumerate(found["tokenizer.ggml.tokens"])
        if number >= len(ranks)
    }
    theirs = tiktoken.Encoding(
        "tiny", pat_str=pattern, mergeable_ranks=ranks, special_tokens=special
    )
    ours = Tokenizer.from_metadata(found)
    back = tokenizers.Tokenizer.from_str(json.dumps(to_tokenizer_json(found)))
    for text in [*texts(), "<|begin_of_text|>the<|eot_id|>"]:
        expected = [len(ranks), *theirs.encode(text, allowed_special="all")]
        assert ours.encode(text, parse_special=True) == expected, repr(text)
        assert back.encode(text).ids == expected, repr(text)


def test_merges_equal_transformers(ranks: dict[bytes, int], tmp_path: Path) -> None:
    import transformers.convert_slow_tokenizer as slow

    converter = slow.TikTokenConverter(str(tmp_path / "tokenizer.model"))
    vocab, merges = converter.extract_vocab_merges_from_model(converter.vocab_file)
    found = metadata_from_tiktoken(tmp_path / "tokenizer.model", len(ranks) + SPECIAL)
    assert found["tokenizer.ggml.merges"] == [" ".join(merge) for merge in merges]
    assert found["tokenizer.ggml.tokens"][: len(ranks)] == sorted(vocab, key=vocab.__getitem__)


def test_special_tokens_are_llama_3_1s(ranks: dict[bytes, int], tmp_path: Path) -> None:
    size = len(ranks) + SPECIAL
    found = metadata_from_tiktoken(tmp_path / "tokenizer.model", size + 2)
    special = found["tokenizer.ggml.tokens"][len(ranks) :]
    assert special[:12] == [
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|reserved_special_token_0|>",
        "<|reserved_special_token_1|>",
        "<|finetune_right_pad_id|>",
        "<|reserved_special_token_2|>",
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|eom_id|>",
        "<|eot_id|>",
        "<|python_tag|>",
        "<|reserved_special_token_3|>",
    ]
    assert special[255] == "<|reserved_special_token_247|>"
    assert special[256:] == [f"<unused{size}>", f"<unused{size + 1}>"]
    tokenizer = Tokenizer.from_metadata(found)
    assert tokenizer.bos_id == len(ranks)
    assert tokenizer.eog_ids == {len(ranks) + 1, len(ranks) + 8, len(ranks) + 9}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no tokens"),
        ("IQ== 0 1\n", "line 1 is not a token"),
        ("!!! 0\n", "line 1 is not a token"),
        ("IQ== x\n", "line 1 is not a token"),
        ("IQ== 0\nIg== 2\n", "line 2 is not the token of rank 1"),
        ("IQ== 0\nIQ== 1\n", "line 2 is not the token of rank 1"),
    ],
)
def test_damaged_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_text(text)
    with pytest.raises(FormatError, match=message):
        metadata_from_tiktoken(path, 300)


def test_more_tokens_than_the_model_has(ranks: dict[bytes, int], tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="with Llama 3's special ones"):
        metadata_from_tiktoken(tmp_path / "tokenizer.model", len(ranks) + SPECIAL - 1)
