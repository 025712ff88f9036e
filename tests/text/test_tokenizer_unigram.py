"""Unigram: the same ids as llama.cpp, SentencePiece and transformers, each for its own files."""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import subwords
from awkward import AWKWARD, mixed
from ggmlkit.conversion.vocabulary import (
    metadata_from_sentencepiece,
    metadata_from_tokenizer_json,
    to_tokenizer_json,
)
from ggmlkit.errors import ModelError
from ggmlkit.text.tokenizer import Tokenizer
from ggmlkit.text.vocab_keys import CARRIED

CORPUS = [
    "the  quick brown    fox ---- jumps\tover aaaaaa abab",
    "naïve café 你好 世界 😀😀 12345 it's WE'LL they'd",
    "def f(x):\n   return x # ///",
    "ﬁne ① half ½ ａｂｃ hello world tool",
] * 30
LETTERS = [
    *"aaab  -=<>to lé你😀1▁\n\t\rzQ'.9½①¨",
    *("  ", "<tool>", "<<", "the", "hello", " world", "ｔｏｏｌ", "e\u0301", "\u3000", "<s>"),
]


def texts(count: int, seed: int = 5) -> list[str]:
    """The awkward texts, random ones, and a long one."""
    found = AWKWARD + mixed(LETTERS, count, seed)
    return [*found, "".join(found[-40:]) * 20]


@pytest.mark.parametrize("run", subwords.runs("t5"), ids=lambda run: str(run["settings"]))
def test_ids_and_texts_are_llama_cpps(run: dict[str, Any]) -> None:
    ours = Tokenizer.from_metadata(subwords.keys("t5", **run["settings"]))
    assert (ours.bos_id, ours.eos_id, ours.unknown_id) == (1, 2, 0)
    for text, ids, plain, decoded in run["cases"]:
        assert ours.encode(text, parse_special=True) == ids, repr(text)
        assert ours.encode(text, add_special=False) == plain, repr(text)
        assert ours.decode(plain) == decoded, repr(text)


def test_tokens_without_keys_are_known_by_their_names() -> None:
    keys = subwords.keys("t5")
    for name in ("bos", "eos", "unknown"):
        del keys[f"tokenizer.ggml.{name}_token_id"]
    ours = Tokenizer.from_metadata(keys)
    assert (ours.bos_id, ours.eos_id, ours.unknown_id) == (None, 2, 0)
    assert (ours.add_bos, ours.add_eos) == (False, True)
    assert ours.encode("") == [2]


def trained(folder: Path, **settings: Any) -> Any:
    """SentencePiece's processor of a small Unigram, saved as tokenizer.model."""
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_prefix=str(folder / "tokenizer"),
        model_type="unigram",
        hard_vocab_limit=False,
        minloglevel=2,
        **settings,
    )
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


@pytest.mark.parametrize("rule", ["identity", "nmt_nfkc", "nmt_nfkc_cf"])
@pytest.mark.parametrize("byte_fallback", [True, False])
def test_ids_and_texts_are_sentencepieces(tmp_path: Path, rule: str, byte_fallback: bool) -> None:
    for prefix, suffix, collapse in itertools.product([True, False], repeat=3):
        theirs = trained(
            tmp_path,
            vocab_size=380 if byte_fallback else 110,
            byte_fallback=byte_fallback,
            character_coverage=0.98,
            add_dummy_prefix=prefix,
            treat_whitespace_as_suffix=suffix,
            remove_extra_whitespaces=collapse,
            normalization_rule_name=rule,
            user_defined_symbols=["<tool>", "½"],
        )
        found = metadata_from_sentencepiece(tmp_path / "tokenizer.model", theirs.vocab_size())
        ours = Tokenizer.from_metadata(found)
        for text in texts(100):
            ids = theirs.encode(text)
            assert ours.encode(text, add_special=False) == ids, repr(text)
            # Theirs shows the unknown token.
            assert ours.decode(ids) == theirs.decode(ids).replace(" ⁇ ", ""), repr(text)


def library(normalizer: Any, pre_tokenizer: Any, *, byte_fallback: bool) -> Any:
    """A small Unigram of the tokenizers library, with an added token."""
    import tokenizers

    found = tokenizers.Tokenizer(tokenizers.models.Unigram())
    found.normalizer, found.pre_tokenizer = normalizer, pre_tokenizer
    special = ["<pad>", "</s>", "<unk>"]
    trainer = tokenizers.trainers.UnigramTrainer(
        vocab_size=150, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    found.train_from_iterator(CORPUS, trainer)
    value = json.loads(found.to_str())
    if byte_fallback:
        value["model"]["vocab"] += [[f"<0x{byte:02X}>", 0.0] for byte in range(256)]
        value["model"]["byte_fallback"] = True
    found = tokenizers.Tokenizer.from_str(json.dumps(value))
    found.add_tokens(["<tool>"])
    found.decoder = tokenizers.decoders.Metaspace()
    found.post_processor = tokenizers.processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    return found


@pytest.mark.parametrize("byte_fallback", [True, False])
def test_ids_are_transformers(tmp_path: Path, byte_fallback: bool) -> None:
    import tokenizers
    import transformers

    n, p = tokenizers.normalizers, tokenizers.pre_tokenizers
    compiled = n.Precompiled(bytes(subwords.keys("t5")["tokenizer.ggml.precompiled_charsmap"]))
    spaces = n.Replace(tokenizers.Regex(" {2,}"), " ")
    cuts = [p.Metaspace(), p.Metaspace(prepend_scheme="first"), p.Metaspace(prepend_scheme="never")]
    cuts.append(p.Sequence([p.WhitespaceSplit(), p.Metaspace()]))
    cuts.append(p.Sequence([p.Punctuation(), p.Metaspace(split=False)]))
    for normalizer, cut in itertools.product([compiled, n.Sequence([compiled, spaces])], cuts):
        value = library(normalizer, cut, byte_fallback=byte_fallback)
        path = tmp_path / "tokenizer.json"
        value.save(str(path))
        theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
        found = metadata_from_tokenizer_json(path, value.get_vocab_size())
        assert len(found[CARRIED]) < 5000  # the compiled rules have their own key
        ours = Tokenizer.from_metadata(found)
        again = tokenizers.Tokenizer.from_str(json.dumps(to_tokenizer_json(found)))
        for text in texts(60):
            ids = theirs.encode(text)
            assert ours.encode(text, parse_special=True) == ids, repr(text)
            assert again.encode(text).ids == ids, repr(text)


def test_scores_keep_their_digits(tmp_path: Path) -> None:
    value = {"model": {"type": "Unigram", "unk_id": 0}, "normalizer": None}
    pieces = [["<unk>", 0.0], ["a", -1.0], ["aa", -2.0 - 1e-12], ["b", -1.0], ["bb", -2.0 + 1e-12]]
    value["model"]["vocab"] = pieces
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(value))
    ours = Tokenizer.from_metadata(metadata_from_tokenizer_json(path, 5))
    assert ours.encode("aabb") == [1, 1, 4]


