"""Vocabularies between their files and gguf keys."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.conversion.vocabulary import (
    metadata_from_sentencepiece,
    metadata_from_tokenizer_json,
    to_tokenizer_json,
)
from ggmlkit.errors import ConversionError, FormatError

TEXTS = ("the cat sat", "  two\n\n\nlines\t", "I'm 12345!", "naïve 😀", "", "<|end|>x")


def test_sentencepiece_equals_its_own_library(golden: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    path = golden / "meta" / "tokenizer.model"
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    found = metadata_from_sentencepiece(path, 384)
    assert found["tokenizer.ggml.tokens"] == [model.id_to_piece(i) for i in range(384)]
    assert found["tokenizer.ggml.scores"] == [model.get_score(i) for i in range(384)]
    kinds = found["tokenizer.ggml.token_type"]
    assert [k == 6 for k in kinds] == [model.is_byte(i) for i in range(384)]
    assert [k == 3 for k in kinds] == [model.is_control(i) for i in range(384)]
    assert kinds[0] == 2
    assert found["tokenizer.ggml.bos_token_id"] == model.bos_id()
    assert found["tokenizer.ggml.eos_token_id"] == model.eos_id()


def test_tokens_beyond_the_model_are_named_or_unused(golden: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes((golden / "meta" / "tokenizer.model").read_bytes())
    (tmp_path / "added_tokens.json").write_text('{"[PAD]": 384}')
    found = metadata_from_sentencepiece(path, 386)
    assert found["tokenizer.ggml.tokens"][384:] == ["[PAD]", "<unused385>"]
    assert found["tokenizer.ggml.token_type"][384:] == [4, 5]
    with pytest.raises(ConversionError, match="384 tokens"):
        metadata_from_sentencepiece(path, 380)


def test_damaged_sentencepiece_models(golden: Path, tmp_path: Path) -> None:
    whole = (golden / "meta" / "tokenizer.model").read_bytes()
    path = tmp_path / "tokenizer.model"
    for data in (b"", b"\x0a", b"\x0a\xff\xff\xff\xff\x7f", b"\x0f", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises((FormatError, ConversionError)):
            metadata_from_sentencepiece(path, 384)


def test_byte_level_there_and_back(byte_level_tokenizer: Any, tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    path = tmp_path / "tokenizer.json"
    byte_level_tokenizer.save(str(path))
    found = metadata_from_tokenizer_json(path, 330)
    assert found["tokenizer.ggml.pre"] == "llama-bpe"
    again = tokenizers.Tokenizer.from_str(json.dumps(to_tokenizer_json(found)))
    for text in TEXTS:
        assert again.encode(text).ids == byte_level_tokenizer.encode(text).ids, text


def test_sentencepiece_through_tokenizer_json(golden: Path, tmp_path: Path) -> None:
    found = metadata_from_sentencepiece(golden / "meta" / "tokenizer.model", 384)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(to_tokenizer_json(found)))
    again = metadata_from_tokenizer_json(path, 384)
    for key in ("model", "tokens", "token_type", "add_space_prefix", "add_bos_token"):
        assert again[f"tokenizer.ggml.{key}"] == found[f"tokenizer.ggml.{key}"]
    first, second = to_tokenizer_json(found)["model"], to_tokenizer_json(again)["model"]
    assert first["merges"] == second["merges"]


@pytest.fixture
def saved(byte_level_tokenizer: Any) -> dict[str, Any]:
    return copy.deepcopy(json.loads(byte_level_tokenizer.to_str()))


def from_json(tmp_path: Path, value: object, n_vocab: int = 400) -> dict[str, Any]:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(value))
    return metadata_from_tokenizer_json(path, n_vocab)


@pytest.mark.parametrize(
    ("pre", "name"),
    [
        ({"type": "ByteLevel"}, "gpt-2"),
        (
            {
                "type": "Sequence",
                "pretokenizers": [
                    {"type": "Digits", "individual_digits": True},
                    {"type": "ByteLevel"},
                ],
            },
            "smollm",
        ),
    ],
)
def test_pre_tokenizers_by_name(
    saved: dict[str, Any], tmp_path: Path, pre: object, name: str
) -> None:
    saved["pre_tokenizer"] = pre
    assert from_json(tmp_path, saved)["tokenizer.ggml.pre"] == name


def test_unknown_pre_tokenizers_and_models_are_named(saved: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="Whitespace"):
        from_json(tmp_path, {**saved, "pre_tokenizer": {"type": "Whitespace"}})
    with pytest.raises(ConversionError, match="Unigram"):
        from_json(tmp_path, {**saved, "model": {"type": "Unigram", "vocab": [["a", 0.0]]}})
    with pytest.raises(ConversionError, match="outside"):
        from_json(tmp_path, saved, n_vocab=10)


def test_chat_templates(saved: dict[str, Any], tmp_path: Path) -> None:
    config = tmp_path / "tokenizer_config.json"
    config.write_text(json.dumps({"chat_template": "one"}))
    assert from_json(tmp_path, saved)["tokenizer.chat_template"] == "one"
    several = [{"name": "tools", "template": "x"}, {"name": "default", "template": "two"}]
    config.write_text(json.dumps({"chat_template": several}))
    assert from_json(tmp_path, saved)["tokenizer.chat_template"] == "two"
    (tmp_path / "chat_template.jinja").write_text("three")
    assert from_json(tmp_path, saved)["tokenizer.chat_template"] == "three"
