"""tokenizer.model: pieces and ids equal SentencePiece's own library's, in and out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from awkward import texts
from ggmlkit.arch.hparams import ConversionWarning
from ggmlkit.conversion.vocabulary import (
    metadata_from_sentencepiece,
    metadata_from_tokenizer_json,
    to_tokenizer_json,
)
from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.text.tokenizer import Tokenizer

Train = Callable[..., Any]


def test_pieces_equal_those_of_the_library(golden: Path) -> None:
    import sentencepiece

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


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"add_dummy_prefix": False},
        {"remove_extra_whitespaces": True},
        {"normalization_rule_name": "nmt_nfkc", "remove_extra_whitespaces": True},
    ],
    ids=["plain", "no prefix", "spaces removed", "normalized"],
)
def test_ids_there_and_back(
    sentencepiece_model: Train, tmp_path: Path, settings: dict[str, Any]
) -> None:
    import tokenizers

    theirs = sentencepiece_model(**settings)
    found = metadata_from_sentencepiece(tmp_path / "tokenizer.model", theirs.vocab_size())
    found["tokenizer.ggml.add_bos_token"] = False
    ours = Tokenizer.from_metadata(found)
    back = tokenizers.Tokenizer.from_str(json.dumps(to_tokenizer_json(found)))
    for text in texts():
        if "<s>" in text or "<unk>" in text:
            continue  # names of control tokens: text to SentencePiece, tokens to the library
        expected = theirs.encode(text)
        assert ours.encode(text) == expected, repr(text)
        assert back.encode(text).ids == expected, repr(text)


def test_tokens_beyond_the_model_are_named_or_unused(golden: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes((golden / "meta" / "tokenizer.model").read_bytes())
    (tmp_path / "added_tokens.json").write_text('{"[PAD]": 384, "<extra one>": 385}')
    (tmp_path / "special_tokens_map.json").write_text('{"pad_token": "[PAD]"}')
    found = metadata_from_sentencepiece(path, 387)
    assert found["tokenizer.ggml.tokens"][384:] == ["[PAD]", "<extra▁one>", "<unused386>"]
    assert found["tokenizer.ggml.token_type"][384:] == [3, 4, 5]
    assert found["tokenizer.ggml.padding_token_id"] == 384
    assert Tokenizer.from_metadata(found).encode("<extra one>")[-1] == 385
    with pytest.raises(ConversionError, match="384 tokens"):
        metadata_from_sentencepiece(path, 380)


def test_an_added_token_without_an_embedding_is_left_out_with_a_warning(
    golden: Path, tmp_path: Path
) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes((golden / "meta" / "tokenizer.model").read_bytes())
    (tmp_path / "added_tokens.json").write_text('{"[PAD]": 384}')
    with pytest.warns(ConversionWarning, match=r"'\[PAD\]' has id 384, beyond the 384"):
        found = metadata_from_sentencepiece(path, 384)
    assert "[PAD]" not in found["tokenizer.ggml.tokens"]


def test_added_tokens_of_tokenizer_config(golden: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes((golden / "meta" / "tokenizer.model").read_bytes())
    decoder = {
        "0": {"content": "<unk>", "special": True},
        "1": {"content": "<s>", "special": True},
        "384": {"content": "<|im_end|>", "special": True},
        "385": {"content": "<tool>", "special": False},
    }
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": decoder}))
    found = metadata_from_sentencepiece(path, 386)
    kinds = found["tokenizer.ggml.token_type"]
    assert (kinds[0], kinds[1], kinds[384], kinds[385]) == (2, 3, 3, 4)
    tokenizer = Tokenizer.from_metadata(found)
    assert tokenizer.encode("a<tool><|im_end|>", parse_special=True)[-2:] == [385, 384]
    assert tokenizer.eog_ids == {2, 384}


def test_added_tokens_of_a_tokenizer_json_beside_it(golden: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.model"
    path.write_bytes((golden / "meta" / "tokenizer.model").read_bytes())
    added = [
        {"id": 384, "content": "<|user|>", "special": True, "rstrip": True},
        {"id": 385, "content": "<other>", "special": False},
        {"id": -1, "content": "<none>"},
    ]
    (tmp_path / "tokenizer.json").write_text(json.dumps({"added_tokens": added}))
    (tmp_path / "added_tokens.json").write_text('{"<tool>": 385}')
    found = metadata_from_sentencepiece(path, 386)
    assert found["tokenizer.ggml.tokens"][384:] == ["<|user|>", "<tool>"]
    assert found["tokenizer.ggml.token_type"][384:] == [3, 4]
    (tmp_path / "tokenizer.json").write_text("{")
    assert metadata_from_sentencepiece(path, 386)["tokenizer.ggml.token_type"][384] == 5


@pytest.mark.parametrize("begins", [True, False])
def test_a_unigram_model_becomes_a_t5_vocabulary(
    sentencepiece_model: Train, tmp_path: Path, begins: bool
) -> None:
    bos = {} if begins else {"bos_id": -1, "eos_id": 1, "unk_id": 2, "pad_id": 0}
    theirs = sentencepiece_model(model_type="unigram", vocab_size=330, **bos)
    found = metadata_from_sentencepiece(tmp_path / "tokenizer.model", theirs.vocab_size())
    assert found["tokenizer.ggml.model"] == "t5"
    assert found["tokenizer.ggml.tokens"] == [
        theirs.id_to_piece(number) for number in range(theirs.vocab_size())
    ]
    ours = Tokenizer.from_metadata(found)
    ids = theirs.encode("hello  world")
    # T5's tokenizers add no bos token, but an eos token.
    assert ours.encode("hello  world") == ([theirs.bos_id(), *ids] if begins else [*ids, 1])


def test_damaged_models(golden: Path, tmp_path: Path) -> None:
    whole = (golden / "meta" / "tokenizer.model").read_bytes()
    path = tmp_path / "tokenizer.model"
    for data in (b"", b"\x0a", b"\x0a\xff\xff\xff\xff\x7f", b"\x0f", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises((FormatError, ConversionError)):
            metadata_from_sentencepiece(path, 384)


def test_through_tokenizer_json(golden: Path, tmp_path: Path) -> None:
    found = metadata_from_sentencepiece(golden / "meta" / "tokenizer.model", 384)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(to_tokenizer_json(found)))
    again = metadata_from_tokenizer_json(path, 384)
    for key in ("model", "tokens", "token_type", "add_space_prefix", "add_bos_token"):
        assert again[f"tokenizer.ggml.{key}"] == found[f"tokenizer.ggml.{key}"]
    first, second = to_tokenizer_json(found)["model"], to_tokenizer_json(again)["model"]
    assert first["merges"] == second["merges"]
