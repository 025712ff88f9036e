"""tokenizer.json: ids equal the tokenizers library's, after conversion and after export."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from awkward import texts
from ggmlkit.arch.hparams import ConversionWarning
from ggmlkit.conversion.vocabulary import metadata_from_tokenizer_json, to_tokenizer_json
from ggmlkit.errors import ConversionError, FormatError, GgmlkitError
from ggmlkit.text.splitting import families as pretokenizers
from ggmlkit.text.tokenizer import Tokenizer
from ggmlkit.text.vocab_keys import CARRIED

Train = Callable[..., Any]
FAMILIES = [family.name for family in pretokenizers.FAMILIES if family.byte_letters]


def again(metadata: dict[str, Any]) -> Any:
    """The tokenizer that export writes."""
    import tokenizers

    return tokenizers.Tokenizer.from_str(json.dumps(to_tokenizer_json(metadata)))


@pytest.mark.parametrize("pre", FAMILIES)
def test_every_family_there_and_back(train: Train, tmp_path: Path, pre: str) -> None:
    theirs = train(pre)
    found = metadata_from_tokenizer_json(tmp_path / "tokenizer.json", theirs.get_vocab_size())
    assert found["tokenizer.ggml.pre"] == pre
    ours = Tokenizer.from_metadata(found)
    carried = again(found)
    built = again({key: value for key, value in found.items() if key != CARRIED})
    for text in texts():
        expected = theirs.encode(text).ids
        assert carried.encode(text).ids == expected, repr(text)
        assert ours.encode(text, parse_special=True) == expected, repr(text)
        if (
            "<|user|>" not in text and "<|mask|>" not in text
        ):  # they strip spaces, for which gguf has no key
            assert built.encode(text).ids == expected, repr(text)


def test_settings_besides_the_vocabulary_come_back_unchanged(train: Train, tmp_path: Path) -> None:
    theirs = train("llama-bpe")
    path = tmp_path / "tokenizer.json"
    found = metadata_from_tokenizer_json(path, theirs.get_vocab_size())
    assert len(found[CARRIED]) < 4000
    back, saved = to_tokenizer_json(found), json.loads(path.read_text())
    added = {entry["content"]: entry["id"] for entry in saved["added_tokens"]}
    assert back["model"].pop("vocab") == {**saved["model"].pop("vocab"), **added}
    assert back == saved


@pytest.mark.parametrize(
    "change",
    [
        {"tokenizer.ggml.pre": "gpt-2"},
        {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.bos_token_id": 0},
        {CARRIED: "{"},
        {CARRIED: "[]"},
        {CARRIED: '{"model": {}, "added_tokens": [{"id": 999, "content": "x"}]}'},
    ],
    ids=["pre-tokenizer", "first token", "damaged", "not an object", "other tokens"],
)
def test_settings_that_no_longer_fit_are_not_written_again(
    train: Train, tmp_path: Path, change: dict[str, Any]
) -> None:
    theirs = train("llama-bpe")
    found = metadata_from_tokenizer_json(tmp_path / "tokenizer.json", theirs.get_vocab_size())
    changed = found | change
    bare = {key: value for key, value in changed.items() if key != CARRIED}
    assert to_tokenizer_json(changed) == to_tokenizer_json(bare)
    assert to_tokenizer_json(changed) != to_tokenizer_json(found)


def test_tokens_around_a_text(train: Train, tmp_path: Path) -> None:
    from tokenizers.processors import TemplateProcessing

    theirs = train("gpt-2")
    theirs.post_processor = TemplateProcessing(
        single="<|im_start|> $A <|im_end|>",
        pair="<|im_start|> $A <|im_end|> <|im_start|>:1 $B:1 <|im_end|>:1",
        special_tokens=[("<|im_start|>", 1), ("<|im_end|>", 2)],
    )
    theirs.save(str(tmp_path / "tokenizer.json"))
    found = metadata_from_tokenizer_json(tmp_path / "tokenizer.json", theirs.get_vocab_size())
    built = again({key: value for key, value in found.items() if key != CARRIED})
    for tokenizer in (again(found), built):
        assert tokenizer.encode("the cat").ids == theirs.encode("the cat").ids
        assert tokenizer.encode("the", "cat").ids == theirs.encode("the", "cat").ids
    ours = Tokenizer.from_metadata(found)
    assert (ours.bos_id, ours.eos_id) == (1, 2)
    assert ours.encode("the cat") == theirs.encode("the cat").ids


def saved(train: Train, tmp_path: Path, **changes: Any) -> dict[str, Any]:
    train("gpt-2")
    path = tmp_path / "tokenizer.json"
    value = json.loads(path.read_text()) | changes
    path.write_text(json.dumps(value))
    return value


def read(tmp_path: Path, n_vocab: int = 500) -> dict[str, Any]:
    return metadata_from_tokenizer_json(tmp_path / "tokenizer.json", n_vocab)


def test_what_is_not_supported_is_named(train: Train, tmp_path: Path) -> None:
    value = saved(train, tmp_path, pre_tokenizer={"type": "Whitespace"})
    with pytest.raises(ConversionError, match=r"pre-tokenizer \(Whitespace\)"):
        read(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(value | {"model": {"type": "WordLevel", "vocab": {"a": 0}}}))
    with pytest.raises(ConversionError, match="'WordLevel' are not supported"):
        read(tmp_path)
    saved(train, tmp_path, normalizer={"type": "Martian"})
    with pytest.raises(ConversionError, match=r"normalizer \(Martian\) is not supported"):
        read(tmp_path)
    saved(train, tmp_path, normalizer={"type": "Replace", "pattern": {"Regex": "("}, "content": ""})
    with pytest.raises(ConversionError, match=r"replaces .* not supported"):
        read(tmp_path)
    saved(train, tmp_path, normalizer={"type": {"a": 1}})
    with pytest.raises(ConversionError, match=r"normalizer \({'a': 1}\)"):
        read(tmp_path)


def test_a_setting_that_differs_from_the_family_gives_a_warning(
    train: Train, tmp_path: Path
) -> None:
    llama3 = pretokenizers.by_name("llama-bpe").json
    saved(train, tmp_path, normalizer={"type": "NFC"}, pre_tokenizer=llama3)
    with pytest.warns(ConversionWarning, match="NFC is True, but False"):
        read(tmp_path)


def test_tokens_outside_the_model(train: Train, tmp_path: Path) -> None:
    value = saved(train, tmp_path)
    with pytest.raises(ConversionError, match="outside the model's 10"):
        read(tmp_path, 10)
    value["added_tokens"].append({"id": 600, "content": "<far>", "special": True})
    (tmp_path / "tokenizer.json").write_text(json.dumps(value))
    with pytest.warns(ConversionWarning, match="'<far>' has id 600"):
        assert len(read(tmp_path)["tokenizer.ggml.tokens"]) == 500
    value["added_tokens"][-1]["id"] = -1
    (tmp_path / "tokenizer.json").write_text(json.dumps(value))
    with pytest.raises(ConversionError, match="has id -1"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"added_tokens": {"a": 1}}, "added_tokens is not a list"),
        ({"added_tokens": ["a"]}, "a is not an added token"),
        ({"added_tokens": [{"id": "1", "content": "a"}]}, "is not an added token"),
    ],
)
def test_damaged_files(train: Train, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    saved(train, tmp_path, **change)
    with pytest.raises(FormatError, match=message):
        read(tmp_path)


def unigram(**changes: Any) -> dict[str, Any]:
    model = {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["a", -1.0]], **changes}
    return {"added_tokens": [], "normalizer": None, "pre_tokenizer": None, "model": model}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (unigram(vocab=[["a"]]), "vocab entry 0 is not a piece"),
        (unigram(vocab=[["a", "b"]]), "vocab entry 0 is not a piece"),
        (unigram(vocab={"a": 0}), "vocab"),
        (unigram(vocab=[["a", float("nan")]]), "vocab entry 0 has the score nan"),
        (unigram(unk_id=9), "unk_id 9 is not a token's id"),
        ({**unigram(), "normalizer": {"type": "Martian"}}, "'Martian' is not known"),
        (
            {**unigram(), "added_tokens": [{"id": 700, "content": "<x>", "special": False}]},
            "the model has no embeddings for some added tokens",
        ),
        ({**unigram(), "model": {"type": "WordPiece", "vocab": []}}, "not supported"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*has id 700")
def test_invalid_unigrams(tmp_path: Path, value: dict[str, Any], message: str) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(value))
    with pytest.raises(GgmlkitError, match=message):
        read(tmp_path)
