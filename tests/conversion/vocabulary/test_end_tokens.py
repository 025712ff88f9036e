"""End tokens of generation_config.json and config.json, turned into gguf keys and back."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ggmlkit.arch.hparams import ConversionWarning
from ggmlkit.conversion.vocabulary.end_tokens import end_keys, hf_end_ids
from ggmlkit.errors import ConversionError
from ggmlkit.text.tokenizer import Tokenizer

TOKENS = ["a", "<0>", "<1>", "<2>", "<3>", "<4>", "<eom>"]
IDS = "tokenizer.ggml.eos_token_ids"


def write_ends(folder: Path, **files: object) -> None:
    for name, value in files.items():
        (folder / f"{name}.json").write_text(json.dumps({"eos_token_id": value}))


def ends(found: dict[str, Any], eos: int | None = None) -> set[int]:
    """The end tokens of the tokenizer of a file with these keys."""
    metadata = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.token_type": [1] + [3] * 6,
        "tokenizer.ggml.merges": [],
    }
    if eos is not None:
        metadata["tokenizer.ggml.eos_token_id"] = eos
    return Tokenizer.from_metadata({**metadata, **found}).eog_ids


@pytest.mark.parametrize("eos", [None, 1, 3, 0])
@pytest.mark.parametrize("name", ["generation_config", "config"])
@pytest.mark.parametrize("ids", [4, [4], [1], [1, 2], [2, 1, 3], [1, 2, 3, 4], [5, 4, 3, 2, 1, 6]])
def test_no_end_token_is_lost(tmp_path: Path, ids: int | list[int], name: str, eos: int) -> None:
    write_ends(tmp_path, **{name: ids})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        found = end_keys(tmp_path, TOKENS, eos)
    several = ids if isinstance(ids, list) else [ids]
    assert ends(found, eos) == {*several} | ({eos} - {None})
    size = {"tokenizer.ggml.tokens": TOKENS, "tokenizer.ggml.eos_token_id": eos}
    back = hf_end_ids({**size, **found})
    assert back == (several if len(several) > 1 else several[0])


def test_the_generation_config_has_precedence_over_the_config(tmp_path: Path) -> None:
    write_ends(tmp_path, generation_config=4, config=[1, 2])
    assert ends(end_keys(tmp_path, TOKENS, 1), 1) == {1, 4}
    write_ends(tmp_path, generation_config=None)
    assert ends(end_keys(tmp_path, TOKENS, 1), 1) == {1, 2}
    write_ends(tmp_path, generation_config=[], config=2)
    assert ends(end_keys(tmp_path, TOKENS, 1), 1) == {1, 2}


def test_end_tokens_get_gguf_keys(tmp_path: Path) -> None:
    write_ends(tmp_path, config=1)
    assert end_keys(tmp_path, TOKENS, 1) == {}
    assert end_keys(tmp_path, TOKENS, None) == {"tokenizer.ggml.eos_token_id": 1}
    write_ends(tmp_path, config=[1, 6, 2])
    assert end_keys(tmp_path, TOKENS, 1) == {
        "tokenizer.ggml.eom_token_id": 6,
        "tokenizer.ggml.eot_token_id": 2,
        IDS: [1, 6, 2],
    }


def test_a_warning_names_tokens_that_llama_cpp_does_not_see(tmp_path: Path) -> None:
    write_ends(tmp_path, config=[1, 2, 3, 4])
    with pytest.warns(ConversionWarning, match=r"three end tokens only; '<3>' are in tokenizer\."):
        end_keys(tmp_path, TOKENS, 1)
    end_keys(tmp_path, [*TOKENS[:4], "<|im_end|>"], 1)  # which it knows by its text


@pytest.mark.parametrize("junk", [7, 2**70, -2, True, 1.5, float("inf"), "1", [1], {"a": 1}])
def test_ids_that_are_not_tokens_are_left_out_with_a_warning(tmp_path: Path, junk: object) -> None:
    write_ends(tmp_path, generation_config=[junk, 2])
    with pytest.warns(ConversionWarning, match="not one of the model's 7 tokens and is left out"):
        found = end_keys(tmp_path, TOKENS, 1)
    assert ends(found, 1) == {1, 2}


@pytest.mark.parametrize("value", [-1, None, [-1, None], [], {}])
def test_ways_to_say_that_there_is_none(tmp_path: Path, value: object) -> None:
    write_ends(tmp_path, generation_config=value, config=value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore" if value == {} else "error")
        assert end_keys(tmp_path, TOKENS, 1) == {}


def test_whole_floats_and_repetitions_count_once(tmp_path: Path) -> None:
    write_ends(tmp_path, generation_config=[2.0, 2, 3, 2])
    assert end_keys(tmp_path, TOKENS, 1)[IDS] == [2, 3]


def test_a_file_keeps_the_list(tmp_path: Path) -> None:
    import ggmlkit as gk

    write_ends(tmp_path, generation_config=[1, 2, 3, 5])
    with pytest.warns(ConversionWarning):
        found = end_keys(tmp_path, TOKENS, 1)
    metadata = {
        "general.architecture": "llama",
        "tokenizer.ggml.tokens": TOKENS,
        "tokenizer.ggml.eos_token_id": 1,
        **found,
    }
    gk.save(tmp_path / "m.gguf", {}, metadata=metadata)
    with gk.open(tmp_path / "m.gguf") as file:
        assert hf_end_ids(file.metadata) == [1, 2, 3, 5]
        assert np.asarray(file.metadata[IDS]).dtype.kind in "iu"


def test_keys_that_name_no_token() -> None:
    tokens = {"tokenizer.ggml.tokens": TOKENS}
    assert hf_end_ids(tokens) is None
    with pytest.raises(ConversionError, match="eos_token_id 7 is outside 7 tokens"):
        hf_end_ids({**tokens, "tokenizer.ggml.eos_token_id": 7})
    with pytest.raises(ConversionError, match="not a list of integers"):
        hf_end_ids({**tokens, IDS: "x"})
