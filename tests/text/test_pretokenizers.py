"""Pre-tokenizers: every name that llama.cpp knows gives its ids, in time linear in the text.

``tests/data/pretokenizers.json`` holds two small vocabularies, texts, and for every name the ids
from llama.cpp's own tokenizer. The vocabularies were trained on texts that were not split, so that
a word that is too long or too short changes the ids.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from awkward import mixed
from ggmlkit.errors import ModelError
from ggmlkit.text.encoding.bpe import BpeEncoder
from ggmlkit.text.splitting import families as pretokenizers
from ggmlkit.text.splitting.expressions import LINEAR
from ggmlkit.text.splitting.families import PreTokenizer
from ggmlkit.text.splitting.words import LibrarySplitter
from ggmlkit.text.vocab import Vocab
from paths import DATA

RECORDED = json.loads((DATA / "pretokenizers.json").read_text())
NAMES = sorted(RECORDED["facts"])
GROUPS = RECORDED["groups"]


def encoder(name: str) -> BpeEncoder:
    family = pretokenizers.by_name(name)
    keys = RECORDED["byte letters" if family.byte_letters else "plain text"]
    vocab = {"model": "gpt2", "pre": name, "tokens": keys["tokens"], "merges": keys["merges"]}
    return BpeEncoder(
        Vocab.from_metadata({f"tokenizer.ggml.{key}": value for key, value in vocab.items()})
    )


def cut(regex: str, text: str) -> list[str]:
    """The words that one expression splits a text into."""
    return LibrarySplitter([split(regex)]).words(text, letters=False)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_gives_llama_cpps_ids(name: str) -> None:
    ours = encoder(name)
    group = next(number for number, names in enumerate(GROUPS) if name in names)
    for case in RECORDED["texts"]:
        assert ours.encode(case["text"]) == case["ids"][case["of"][group]], repr(case["text"])


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_the_settings_that_llama_cpp_has(name: str) -> None:
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
    with pytest.raises(ModelError, match=r"'martian' is not known, only a\.x-4\.0, afmoe, "):
        pretokenizers.by_name("martian")


def split(regex: str, behavior: str = "Isolated", invert: bool = False) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert}


BYTES = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
CL100K = (
    r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*"
    r"|\s*[\r\n]|\s+(?!\S)|\s+"
)
QWEN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@pytest.mark.parametrize(
    ("steps", "nfc", "ignore_merges", "name"),
    [
        ([split(QWEN), BYTES], True, False, "qwen2"),
        ([split(QWEN), BYTES], False, False, "hunyuan"),
        ([split(QWEN, "Removed", True), BYTES], True, False, "qwen2"),
        ([split(CL100K), BYTES], False, False, "smaug-bpe"),
        ([split(CL100K), BYTES], False, True, "llama-bpe"),
        ([{**BYTES, "use_regex": True}], True, False, "olmo"),
        (
            [{"type": "Digits", "individual_digits": True}, {**BYTES, "use_regex": True}],
            True,
            False,
            "command-r",
        ),
        (
            [
                {"type": "Punctuation", "behavior": "Contiguous"},
                {**BYTES, "use_regex": True},
                {"type": "Digits", "individual_digits": False},
                split("[0-9][0-9][0-9]"),
            ],
            False,
            False,
            "falcon",
        ),
        ([split(" ?[^(\\s|[.,!?…。，、।۔،])]+"), BYTES], False, False, "bloom"),
        ([split("[\r\n]"), split("\\s?\\p{L}+"), BYTES], False, False, None),
        ([split(QWEN, "Removed"), BYTES], False, False, None),
        ([{**BYTES, "add_prefix_space": True, "use_regex": True}], False, False, None),
        ([split("[^\\n]+|[\\n]+")], False, False, None),
    ],
)
def test_files_are_recognized_in_any_spelling(
    steps: list[dict[str, Any]], nfc: bool, ignore_merges: bool, name: str | None
) -> None:
    file = {"type": "Sequence", "pretokenizers": steps}
    family = pretokenizers.recognised(file, nfc=nfc, ignore_merges=ignore_merges)
    assert (family and family.name) == name


@pytest.mark.parametrize("family", pretokenizers.FAMILIES, ids=lambda family: family.name)
def test_files_written_for_a_family_are_recognized(family: PreTokenizer) -> None:
    found = pretokenizers.recognised(
        family.json, nfc=family.nfc, ignore_merges=family.ignore_merges
    )
    assert found == (family if family.byte_letters else None)


@pytest.mark.parametrize("regex", LINEAR)
def test_linear_expressions_give_the_same_words(regex: str) -> None:
    letters = [*"  \t\n\r1122aé!'٣中\u0301_", "123", "    ", "\u3000", "'s", " " * 20]
    for text in [*mixed(letters, 1000), *(case["text"] for case in RECORDED["texts"])]:
        assert cut(pretokenizers.quick(regex), text) == cut(regex, text), repr(text)


# Runs that an expression can scan again from each position; then these take much longer.
RUNS = [sign * 40_000 for sign in " \u3000"] + ["1" * 40_000 + "a", "\n " * 2_000 + "中"]
RUNS += [sign * 4_000 for sign in "a'\u0301é"]
RUNS_AS_ONE = "€".join([*RUNS, ""])
WAYS = {json.dumps(family.steps): family.name for family in pretokenizers.FAMILIES}


@pytest.mark.parametrize("regex", LINEAR)
def test_own_expressions_take_linear_time(regex: str) -> None:
    start = time.process_time()
    cut(pretokenizers.quick(regex), RUNS_AS_ONE)
    assert time.process_time() - start < 8


@pytest.mark.parametrize("name", WAYS.values())
def test_splitting_takes_linear_time(name: str) -> None:
    start = time.process_time()
    encoder(name).words(RUNS_AS_ONE)
    assert time.process_time() - start < 8
