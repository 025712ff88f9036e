"""Text with tokens in it: the same ids as the tokenizers library's and SentencePiece's."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import tokenizers
from tokenizers import AddedToken, models, pre_tokenizers, trainers

from awkward import mixed
from awkward import texts as awkward_texts
from ggmlkit.conversion.vocabulary import (
    metadata_from_sentencepiece,
    metadata_from_tokenizer_json,
    to_tokenizer_json,
)
from ggmlkit.errors import ConversionError, ModelError
from ggmlkit.text.tokenizer import Tokenizer
from ggmlkit.text.tokenizer_json import MERGE_ORDER
from ggmlkit.text.vocab_keys import CARRIED, RULES, SENTENCEPIECE

CORPUS = [
    "The quick brown fox jumps over the lazy dog while the user asks the assistant once more.",
    "hello world, hello user; hello system! This is a test:  double  spaces   and tabs\tand\n.",
    "Programs print(x == 1) and return values[0]; numbers 1234567890 and 3.14159. Ein schöner Tag.",
] * 8
TEXTS = [
    *("hello user", " hello user", "  hello", "</s>user", "</s> user", "hello</s>world"),
    *(
        "hello </s> world",
        "hello</s>  world\n",
        "<s>hello world</s>",
        "a  b   c",
        "\thello\n hello",
    ),
    *("hello world</s><s> user", "▁hello", "", " ", "</s>", "é 🦙 中 x", "x<|im_start|>user"),
    *("<|im_start|>user\nhello<|im_end|>\n<|im_start|> assistant", "x <|im_start|>user"),
]
LETTERS = [*"aaab le▁é\n.9", "  ", "hello", " user", "</s>", "<s>", "<|im_start|>", "<|im_end|>"]
SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
PREPENDED = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, SPACES]}


def metaspace(scheme: str, split: bool) -> dict[str, Any]:
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def steps(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Sequence", "pretokenizers": parts}


PUNCTUATION = {"type": "Punctuation", "behavior": "Removed"}
LINES = {"type": "Split", "pattern": {"Regex": "[\n\t]+"}, "behavior": "Removed", "invert": False}


@pytest.fixture(scope="module")
def spaced() -> dict[str, Any]:
    """A tokenizer.json of a BPE with byte fallback; its merges have all pairs for each piece."""
    trained = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trained.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False),
    )
    found: dict[str, Any] = json.loads(trained.to_str())
    found["added_tokens"] = [e for e in found["added_tokens"] if e["id"] < 3]
    return with_merges(found, long_left=False)


def with_merges(tokenizer: dict[str, Any], *, long_left: bool) -> dict[str, Any]:
    """The tokenizer with all pairs that form each piece, as in converted SentencePiece models."""
    vocab = tokenizer["model"]["vocab"]
    pieces = dict.fromkeys("".join(pair) for pair in tokenizer["model"]["merges"])
    merges = [
        [piece[:cut], piece[cut:]]
        for piece in pieces
        for cut in sorted(range(1, len(piece)), reverse=long_left)
        if piece[:cut] in vocab and piece[cut:] in vocab
    ]
    return {**tokenizer, "model": {**tokenizer["model"], "merges": merges}}


def both(folder: Path, tokenizer: dict[str, Any]) -> tuple[Tokenizer, tokenizers.Tokenizer]:
    """Our tokenizer after conversion, and the library's."""
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(tokenizer))
    theirs = tokenizers.Tokenizer.from_file(str(path))
    found = metadata_from_tokenizer_json(path, theirs.get_vocab_size())
    return Tokenizer.from_metadata(found), theirs


def assert_same_ids(ours: Tokenizer, theirs: tokenizers.Tokenizer, texts: Iterable[str]) -> None:
    for text in texts:
        for special in (True, False):
            theirs.encode_special_tokens = not special
            expected = theirs.encode(text, add_special_tokens=False).ids
            assert ours.encode(text, add_special=False, parse_special=special) == expected, text


