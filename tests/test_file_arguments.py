"""Wrong arguments of the functions that read a model's file and write others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ggmlkit as gk
from paths import GOLDEN

OUT = "no folder/out.gguf"  # nothing can be written there

Wrong = tuple[Callable[[Path, Any], object], list[Any], str]
PAIRS = "tensor_types must be a list of pairs of a regular expression and a type"
WRONG: dict[str, Wrong] = {
    "tensor_types": (
        lambda file, value: gk.quantize_file(file, OUT, "q4_0", tensor_types=value),
        [{"attn_v": "q8_0"}, "attn_v=q8_0", ["attn_v"], [("attn_v", "q8_0", 1)], 5],
        PAIRS,
    ),
    "an expression": (
        lambda file, value: gk.quantize_file(file, OUT, "q4_0", tensor_types=[(value, "q8_0")]),
        ["(", 5],
        "is not a regular expression|an expression of tensor_types must be a str, not 5",
    ),
    "importance": (
        lambda file, value: gk.quantize_file(file, OUT, "q4_0", importance=value),
        ["abc", [1], {5: [1.0]}, {"blk.0.attn_q.weight": "abc"}],
        "importance must be a mapping, such as|a key of importance|the importance of blk.0",
    ),
    "type": (
        lambda file, value: gk.quantize_file(file, OUT, value),
        [5, ["q4_0"]],
        "type must be the name of a type or mixture",
    ),
    "shard_size": (
        lambda file, value: gk.export(file, OUT, shard_size=value),
        ["5G", 1.5, 0, True],
        "shard_size must be",
    ),
    "format": (
        lambda file, value: gk.export(file, OUT, value),
        [["hf"], 5],
        "format must be a str",
    ),
    "vocab": (
        lambda file, value: (gk.convert if value else gk.export)(file, OUT, vocab=value),
        [5, 0, b"a"],
        "vocab must be a str or a pathlib.Path",
    ),
    "base": (lambda file, value: gk.convert(file, OUT, base=value), [5], "base must be a str"),
    "changed": (gk.edit_metadata, [5, {1: 2}], "changed must be a str|changed must be a mapping"),
    "removed": (
        lambda file, value: gk.edit_metadata(file, {}, value),
        ["general.name", b"a", 5, [5]],
        "removed must be a list of keys, not|a key to remove must be a str",
    ),
    "value_types": (
        lambda file, value: gk.edit_metadata(file, {"a": 1}, value_types=value),
        [5, {"a": "u8"}, {"a": 999}, {"a": 13}, {"a": -1}],
        "value_types must be a mapping|the type of a must be|which is not a GGUF value type",
    ),
    "container": (
        lambda _, value: gk.save("out", {"a": [1.0]}, container=value),
        ["zip", 5],
        "there are gguf, ggjt, ggmf, ggml and ggla",
    ),
    "progress": (
        lambda file, value: [
            gk.verify(file, progress=value),
            gk.repair(file, OUT, progress=value),
            gk.split(file, OUT, max_tensors=2, progress=value),
            gk.edit_metadata(file, {}, progress=value),
            gk.export(file, OUT, progress=value),
        ],
        [5],
        "progress must be a function",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_for_files_get_one_sentence(tmp_path: Path, name: str) -> None:
    model = Path(shutil.copy(GOLDEN / "gguf-v1-f16.bin", tmp_path / "m.gguf"))
    work, values, message = WRONG[name]
    for value in values:
        with pytest.raises(gk.GgmlkitError, match=message) as caught:
            work(model, value)
        assert "\n" not in str(caught.value)
