"""WordPiece: llama.cpp's ids for its files, transformers' ids for those from tokenizer.json."""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import subwords
from awkward import AWKWARD, mixed
from ggmlkit.conversion.vocabulary import metadata_from_tokenizer_json, to_tokenizer_json
from ggmlkit.errors import ModelError
from ggmlkit.text.tokenizer import Tokenizer

CORPUS = [
    "the quick brown fox jumps over ab abab don't can't . , ! ?",
    "naïve café 你好 世界 😀😀 12345 it's WE'LL they'd",
    "hello world tooling",
] * 30
LETTERS = [
    *"aaab  -=<>to lé你😀1▁\n\t\rzQ'.9!?~$",
    *("  ", "[DOC]", "the", "hello", " world", "e\u0301", "한", "\u3000", "\u200b", "İ", "ß"),
    *("\u302e\u0301", "\u07fd", "x" * 101, "\x07", "\ufffd"),
]


@pytest.mark.parametrize("run", subwords.runs("bert"), ids=lambda run: str(run["settings"]))
def test_ids_and_texts_are_llama_cpps(run: dict[str, Any]) -> None:
    ours = Tokenizer.from_metadata(subwords.keys("bert", **run["settings"]))
    for text, ids, plain, decoded in run["cases"]:
        assert ours.encode(text, parse_special=True) == ids, repr(text)
        assert ours.encode(text, add_special=False) == plain, repr(text)
        assert ours.decode(plain) == decoded, repr(text)


def test_spaces_before_punctuation_are_left_out_as_llama_cpp_does() -> None:
    ours = Tokenizer.from_metadata(subwords.keys("bert"))
    ids = ours.encode("a , b ! the ' fox ' s 's .", add_special=False)
    assert ours.decode(ids) == " a, b! the'fox's's."


def test_first_and_last_tokens() -> None:
    keys = subwords.keys("bert")
    stored = {name: keys.pop(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "seperator")}
    del keys["tokenizer.ggml.unknown_token_id"]
    by_name = Tokenizer.from_metadata(keys)
    assert (by_name.bos_id, by_name.unknown_id) == (
        stored["bos"],
        keys["tokenizer.ggml.tokens"].index("[UNK]"),
    )
    assert by_name.encode("") == [stored["bos"], stored["seperator"]]
    cls = {"tokenizer.ggml.cls_token_id": 5, "tokenizer.ggml.seperator_token_id": 6}
    assert Tokenizer.from_metadata({**keys, **cls}).encode("") == [5, 6]


def library(*, lowercase: bool, strip_accents: bool | None, ideographs: bool, added: bool) -> Any:
    """A small WordPiece of the tokenizers library."""
    import tokenizers

    found = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]"))
    found.normalizer = tokenizers.normalizers.BertNormalizer(
        clean_text=True,
        handle_chinese_chars=ideographs,
        strip_accents=strip_accents,
        lowercase=lowercase,
    )
    found.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=150, special_tokens=special, show_progress=False
    )
    found.train_from_iterator(CORPUS, trainer)
    found.decoder = tokenizers.decoders.WordPiece()
    found.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    if added:
        found.add_tokens(["[DOC]"])
    return found


@pytest.mark.parametrize("added", [False, True])
def test_ids_are_transformers(tmp_path: Path, added: bool) -> None:
    import tokenizers
    import transformers

    for lowercase, strips, ideographs in itertools.product(
        [True, False], [None, True, False], [True, False]
    ):
        value = library(
            lowercase=lowercase, strip_accents=strips, ideographs=ideographs, added=added
        )
        path = tmp_path / "tokenizer.json"
        value.save(str(path))
        theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
        found = metadata_from_tokenizer_json(path, value.get_vocab_size())
        ours = Tokenizer.from_metadata(found)
        again = tokenizers.Tokenizer.from_str(json.dumps(to_tokenizer_json(found)))
        for text in AWKWARD + mixed(LETTERS, 80):
            ids = theirs.encode(text)
            assert ours.encode(text, parse_special=True) == ids, repr(text)
            assert again.encode(text).ids == ids, repr(text)
            for special in (True, False):
                expected = theirs.decode(ids, skip_special_tokens=not special)
                assert ours.decode(ids, special=special) == expected, repr(text)


