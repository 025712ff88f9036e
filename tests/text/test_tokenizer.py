"""Tokenizers: SentencePiece's and transformers' ids, all bytes kept, bad input refused."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from awkward import AWKWARD, mixed
from ggmlkit.conversion.vocabulary import metadata_from_sentencepiece, metadata_from_tokenizer_json
from ggmlkit.errors import ModelError
from ggmlkit.text.byte_letters import BYTE_OF_LETTER
from ggmlkit.text.encoding.bpe import BpeEncoder
from ggmlkit.text.splitting import families as pretokenizers
from ggmlkit.text.tokenizer import Tokenizer
from ggmlkit.text.vocab import TokenType, Vocab

CORPUS = [
    "the  quick brown    fox ---- ====== jumps\tover aaaaaa abababab",
    "naïve café 你好 世界 😀😀 12345 … it's WE'LL they'd",
    "def f(x):\n        return x  # ////\r\n\r\n",
    "aaaa aaaaa aaa aa a bbbbbb ab ab abab ababab cd",
    "        indented\n\n\n=== --- ===== ----",
] * 30

# Characters that mean spaces in pieces don't survive in every kind of file.
MORE = [
    "e\u0301 \u00e9 \u1112\u1161\u11ab",  # NFD, NFC, Hangul in parts
    "it's WE'LL they'd I'M",
    "<s>not special</s> <unk> <0x41> <|im_end|>",
    "\u2581\u2581 ▁a",
    "word " * 50,
]
LETTERS = [*"aaab  -=<>to lé你😀1▁\n\t\rzQ'.9", "  ", "<tool>", "<s>", "the", "    ", "'ll", "123"]


def texts(count: int) -> list[str]:
    """The awkward texts, and random strings."""
    return AWKWARD + MORE + mixed(LETTERS, count)


# ---------------------------------------------------------------- SentencePiece


@pytest.mark.parametrize(
    "name",
    ["gguf-v1-f16.bin", "gguf-v3-be-f16.bin", "ggjt-v1-f16.bin", "ggmf-v1-f16.bin", "ggml-f16.bin"],
)
def test_golden_files_tokenize_as_sentencepiece(golden: Path, name: str) -> None:
    import sentencepiece

    theirs = sentencepiece.SentencePieceProcessor(model_file=str(golden / "meta/tokenizer.model"))
    ours = Tokenizer.from_file(golden / name)
    assert (ours.bos_id, ours.eos_id, ours.vocab_size) == (1, 2, 384)
    for case in json.loads((golden / "manifest.json").read_text())["tokenizer"]:
        assert ours.encode(case["text"]) == [1, *case["ids"]]
        assert ours.decode(case["ids"]) == case["text"]
    for text in texts(500):
        assert ours.encode(text, add_special=False) == theirs.encode(text), repr(text)


@pytest.mark.parametrize("space_prefix", [True, False])
@pytest.mark.parametrize("fixed", [[], ["<tool>", "▁▁▁", "<<"]], ids=["plain", "user-defined"])
@pytest.mark.parametrize("byte_fallback", [True, False])
def test_trained_vocabularies_tokenize_as_sentencepiece(
    tmp_path: Path, space_prefix: bool, fixed: list[str], byte_fallback: bool
) -> None:
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_prefix=str(tmp_path / "trained"),
        vocab_size=380 if byte_fallback else 130,
        hard_vocab_limit=False,
        model_type="bpe",
        character_coverage=1.0,
        byte_fallback=byte_fallback,
        add_dummy_prefix=space_prefix,
        remove_extra_whitespaces=False,
        normalization_rule_name="identity",
        user_defined_symbols=fixed,
        minloglevel=2,
    )
    path = tmp_path / "trained.model"
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ours = Tokenizer.from_metadata(metadata_from_sentencepiece(path, theirs.vocab_size()))
    for text in texts(1000):
        ids = ours.encode(text, add_special=False)
        assert ids == theirs.encode(text), repr(text)
        if byte_fallback and "▁" not in text:  # a ▁ is a space to SentencePiece
            assert ours.decode(ids) == text


@pytest.mark.parametrize("rule", ["identity", "nmt_nfkc"])
def test_normalizing_vocabularies_tokenize_as_sentencepiece(tmp_path: Path, rule: str) -> None:
    import sentencepiece

    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_prefix=str(tmp_path / "trained"),
        vocab_size=340,
        hard_vocab_limit=False,
        model_type="bpe",
        byte_fallback=True,
        remove_extra_whitespaces=True,
        normalization_rule_name=rule,
        minloglevel=2,
    )
    path = tmp_path / "trained.model"
    theirs = sentencepiece.SentencePieceProcessor(model_file=str(path))
    ours = Tokenizer.from_metadata(metadata_from_sentencepiece(path, theirs.vocab_size()))
    for text in texts(1000):
        if rule == "nmt_nfkc" and "\u1112" in text:
            continue  # the tokenizers library does not compose Hangul from its parts
        assert ours.encode(text, add_special=False) == theirs.encode(text), repr(text)


@pytest.mark.parametrize("name", ["gguf-v1-f16.bin", "ggml-f16.bin"])
def test_transformers_reads_the_exported_vocabulary_alike(
    golden: Path, tmp_path: Path, name: str
) -> None:
    import transformers

    import ggmlkit as gk
    from ggmlkit.conversion.vocabulary import to_tokenizer_json

    with gk.open(golden / name) as file:
        ours = Tokenizer.from_metadata(file.metadata)
        written = to_tokenizer_json(file.metadata)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(written), encoding="utf-8")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
    for text in texts(500):
        expected = theirs.encode(text, add_special_tokens=False)
        assert ours.encode(text, add_special=False, parse_special=True) == expected, repr(text)


def test_without_scores_the_id_ranks_the_pieces() -> None:
    pieces = [("▁a", 1), ("ab", 1), ("a", 1), ("b", 1)]
    by_id = Tokenizer.from_metadata(spm(pieces))
    assert by_id.encode("ab", add_special=False) == [264, 267]
    scores = [0.0] * 264 + [-2.0, -1.0, 0.0, 0.0]
    by_score = Tokenizer.from_metadata(spm(pieces, scores=scores))
    assert by_score.encode("ab", add_special=False) == [259, 265]


def test_the_unversioned_golden_file_has_no_scores(golden: Path) -> None:
    import ggmlkit as gk

    with gk.open(golden / "ggml-f16.bin") as file:
        assert "tokenizer.ggml.scores" not in file.metadata


def spm(extra: list[tuple[str, int]] | None = None, **keys: Any) -> dict[str, Any]:
    """A small SentencePiece vocabulary with all byte tokens."""
    tokens = [("<unk>", 2), ("<s>", 3), ("</s>", 3)]
    tokens += [(f"<0x{byte:02X}>", 6) for byte in range(256)]
    tokens += [(piece, 1) for piece in ("▁", "h", "i", "hi", "▁hi")] + (extra or [])
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": [piece for piece, _ in tokens],
        "tokenizer.ggml.token_type": [kind for _, kind in tokens],
        **{f"tokenizer.ggml.{key}": value for key, value in keys.items()},
    }


def test_control_tokens_only_if_requested() -> None:
    tokenizer = Tokenizer.from_metadata(spm([("<|end|>", 3), ("<tool>", 4)]))
    end, tool = tokenizer.token_id("<|end|>"), tokenizer.token_id("<tool>")
    assert end not in tokenizer.encode("hi<|end|>")
    assert tokenizer.encode("hi<|end|>hi", parse_special=True) == [1, 263, end, 263]
    # As in llama.cpp: the text after every token in it gets a leading space.
    assert tokenizer.encode("hi<tool>hi", add_special=False) == [263, tool, 263]
    assert tokenizer.eog_ids == {2, end}
    assert tokenizer.decode([1, 263, end]) == "hi"
    assert tokenizer.decode([tool]) == "<tool>"


def test_flags_decide_which_tokens_are_added() -> None:
    assert Tokenizer.from_metadata(spm()).encode("hi") == [1, 263]
    both = Tokenizer.from_metadata(spm(add_bos_token=False, add_eos_token=True))
    assert both.encode("hi") == [263, 2]
    assert both.encode("hi", add_special=False) == [263]
    bare = Tokenizer.from_metadata(spm(add_space_prefix=False))
    assert bare.encode("hi") == [1, 262]
    assert bare.decode([263]) == " hi"
    assert bare.encode("") == [1]


def test_a_piece_that_is_not_utf8_gives_its_bytes() -> None:
    metadata = spm()
    metadata["tokenizer.ggml.tokens"][-1] = b"\xff\xfe"
    tokenizer = Tokenizer.from_metadata(metadata)
    assert tokenizer.decode_bytes([263]) == b"\xff\xfe"


# -------------------------------------------------------------- byte-level BPE


def trained(pre: str, folder: Path) -> tuple[Path, Any]:
    """A tokenizer.json trained with this pre-tokenizer, and transformers' tokenizer of it."""
    import transformers
    from tokenizers import AddedToken, decoders, models, trainers
    from tokenizers import Tokenizer as Trained
    from tokenizers.pre_tokenizers import ByteLevel

    family = pretokenizers.by_name(pre)
    blank = json.loads(Trained(models.BPE(ignore_merges=family.ignore_merges)).to_str())
    blank["pre_tokenizer"] = family.json
    blank["normalizer"] = {"type": "NFC"} if family.nfc else None
    tokenizer = Trained.from_str(json.dumps(blank))
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=420,
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.add_tokens([AddedToken("<tool>", normalized=False)])
    path = folder / "tokenizer.json"
    tokenizer.save(str(path))
    return path, transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))


