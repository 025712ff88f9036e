"""vocab.json and merges.txt: ids equal those of transformers' class that reads them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from awkward import texts
from ggmlkit.conversion.vocabulary import metadata_from_vocab_and_merges
from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.text.tokenizer import Tokenizer

Train = Callable[..., Any]


@pytest.fixture
def pair(train: Train, tmp_path: Path) -> Callable[..., Path]:
    """Saves the two files of a family, with a tokenizer_config.json; returns the first."""

    def made(pre: str, **config: Any) -> Path:
        train(pre).model.save(str(tmp_path))
        (tmp_path / "tokenizer.json").unlink()
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
        return tmp_path / "vocab.json"

    return made


@pytest.mark.parametrize(
    ("pre", "name"),
    [("gpt-2", "GPT2Tokenizer"), ("qwen2", "Qwen2Tokenizer")],
)
def test_ids_equal_transformers(pair: Callable[..., Path], pre: str, name: str) -> None:
    import transformers

    decoder = {
        "420": {"content": "<tool>", "special": False, "normalized": False},
        "421": {"content": "<|more|>", "special": True},
    }
    path = pair(
        pre,
        tokenizer_class=name,
        bos_token="<|endoftext|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        added_tokens_decoder=decoder,
    )
    vocab = json.loads(path.read_text())
    decoder = {f"{len(vocab)}": decoder["420"], f"{len(vocab) + 1}": decoder["421"]}
    config = json.loads((path.parent / "tokenizer_config.json").read_text())
    config["added_tokens_decoder"] = decoder
    (path.parent / "tokenizer_config.json").write_text(json.dumps(config))
    theirs = getattr(transformers, name).from_pretrained(path.parent)
    found = metadata_from_vocab_and_merges(path, len(vocab) + 2)
    assert found["tokenizer.ggml.pre"] == pre
    assert found["tokenizer.ggml.eos_token_id"] == vocab["<|im_end|>"]
    ours = Tokenizer.from_metadata(found)
    for text in texts():
        expected = theirs.encode(text, add_special_tokens=False)
        assert ours.encode(text, parse_special=True) == expected, repr(text)
    assert ours.encode("a<|more|>", parse_special=True)[-1] == len(vocab) + 1


def test_named_special_tokens_are_control_tokens(pair: Callable[..., Path]) -> None:
    path = pair("gpt-2", eos_token="<|im_end|>")
    found = metadata_from_vocab_and_merges(path, 430)
    kinds = dict(
        zip(
            found["tokenizer.ggml.tokens"],
            found["tokenizer.ggml.token_type"],
            strict=True,
        )
    )
    assert (kinds["<|im_end|>"], kinds["<|im_start|>"], kinds["<unused429>"]) == (3, 1, 5)


def test_a_class_that_is_not_known_is_named(pair: Callable[..., Path]) -> None:
    path = pair("gpt-2", tokenizer_class="MarsTokenizer")
    with pytest.raises(ConversionError, match=r"MarsTokenizer .* give the tokenizer\.json"):
        metadata_from_vocab_and_merges(path, 500)
    path = pair("gpt-2", add_prefix_space=True)
    with pytest.raises(ConversionError, match="add_prefix_space"):
        metadata_from_vocab_and_merges(path, 500)


def test_merges_are_missing_or_damaged(pair: Callable[..., Path]) -> None:
    path = pair("gpt-2")
    merges = path.parent / "merges.txt"
    merges.write_text("#version: 0.2\na b c\n")
    with pytest.raises(FormatError, match="'a b c', does not join two tokens"):
        metadata_from_vocab_and_merges(path, 500)
    merges.write_bytes(b"a \xff\n")
    with pytest.raises(FormatError, match="UTF-8"):
        metadata_from_vocab_and_merges(path, 500)
    merges.unlink()
    with pytest.raises(ConversionError, match=r"needs a merges\.txt"):
        metadata_from_vocab_and_merges(path, 500)