@pytest.mark.filterwarnings("ignore:.*gguf has no key for the normalizer")
@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize(
    ("normalizer", "pre_tokenizer"),
    [
        (PREPENDED, None),
        (None, metaspace("first", False)),
        (None, metaspace("always", False)),
        (None, metaspace("never", False)),
        (None, metaspace("always", True)),
        (None, metaspace("first", True)),
        (SPACES, None),
        (SPACES, {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious"}),
        ({"type": "Sequence", "normalizers": [{"type": "NFKC"}, SPACES]}, metaspace("first", True)),
        ({"type": "Lowercase"}, metaspace("always", False)),
        (None, steps({"type": "WhitespaceSplit"}, metaspace("first", True))),
        (None, steps({"type": "WhitespaceSplit"}, metaspace("always", True))),
        (None, steps(PUNCTUATION, metaspace("first", False))),
        (
            None,
            steps(LINES, {"type": "Digits", "individual_digits": True}, metaspace("first", True)),
        ),
    ],
)
def test_spaces_beside_tokens(
    tmp_path: Path, spaced: dict[str, Any], normalizer: Any, pre_tokenizer: Any, special: bool
) -> None:
    first = len(spaced["model"]["vocab"])
    entry = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False}
    added = [
        {"id": first + number, "content": text, "special": special, **entry}
        for number, text in enumerate(("<|im_start|>", "<|im_end|>"))
    ]
    if isinstance(pre_tokenizer, dict) and pre_tokenizer["type"] == "Split":
        pre_tokenizer = {**pre_tokenizer, "invert": False}
    changed = {
        **spaced,
        "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer,
        "added_tokens": [*spaced["added_tokens"], *added],
    }
    ours, theirs = both(tmp_path, changed)
    assert_same_ids(ours, theirs, [*TEXTS, *mixed(LETTERS, 200)])


@pytest.mark.parametrize("content", ["<X>", "new word", "hello", "ähm"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lstrip": True},
        {"rstrip": True},
        {"lstrip": True, "rstrip": True},
        {"single_word": True},
        {"normalized": True},
        {"rstrip": True, "normalized": True},
        {"single_word": True, "lstrip": True, "normalized": True},
    ],
    ids=lambda options: " ".join(options) or "-",
)
@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("kind", ["bytes", "spaces"])
def test_options_of_added_tokens(
    tmp_path: Path,
    spaced: dict[str, Any],
    kind: str,
    special: bool,
    options: dict[str, bool],
    content: str,
) -> None:
    token = AddedToken(content, special=special, **({"normalized": False} | options))
    if kind == "bytes":
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        model = models.BPE({letter: number for number, letter in enumerate(alphabet)}, [])
        theirs = tokenizers.Tokenizer(model)
        theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        theirs = tokenizers.Tokenizer.from_str(json.dumps({**spaced, "normalizer": PREPENDED}))
        theirs.pre_tokenizer = None
    (theirs.add_special_tokens if special else theirs.add_tokens)([token])
    ours, theirs = both(tmp_path, json.loads(theirs.to_str()))
    places = ["a <X> b", "a<X>b", "<X>\nhello", "<X>  hello  <X> ", "x\n\n<X>", "xX<X>", "é<X>é"]
    places += [
        "word<X>",
        "word <X> word",
        "<X><X> <X>",
        " <X>",
        "\u3000<X>\u2028 \x1c<X>_",
        "2<X>²",
    ]
    assert_same_ids(ours, theirs, [text.replace("<X>", content) for text in places])


def test_tokens_within_tokens(tmp_path: Path, spaced: dict[str, Any]) -> None:
    theirs = tokenizers.Tokenizer.from_str(json.dumps({**spaced, "normalizer": SPACES}))
    theirs.pre_tokenizer = None
    names = ["ab", "bcd", "abcde", "cd", "  ", "    ", "\n\n", "b "]
    theirs.add_tokens([AddedToken(name, normalized=False, rstrip=name == "cd") for name in names])
    theirs.add_special_tokens([AddedToken("bc", normalized=False)])
    ours, theirs = both(tmp_path, json.loads(theirs.to_str()))
    assert_same_ids(ours, theirs, mixed([*"abcde \n", "  "], 500))


@pytest.mark.parametrize(
    ("long_left", "changed", "key"),
    [
        (False, False, MERGE_ORDER),
        (True, False, MERGE_ORDER),
        (False, True, "tokenizer.ggml.merges"),
    ],
)
def test_the_order_of_merges_is_kept(
    tmp_path: Path, spaced: dict[str, Any], long_left: bool, changed: bool, key: str
) -> None:
    tokenizer = with_merges(
        {**spaced, "normalizer": SPACES, "pre_tokenizer": None}, long_left=long_left
    )
    if changed:  # no longer all pairs for each piece
        del tokenizer["model"]["merges"][5::7]
    ours, theirs = both(tmp_path, tokenizer)
    found = metadata_from_tokenizer_json(tmp_path / "tokenizer.json", theirs.get_vocab_size())
    assert (MERGE_ORDER in found) != ("tokenizer.ggml.merges" in found)
    assert key in found
    assert_same_ids(ours, theirs, [*TEXTS, *awkward_texts(), *CORPUS[:3]])
    written = to_tokenizer_json(found)
    assert written["model"]["merges"] == tokenizer["model"]["merges"]


def test_tokens_of_white_space_that_include_more(tmp_path: Path, spaced: dict[str, Any]) -> None:
    """A token inside the white space of another is dropped if it includes the space to its left."""
    size = max(spaced["model"]["vocab"].values()) + 1
    options = {"lstrip": True, "rstrip": True, "single_word": False, "special": False}
    token = {"id": size, "content": "  ", "normalized": False, **options}
    added = [*spaced["added_tokens"], token]
    ours, theirs = both(tmp_path, {**spaced, "added_tokens": added})
    assert_same_ids(ours, theirs, ["a" + " " * count + "b" for count in range(12)])


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("normalizer", {"type": "Martian"}, "'Martian' is not known"),
        ("normalizer", {"type": "Prepend", "prepend": "a" * 1000}, "not a text of up to 64"),
        (
            "normalizer",
            {"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""},
            "not supported",
        ),
        ("pre_tokenizer", {"type": "Whitespace"}, "not supported"),
    ],
)
def test_unsupported_steps_are_named(
    tmp_path: Path, spaced: dict[str, Any], part: str, value: Any, message: str
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**spaced, part: value}))
    with pytest.raises(ConversionError, match=message):
        metadata_from_tokenizer_json(path, 600)