@pytest.mark.parametrize("pre", ["gpt-2", "smollm", "llama-bpe", "qwen2"])
def test_trained_vocabularies_tokenize_as_transformers(tmp_path: Path, pre: str) -> None:
    path, theirs = trained(pre, tmp_path)
    metadata = metadata_from_tokenizer_json(path, len(theirs))
    assert metadata["tokenizer.ggml.pre"] == pre
    metadata["tokenizer.ggml.add_bos_token"] = False
    ours = Tokenizer.from_metadata(metadata)
    for text in texts(1000):
        ids = ours.encode(text, parse_special=True)
        assert ids == theirs.encode(text, add_special_tokens=False), repr(text)
        plain = ours.encode(text)
        expected = theirs.encode(text, add_special_tokens=False, split_special_tokens=True)
        if "<tool>" not in text:  # transformers splits these up as well
            assert plain == expected, repr(text)
        if pre != "qwen2":  # its NFC changes the text
            assert ours.decode(plain) == text


def test_the_default_pre_tokenizer_splits_by_its_expressions() -> None:
    import regex

    alphabet = {byte: letter for letter, byte in _letters().items()}
    vocab = Vocab.from_metadata(
        {
            "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.tokens": [alphabet[byte] for byte in range(256)],
            "tokenizer.ggml.merges": [],
        }
    )
    encoder = BpeEncoder(vocab)
    expressions = [step["pattern"]["Regex"] for step in pretokenizers.by_name("default").steps[:-1]]
    for text in texts(500):
        words = [text]
        for expression in expressions:
            words = [part for word in words for part in _isolated(regex, expression, word)]
        assert [
            bytes(_letters()[letter] for letter in word).decode() for word in encoder.words(text)
        ] == words, repr(text)


