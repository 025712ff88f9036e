"""Pre-tokenizers: every name that llama.cpp takes gives its ids, in time linear in the text.

``tests/data/pretokenizers.json`` holds two small vocabularies, texts, and for every name the ids
that llama.cpp's own tokenizer made of them. The vocabularies were trained on texts that were not
cut, so that a word too long or too short shows in the ids.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ggmlkit.errors import ModelError
from ggmlkit.model import pretokenizers
from ggmlkit.model.tokenizer_bpe import BpeEncoder
from ggmlkit.model.vocab import Vocab

RECORDED = json.loads((Path(__file__).parents[1] / "data/pretokenizers.json").read_text())
NAMES = sorted(RECORDED["facts"])
GROUPS = RECORDED["groups"]


def encoder(name: str) -> BpeEncoder:
    family = pretokenizers.by_name(name)
    keys = RECORDED["byte letters" if family.byte_letters else "plain text"]
    vocab = {"model": "gpt2", "pre": name, "tokens": keys["tokens"], "merges": keys["merges"]}
    return BpeEncoder(
        Vocab.from_metadata({f"tokenizer.ggml.{key}": value for key, value in vocab.items()})
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_name_gives_llama_cpps_ids(name: str) -> None:
    ours = encoder(name)
    group = next(number for number, names in enumerate(GROUPS) if name in names)
    for case in RECORDED["texts"]:
        assert ours.encode(case["text"]) == case["ids"][case["of"][group]], repr(case["text"])


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_what_llama_cpp_gives_it_besides(name: str) -> None:
    family = pretokenizers.by_name(name)
    ours = {
        "bos": family.adds_bos,
        "bos always": family.needs_bos,
        "eos": family.adds_eos,
        "sep": family.adds_sep,
        "whole words": family.ignore_merges,
        "spaces kept": not family.cleans_spaces,
        "mask strips": family.left_stripping == ("<mask>",),
    }
    assert sorted(what for what, does in ours.items() if does) == sorted(RECORDED["facts"][name])


def test_the_names_are_llama_cpps() -> None:
    assert set(NAMES) <= set(pretokenizers.known_names())
    assert len(NAMES) == 93
    with pytest.raises(ModelError, match=r"'martian' is none of those known: a\.x-4\.0, afmoe, "):
        pretokenizers.by_name("martian")