def test_steps_of_a_changed_file_are_refused(tmp_path: Path, spaced: dict[str, Any]) -> None:
    (tmp_path / "tokenizer.json").write_text(json.dumps(spaced))
    found = metadata_from_tokenizer_json(tmp_path / "tokenizer.json", 600)
    carried = json.loads(found[CARRIED]) | {"normalizer": {"type": "Martian"}}
    with pytest.raises(ModelError, match="'Martian' is not known"):
        Tokenizer.from_metadata({**found, CARRIED: json.dumps(carried)})


# ---------------------------------------------------------------- SentencePiece


RUNS = ["▁" * count for count in range(2, 9)]


def trained_pieces(folder: Path, **settings: Any) -> Any:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_prefix=str(folder / "spm"),
        vocab_size=400,
        model_type="bpe",
        byte_fallback=True,
        hard_vocab_limit=False,
        minloglevel=2,
        **({"remove_extra_whitespaces": False} | settings),
    )
    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "spm.model"))


@pytest.mark.parametrize("space", [" ", "▁"])
def test_runs_of_spaces_as_user_defined_tokens(tmp_path: Path, space: str) -> None:
    """Gemma's files have them, some with plain spaces."""
    theirs = trained_pieces(
        tmp_path,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        user_defined_symbols=[*RUNS, "<tag>"],
    )
    found = metadata_from_sentencepiece(tmp_path / "spm.model", theirs.vocab_size())
    # As written by another program, without the keys that only this library writes.
    found = {
        key: value
        for key, value in found.items()
        if "whitespaces" not in key and not key.startswith("ggmlkit")
    }
    kinds = np.asarray(found["tokenizer.ggml.token_type"])
    found["tokenizer.ggml.tokens"] = [
        text.replace("▁", space) if kind == 4 else text
        for text, kind in zip(found["tokenizer.ggml.tokens"], kinds, strict=True)
    ]
    ours = Tokenizer.from_metadata({**found, "tokenizer.ggml.add_bos_token": False})
    texts = [
        "def f(x):\n    return x",
        "a  b",
        "hello   user",
        "  hello",
        "x" + " " * 11 + "y",
        "<tag>  hello",
    ]
    for text in [*texts, *mixed([*"ab\n", " ", "  ", "<tag>", "hello"], 300)]:
        assert ours.encode(text) == theirs.encode(text), text
        assert ours.decode(ours.encode(text)) == text