def _letters() -> dict[str, int]:
    return {chr(letter): byte for letter, byte in BYTE_OF_LETTER.items()}


def _isolated(regex: Any, expression: str, word: str) -> list[str]:
    parts, end = [], 0
    for match in regex.finditer(expression, word):
        parts += [word[end : match.start()], match.group()]
        end = match.end()
    return [part for part in [*parts, word[end:]] if part]


def test_smollm2_tokenizes_as_transformers(smollm2_gguf: Path, tmp_path: Path) -> None:
    import transformers

    import ggmlkit as gk
    from ggmlkit.conversion.vocabulary import to_tokenizer_json

    ours = Tokenizer.from_file(smollm2_gguf)
    with gk.open(smollm2_gguf) as file:
        written = to_tokenizer_json(file.metadata)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(written), encoding="utf-8")
    theirs = transformers.PreTrainedTokenizerFast(tokenizer_file=str(path))
    assert (ours.vocab_size, ours.bos_id, ours.eos_id, ours.eog_ids) == (49152, 1, 2, {0, 2, 4})
    assert not ours.add_bos
    for text in texts(1000):
        ids = ours.encode(text, parse_special=True)
        assert ids == theirs.encode(text), repr(text)
        assert ours.decode(ours.encode(text)) == text
    # The published ids of the model: single digits, and words with a leading space.
    assert ours.encode("Hello world 1234") == [19556, 905, 216, 33, 34, 35, 36]