def test_every_character_is_split_as_by_the_library(tmp_path: Path) -> None:
    value = library(lowercase=True, strip_accents=None, ideographs=True, added=False)
    path = tmp_path / "tokenizer.json"
    value.save(str(path))
    ours = Tokenizer.from_metadata(metadata_from_tokenizer_json(path, value.get_vocab_size()))
    odd = [
        *range(0x3400),
        *range(0xA000, 0xAC20),
        *range(0xF800, 0x11000),
        *range(0x1D000, 0x1D800),
    ]
    letters = [chr(n) for n in [*odd, 0x4DC0, 0x9FFF, 0x1F600, 0x20000, 0x2B820, 0x2F800, 0xE0001]]
    for begin in range(0, len(letters), 4096):
        text = "a".join(letters[begin : begin + 4096])
        assert ours.encode(text) == value.encode(text).ids, hex(begin)


def test_the_file_of_a_converted_vocabulary_names_its_tokens(tmp_path: Path) -> None:
    value = library(lowercase=True, strip_accents=None, ideographs=True, added=False)
    value.save(str(tmp_path / "tokenizer.json"))
    found = metadata_from_tokenizer_json(tmp_path / "tokenizer.json", value.get_vocab_size() + 2)
    assert found["tokenizer.ggml.model"] == "bert"
    names = {"unknown": 1, "bos": 2, "cls": 2, "eos": 3, "seperator": 3, "mask": 4}
    assert (
        names.items()
        <= {name: found.get(f"tokenizer.ggml.{name}_token_id") for name in names}.items()
    )
    assert "▁the" in found["tokenizer.ggml.tokens"]
    assert found["tokenizer.ggml.token_type"][-2:] == [5, 5]


def test_texts_take_linear_time() -> None:
    ours = Tokenizer.from_metadata(subwords.keys("bert"))
    started = time.process_time()
    for text in ("\n ", " ", "a", "\u0301", "世", ".", "ab", "한"):
        ours.encode(text * 200_000)
    assert time.process_time() - started < 5  # ten times the usual time


def test_a_word_as_long_as_the_text() -> None:
    ours = Tokenizer.from_metadata(subwords.keys("bert"))
    (a,) = ours.encode("a", add_special=False)
    ab = ours.token_id("ab")
    assert ours.encode("a" + "ab" * 100_000, add_special=False) == [a] + [ab] * 100_000


def test_invalid_vocabularies_are_refused() -> None:
    keys = subwords.keys("bert")
    tokens = [*keys["tokenizer.ggml.tokens"]]
    tokens[5] = "a" * 10**6
    for settings, message in (
        ({"tokens": tokens}, "has 1000000 bytes"),
        ({"tokens": []}, "tokens is empty"),
        ({"normalizer.lowercase": "yes"}, "neither true nor false"),
        ({"unknown_token_id": 999}, "outside"),
    ):
        with pytest.raises(ModelError, match=message):
            Tokenizer.from_metadata(subwords.keys("bert", **settings))
    with pytest.raises(ModelError, match="no pieces spell 'zzz', and there is no unknown token"):
        Tokenizer.from_metadata(subwords.keys("bert", unknown_token_id=-1)).encode("zzz")


def test_carried_limits_are_checked() -> None:
    for longest in ("long", -1):
        carried = {"model": {"type": "WordPiece", "max_input_chars_per_word": longest}}
        keys = {**subwords.keys("bert"), "ggmlkit.tokenizer_json": json.dumps(carried)}
        with pytest.raises(ModelError, match="max_input_chars_per_word"):
            Tokenizer.from_metadata(keys)
    carried = {"model": {"type": "WordPiece", "max_input_chars_per_word": sys.maxsize * 9}}
    keys = {**subwords.keys("bert"), "ggmlkit.tokenizer_json": json.dumps(carried)}
    assert Tokenizer.from_metadata(keys).encode("the", add_special=False)
