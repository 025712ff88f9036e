"""Normalizers: which steps have an effect, which gguf can express, which are refused."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.arch.hparams import ConversionWarning
from ggmlkit.conversion.vocabulary import metadata_from_tokenizer_json, to_tokenizer_json
from ggmlkit.conversion.vocabulary.normalizers import (
    check_normalizer,
    normalizer_steps,
    sentencepiece_keys,
)
from ggmlkit.errors import ConversionError
from ggmlkit.text.vocab_keys import CARRIED

EMPTY: dict[str, Any] = {"type": "Sequence", "normalizers": []}
NOTHING: list[Any] = [
    None,
    EMPTY,
    {"type": "Sequence", "normalizers": [EMPTY, {"type": "Sequence", "normalizers": [EMPTY]}]},
    {"type": "Prepend", "prepend": ""},
    {"type": "Replace", "pattern": {"String": " "}, "content": " "},
    {"type": "Strip", "strip_left": False, "strip_right": False},
    {
        "type": "BertNormalizer",
        "clean_text": False,
        "handle_chinese_chars": False,
        "strip_accents": None,
        "lowercase": False,
    },
]
LOWERCASE = {"type": "Lowercase"}
SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
PREPEND = {"type": "Prepend", "prepend": "▁"}


def changed(train: Callable[..., Any], folder: Path, **changes: Any) -> int:
    size = int(train(changes.pop("pre", "deepseek-v3")).get_vocab_size())
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return size


@pytest.mark.parametrize("normalizer", NOTHING)
def test_steps_without_effect_are_ignored(
    train: Callable[..., Any], tmp_path: Path, normalizer: Any
) -> None:
    size = changed(train, tmp_path, normalizer=normalizer)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metadata_from_tokenizer_json(tmp_path / "tokenizer.json", size)
    assert found["tokenizer.ggml.pre"] == "deepseek-v3"
    assert to_tokenizer_json(found)["normalizer"] == normalizer


@pytest.mark.parametrize("normalizer", NOTHING[1:])
def test_they_have_no_effect_in_the_library_either(normalizer: Any) -> None:
    import tokenizers

    blank = json.loads(tokenizers.Tokenizer(tokenizers.models.BPE()).to_str())
    made = tokenizers.Tokenizer.from_str(json.dumps({**blank, "normalizer": normalizer}))
    for text in ("", " a  b ", "Éé e\u0301 你好\u200b\n"):
        assert made.normalizer.normalize_str(text) == text


@pytest.mark.parametrize(
    "normalizer",
    [
        LOWERCASE,
        {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "StripAccents"}]},
        {"type": "Replace", "pattern": {"Regex": "a+"}, "content": "b"},
    ],
    ids=["lowercase", "nfkc and accents", "expression"],
)
def test_other_steps_are_carried_with_a_warning(
    train: Callable[..., Any], tmp_path: Path, normalizer: dict[str, Any]
) -> None:
    size = changed(train, tmp_path, normalizer=normalizer)
    with pytest.warns(
        ConversionWarning, match=r"no key for the normalizer \(.*\); ggmlkit applies"
    ):
        found = metadata_from_tokenizer_json(tmp_path / "tokenizer.json", size)
    assert json.loads(found[CARRIED])["normalizer"] == normalizer
    assert to_tokenizer_json(found)["normalizer"] == normalizer


def test_nfc_beside_others_is_found(train: Callable[..., Any], tmp_path: Path) -> None:
    steps = {"type": "Sequence", "normalizers": [EMPTY, {"type": "NFC"}]}
    size = changed(train, tmp_path, pre="qwen2", normalizer=steps)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metadata_from_tokenizer_json(tmp_path / "tokenizer.json", size)
    assert found["tokenizer.ggml.pre"] == "qwen2"


def test_steps_that_would_be_lost_are_refused() -> None:
    with pytest.raises(ConversionError, match=r"\(Lowercase\) is supported only if the model"):
        check_normalizer(Path("t"), {"normalizer": LOWERCASE}, [], carried=False)


CUT = base64.b64encode((2**32 - 16).to_bytes(4, "little") + b"rules").decode()


@pytest.mark.parametrize(
    ("normalizer", "message"),
    [
        ({"type": "Martian"}, "'Martian' is not known"),
        (
            {"type": "Replace", "pattern": {"Regex": "("}, "content": ""},
            "is not supported",
        ),
        (
            {"type": "Replace", "pattern": {"Regex": "[b-a]"}, "content": ""},
            "empty range in char class",
        ),
        ({"type": "Sequence", "normalizers": None}, "'Sequence' is not known"),
        (
            {"type": "Precompiled", "precompiled_charsmap": CUT},
            "a table of 4294967280 bytes, but only 5",
        ),
        ({"type": "Precompiled", "precompiled_charsmap": "!"}, "not base64"),
        ({"type": "Precompiled"}, "precompiled_charsmap"),
        ([], "not an object"),
        ("NFC", "not an object"),
    ],
)
def test_steps_that_the_library_does_not_know_are_refused(normalizer: object, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        check_normalizer(Path("t"), {"normalizer": normalizer}, [], carried=True)


def test_the_steps_of_sentencepiece_have_keys() -> None:
    rules = base64.b64encode(b"\0\0\0\0rules").decode()
    collapsed = {"type": "Replace", "pattern": {"Regex": " +"}, "content": " "}
    steps = [
        {"type": "Precompiled", "precompiled_charsmap": rules},
        collapsed,
        PREPEND,
        SPACES,
    ]
    expressed, keys = sentencepiece_keys(
        {"normalizer": {"type": "Sequence", "normalizers": [*steps, LOWERCASE]}}
    )
    assert expressed == steps
    assert keys["tokenizer.ggml.precompiled_charsmap"].tobytes() == b"\0\0\0\0rules"
    assert keys["tokenizer.ggml.remove_extra_whitespaces"] is True


@pytest.mark.parametrize(
    ("normalizer", "prefix"),
    [
        ([PREPEND, SPACES], True),
        ([{"type": "Prepend", "prepend": ""}, SPACES], False),
        ([SPACES], False),
    ],
)
def test_a_byte_fallback_vocabulary_puts_a_space_first_where_a_step_does(
    tmp_path: Path, normalizer: list[Any], prefix: bool
) -> None:
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a"]
    tokenizer = {
        "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": normalizer},
        "model": {
            "type": "BPE",
            "byte_fallback": True,
            "unk_token": "<unk>",
            "vocab": {piece: number for number, piece in enumerate(pieces)},
            "merges": [],
        },
    }
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metadata_from_tokenizer_json(tmp_path / "tokenizer.json", len(pieces))
    assert found["tokenizer.ggml.add_space_prefix"] is prefix
    assert [steps["type"] for steps in normalizer_steps(tokenizer)][-1] == "Replace"
    tokenizer["normalizer"] = LOWERCASE
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.warns(ConversionWarning, match=r"no key for the normalizer \(Lowercase\)"):
        metadata_from_tokenizer_json(tmp_path / "tokenizer.json", len(pieces))