def test_a_vocabulary_of_250_000_opens_and_texts_take_linear_time() -> None:
    size = 250_000
    pieces = ["<unk>", "</s>", *(f"▁{number:x}" for number in range(size - 2))]
    keys = {
        "tokenizer.ggml.model": "t5",
        "tokenizer.ggml.tokens": pieces,
        "tokenizer.ggml.scores": np.linspace(-1, -20, size),
        "tokenizer.ggml.token_type": np.array([2, 3] + [1] * (size - 2), np.int32),
        "tokenizer.ggml.unknown_token_id": 0,
    }
    started = time.process_time()
    ours = Tokenizer.from_metadata(keys)
    for text in ("\n ", " ", "a", "\u0301", "世", "▁"):
        ours.encode(text * 200_000)
    assert time.process_time() - started < 5  # ten times the usual time


UNUSABLE = [
    ({"scores": None}, "scores is missing"),
    ({"scores": [0.0]}, "scores is not a list"),
    ({"precompiled_charsmap": np.array([9, 0, 0, 0, 1], np.uint8)}, "does not fit"),
    ({"precompiled_charsmap": np.array([9], np.uint8)}, "no size"),
    ({"unknown_token_id": 10**6}, "outside"),
    ({"tokens": []}, "tokens is empty"),
]


@pytest.mark.parametrize(("settings", "message"), UNUSABLE)
def test_invalid_vocabularies_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Tokenizer.from_metadata(subwords.keys("t5", **settings))


@pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_numbers(score: float) -> None:
    keys = subwords.keys("t5")
    keys["tokenizer.ggml.scores"] = [*keys["tokenizer.ggml.scores"][:-1], score]
    with pytest.raises(ModelError, match=r"scores\[\d+\] is -?(nan|inf), not a finite number"):
        Tokenizer.from_metadata(keys)


def test_a_piece_of_a_million_letters_is_refused() -> None:
    keys = subwords.keys("t5")
    keys["tokenizer.ggml.tokens"] = [*keys["tokenizer.ggml.tokens"]]
    keys["tokenizer.ggml.tokens"][9] = "a" * 10**6
    with pytest.raises(ModelError, match="token 9 has 1000000 bytes"):
        Tokenizer.from_metadata(keys)


def test_of_equal_pieces_the_first_counts() -> None:
    keys = subwords.keys("t5")
    tokens = keys["tokenizer.ggml.tokens"] = [*keys["tokenizer.ggml.tokens"]]
    first = tokens.index("▁")
    tokens[-2] = "▁"
    assert first in Tokenizer.from_metadata(keys).encode("q q q")


def test_damaged_normalizers_end_in_an_error_or_a_result() -> None:
    whole = subwords.keys("t5")["tokenizer.ggml.precompiled_charsmap"]
    chance = np.random.default_rng(3)
    refused = 0
    for _ in range(200):
        damaged = whole.copy()
        places = chance.integers(0, len(whole), 20)
        damaged[places] = chance.integers(0, 256, 20)
        refused += is_refused(damaged)
    assert refused > 20


def is_refused(charsmap: NDArray[np.uint8]) -> bool:
    try:
        ours = Tokenizer.from_metadata(subwords.keys("t5", precompiled_charsmap=charsmap))
        for text in (*AWKWARD, *LETTERS):
            ours.encode(text)
    except ModelError as error:
        return "precompiled_charsmap is damaged" in str(error)
    return False


def test_without_an_unknown_token_odd_letters_are_an_error() -> None:
    keys = subwords.keys("t5", unknown_token_id=-1)
    ours = Tokenizer.from_metadata(keys)
    with pytest.raises(ModelError, match="no pieces spell '☃', and there is no unknown token"):
        ours.encode("☃")


def test_carried_patterns_that_could_take_endless_time_are_refused() -> None:
    step = {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}
    carried = json.dumps({"model": {"type": "Unigram"}, "normalizer": step})
    keys = {**subwords.keys("t5"), "ggmlkit.tokenizer_json": carried}
    with pytest.raises(ModelError, match="not supported"):
        Tokenizer.from_metadata(keys)
