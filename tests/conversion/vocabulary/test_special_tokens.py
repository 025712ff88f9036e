"""Special tokens from the small JSON files beside a tokenizer, and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.conversion.vocabulary.special_tokens import (
    added_tokens,
    hf_chat_template,
    special_keys,
    special_names,
)
from ggmlkit.conversion.vocabulary.token_table import AddedToken
from ggmlkit.conversion.vocabulary.tokenizer_config import tokenizer_config
from ggmlkit.errors import FormatError
from ggmlkit.text.special_ids import CARRIED_TEXTS

TOKENS = ["<s>", "</s>", "<pad>", "<|eot_id|>", "<|eom_id|>", "a"]


def write(folder: Path, name: str, value: object) -> None:
    (folder / name).write_text(json.dumps(value))


def test_ids_by_name_from_either_file(tmp_path: Path) -> None:
    write(tmp_path, "special_tokens_map.json", {"bos_token": "</s>", "pad_token": "<pad>"})
    write(tmp_path, "tokenizer_config.json", {"bos_token": {"content": "<s>"}, "eos_token": None})
    assert special_keys(tmp_path, TOKENS) == {
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.padding_token_id": 2,
    }


def test_flags_are_those_of_the_file(tmp_path: Path) -> None:
    write(tmp_path, "tokenizer_config.json", {"add_bos_token": False, "add_eos_token": True})
    found = special_keys(tmp_path, TOKENS)
    assert found == {
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.add_eos_token": True,
    }


@pytest.mark.parametrize("name", ["generation_config.json", "config.json"])
def test_of_several_end_tokens_none_is_lost(tmp_path: Path, name: str) -> None:
    write(tmp_path, "tokenizer_config.json", {"eos_token": "</s>"})
    write(tmp_path, name, {"eos_token_id": [1, 4, 3]})
    found = special_keys(tmp_path, TOKENS)
    assert found["tokenizer.ggml.eos_token_id"] == 1
    assert found["tokenizer.ggml.eom_token_id"] == 4
    assert found["tokenizer.ggml.eot_token_id"] == 3


def test_tokens_that_gguf_has_no_key_for_are_kept_by_their_texts(tmp_path: Path) -> None:
    config = {
        "sep_token": "a",
        "mask_token": "<none>",
        "image_token": {"content": "<pad>"},
        "extra_special_tokens": {"boi_token": "<x>", "other": "<y>"},
        "unk_token": 5,
        "add_bos_token": True,
    }
    write(tmp_path, "tokenizer_config.json", config)
    found = special_keys(tmp_path, TOKENS)
    assert found["tokenizer.ggml.seperator_token_id"] == 5
    carried = {"mask_token": "<none>", "image_token": "<pad>", "boi_token": "<x>"}
    assert json.loads(found[CARRIED_TEXTS]) == carried
    written = tokenizer_config({"tokenizer.ggml.tokens": TOKENS, **found}, 512)
    assert {key: written[key] for key in carried} == carried
    assert written["sep_token"] == "a"


def test_names_of_all_special_tokens(tmp_path: Path) -> None:
    write(tmp_path, "special_tokens_map.json", {"additional_special_tokens": ["<x>", "<y>"]})
    config = {"eos_token": {"content": "</s>"}, "extra_special_tokens": {"image": "<img>"}}
    write(tmp_path, "tokenizer_config.json", config)
    assert special_names(tmp_path) == {"<x>", "<y>", "</s>", "<img>"}


def test_added_tokens_of_both_files(tmp_path: Path) -> None:
    write(tmp_path, "added_tokens.json", {"<x>": 7, "<y>": 8})
    decoder = {"8": {"content": "<z>", "special": True}}
    write(tmp_path, "tokenizer_config.json", {"added_tokens_decoder": decoder, "pad_token": "<x>"})
    assert added_tokens(tmp_path) == [AddedToken("<x>", 7, True), AddedToken("<z>", 8, True)]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("added_tokens.json", {"a": "1"}),
        ("added_tokens.json", {"a": -1}),
        ("added_tokens.json", [1]),
        ("tokenizer_config.json", {"added_tokens_decoder": [1]}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"x": {"content": "a"}}}),
        ("tokenizer_config.json", {"added_tokens_decoder": {"1": "a"}}),
    ],
)
def test_damaged_files(tmp_path: Path, name: str, value: object) -> None:
    write(tmp_path, name, value)
    with pytest.raises(FormatError, match=name):
        added_tokens(tmp_path)


def test_a_template_file_has_precedence_over_the_config(tmp_path: Path) -> None:
    write(tmp_path, "tokenizer_config.json", {"chat_template": "one"})
    assert special_keys(tmp_path, [])["tokenizer.chat_template"] == "one"
    write(tmp_path, "chat_template.json", {"chat_template": "two"})
    assert special_keys(tmp_path, [])["tokenizer.chat_template"] == "two"
    (tmp_path / "chat_template.jinja").write_text("thr\u00e9e\n", encoding="utf-8")
    assert special_keys(tmp_path, [])["tokenizer.chat_template"] == "thr\u00e9e\n"
    (tmp_path / "chat_template.jinja").write_bytes(b"\xff")
    with pytest.raises(FormatError, match="not UTF-8"):
        special_keys(tmp_path, [])


SEVERAL: list[dict[str, Any]] = [
    {"name": "tool_use", "template": "x"},
    {"name": "default", "template": "two"},
]


def test_several_templates_by_name_there_and_back(tmp_path: Path) -> None:
    write(tmp_path, "tokenizer_config.json", {"chat_template": SEVERAL})
    found = special_keys(tmp_path, [])
    assert found == {
        "tokenizer.chat_template": "two",
        "tokenizer.chat_templates": ["tool_use"],
        "tokenizer.chat_template.tool_use": "x",
    }
    assert hf_chat_template(found) == SEVERAL[::-1]
    assert hf_chat_template({"tokenizer.chat_template": "two"}) == "two"
    assert hf_chat_template({}) is None