# ---------------------------------------------------------------------- common


@pytest.mark.parametrize("beginning", [True, False])
def test_streaming_gives_whole_characters_and_all_bytes(golden: Path, beginning: bool) -> None:
    tokenizer = Tokenizer.from_file(golden / "gguf-v1-f16.bin")
    for text in texts(200):
        if "▁" in text:
            continue
        stream = tokenizer.stream(beginning=beginning)
        pieces = [stream.push(token) for token in tokenizer.encode(text)]
        assert stream.flush() == ""
        assert not any("\ufffd" in piece for piece in pieces)
        lead = " " if text and not beginning else ""
        assert "".join(pieces) == lead + text


def test_streaming_broken_bytes_equals_decoding_them(golden: Path) -> None:
    tokenizer = Tokenizer.from_file(golden / "gguf-v1-f16.bin")
    chance = random.Random(1)
    for _ in range(300):
        ids = [chance.randrange(384) for _ in range(40)]
        stream = tokenizer.stream()
        text = "".join(map(stream.push, ids)) + stream.flush()
        expected = b"".join(map(tokenizer.token_bytes, ids)).decode("utf-8", "replace")
        assert text == expected


def test_half_a_character_waits() -> None:
    tokenizer = Tokenizer.from_metadata(spm())
    stream = tokenizer.stream()
    assert [stream.push(3 + byte) for byte in "😀".encode()] == ["", "", "", "😀"]
    assert stream.push(3 + 0xE4) == ""
    assert stream.flush() == "\ufffd"
    assert stream.push(262) == "hi"


def test_surrogates_are_joined_or_replaced() -> None:
    tokenizer = Tokenizer.from_metadata(spm())
    assert tokenizer.decode(tokenizer.encode("\ud83d\ude00 \ud83d!")) == "😀 \ufffd!"


def test_tokens_outside_the_vocabulary_are_refused() -> None:
    tokenizer = Tokenizer.from_metadata(spm())
    for token in (-1, 264):
        with pytest.raises(IndexError, match="outside the vocabulary of 264"):
            tokenizer.decode([token])


def gpt2(**keys: Any) -> dict[str, Any]:
    found = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": ["a", "b", "ab"],
        "tokenizer.ggml.token_type": [1, 1, 1],
        "tokenizer.ggml.merges": ["a b"],
    }
    return {**found, **{f"tokenizer.ggml.{key}": value for key, value in keys.items()}}


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({}, "tokenizer.ggml.model is missing"),
        (gpt2(model="rwkv"), "'rwkv' is not supported, only llama, gpt2, t5, bert"),
        (gpt2(tokens=None), "tokens is missing"),
        (gpt2(tokens=[]), "tokens is empty"),
        (gpt2(tokens=["a", 1, "ab"]), "not text"),
        (gpt2(token_type=[1]), "token_type is not a list of 3"),
        (gpt2(token_type="abc"), "token_type is not a list of 3"),
        (gpt2(merges=None), "merges is missing"),
        (gpt2(merges=["ab"]), "entry 0 is no pair"),
        (gpt2(merges=[5]), "entry 0 is no pair"),
        (gpt2(merges=["a c"]), "not a valid BPE"),
        (gpt2(pre="martian"), "'martian' is not known"),
        (gpt2(pre=7), "not text"),
        (gpt2(eos_token_id=3), "eos_token_id 3 is outside 3 tokens"),
        (spm(scores=[0.0]), "scores is not a list of 264"),
        (spm(scores=["x"] * 264), "scores is not a list of 264"),
        (spm(precompiled_charsmap=[1, 2, 3]), "precompiled_charsmap is damaged"),
    ],
)
def test_invalid_vocabularies_are_refused(metadata: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        Tokenizer.from_metadata(metadata)


def test_token_types_are_gguf_numbers() -> None:
    assert [int(kind) for kind in TokenType] == [1, 2, 3, 4, 5, 6]
    assert Tokenizer.from_metadata(gpt2()).encode("abab") == [2, 2]