@pytest.mark.parametrize("rule", ["identity", "nmt_nfkc", "nmt_nfkc_cf"])
def test_user_symbols_that_a_normalizer_would_change(tmp_path: Path, rule: str) -> None:
    theirs = trained_pieces(
        tmp_path,
        normalization_rule_name=rule,
        user_defined_symbols=["<Tag>", "ＡＢ", "½", "Hello▁World"],
    )
    found = metadata_from_sentencepiece(tmp_path / "spm.model", theirs.vocab_size())
    ours = Tokenizer.from_metadata({**found, "tokenizer.ggml.add_bos_token": False})
    letters = [*"aAＡＢ½² ", "<Tag>", "<tag>", "ＡＢ", "Hello World", "hello world", "Hello▁World"]
    for text in mixed(letters, 500):
        assert ours.encode(text) == theirs.encode(text), text


@pytest.mark.parametrize("rule", ["identity", "nmt_nfkc"])
def test_spaces_by_sentencepieces_rules(tmp_path: Path, rule: str) -> None:
    for prefix, suffix, collapse in itertools.product([True, False], repeat=3):
        theirs = trained_pieces(
            tmp_path,
            normalization_rule_name=rule,
            add_dummy_prefix=prefix,
            treat_whitespace_as_suffix=suffix,
            remove_extra_whitespaces=collapse,
            user_defined_symbols=["<tag>", "½"],
        )
        found = metadata_from_sentencepiece(tmp_path / "spm.model", theirs.vocab_size())
        assert found[RULES] == SENTENCEPIECE
        ours = Tokenizer.from_metadata({**found, "tokenizer.ggml.add_bos_token": False})
        # As earlier versions of this library wrote it.
        del found[RULES]
        older = Tokenizer.from_metadata({**found, "tokenizer.ggml.add_bos_token": False})
        for text in mixed([*"ab▁½²\n", " ", "  ", "<tag>", "hello", "\u200b"], 150):
            ids = theirs.encode(text)
            assert ours.encode(text) == older.encode(text) == ids, repr(text)
            assert ours.decode(ids) == theirs.decode(ids), repr(text)


def test_unknown_and_special_tokens_are_shown_if_requested(tmp_path: Path, spaced: Any) -> None:
    del spaced["model"]["vocab"]["<0x0A>"]  # the later ids move down
    spaced["model"]["vocab"]["<0x0B>x"] = 13
    ours, theirs = both(
        tmp_path,
        {
            **spaced,
            "normalizer": PREPENDED,
            "pre_tokenizer": None,
            "decoder": {
                "type": "Sequence",
                "decoders": [
                    {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
                    {"type": "ByteFallback"},
                    {"type": "Fuse"},
                    {"type": "Strip", "content": " ", "start": 1, "stop": 0},
                ],
            },
        },
    )
    for text in ("<s>hello\n user</s>", "hello</s> user", "\n"):
        ids = ours.encode(text, add_special=False, parse_special=True)
        assert ids == theirs.encode(text, add_special_tokens=False).ids
        assert ours.decode(ids) == theirs.decode(ids)
        assert ours.decode(ids, special=True) == theirs.decode(ids, skip_special_tokens=False)
    assert ours.decode([0], special=True) == "<unk>"
    stream = ours.stream(special=True)
    assert "".join(map(stream.push, [1, 0, 2])) == "<s><unk></s>"
