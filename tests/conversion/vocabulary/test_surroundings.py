"""Post-processors in gguf's keys: ids around a text equal transformers'."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.arch.hparams import ConversionWarning
from ggmlkit.conversion.vocabulary import metadata_from_tokenizer_json, to_tokenizer_json
from ggmlkit.conversion.vocabulary.surroundings import surrounding_keys
from ggmlkit.errors import ConversionError
from ggmlkit.text.tokenizer import Tokenizer
from ggmlkit.text.vocab_keys import CARRIED

SPECIAL = ["<|bos|>", "<|eos|>", "<|cls|>", "<|sep|>"]
IDS = {name: 256 + number for number, name in enumerate(SPECIAL)}


def template(text: str) -> dict[str, Any]:
    """``"<|bos|> $A"`` as a tokenizer.json has it."""
    parts = [
        {"Sequence": {"id": "A", "type_id": 0}}
        if part == "$A"
        else {"SpecialToken": {"id": part, "type_id": 0}}
        for part in text.split()
    ]
    special = {name: {"id": name, "ids": [IDS[name]], "tokens": [name]} for name in SPECIAL}
    second = [{"Sequence": {"id": "B", "type_id": 1}}]
    return {
        "type": "TemplateProcessing",
        "single": parts,
        "pair": [*parts, *second],
        "special_tokens": special,
    }


LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
ROBERTA = {
    "type": "RobertaProcessing",
    "sep": ["<|eos|>", 257],
    "cls": ["<|bos|>", 256],
    "trim_offsets": True,
    "add_prefix_space": False,
}
BERT = {"type": "BertProcessing", "sep": ["<|sep|>", 259], "cls": ["<|cls|>", 258]}
POST: dict[str, dict[str, Any] | None] = {
    "none": None,
    "bytes": LEVEL,
    "first": template("<|bos|> $A"),
    "both": template("<|bos|> $A <|eos|>"),
    "last": template("$A <|eos|>"),
    "two first": template("<|bos|> <|cls|> $A"),
    "two last": template("$A <|sep|> <|eos|>"),
    "others": template("<|cls|> $A <|sep|>"),
    "roberta": ROBERTA,
    "bert": BERT,
    "llama 3": {"type": "Sequence", "processors": [LEVEL, template("<|bos|> $A")]},
    "nested": {"type": "Sequence", "processors": [ROBERTA, LEVEL, template("<|cls|> $A")]},
}
NAMED = {"bos_token": "<|bos|>", "eos_token": "<|eos|>"}


def write(folder: Path, post_processor: dict[str, Any] | None, **config: object) -> int:
    """Write a byte-level tokenizer with these settings; returns the number of tokens."""
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = tokenizers.Tokenizer(models.BPE({text: n for n, text in enumerate(letters)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    made.add_special_tokens(SPECIAL)
    value = json.loads(made.to_str()) | {"post_processor": post_processor}
    (folder / "tokenizer.json").write_text(json.dumps(value))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **NAMED, **config}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return int(made.get_vocab_size())


def read(folder: Path, size: int) -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConversionWarning)
        return metadata_from_tokenizer_json(folder / "tokenizer.json", size)


@pytest.mark.parametrize("name", POST)
@pytest.mark.parametrize(
    "flags",
    [{}, {"add_bos_token": True, "add_eos_token": True}, {"add_bos_token": False}],
    ids=["silent", "both", "not the first"],
)
def test_ids_are_those_of_transformers_whatever_the_flags(
    tmp_path: Path, name: str, flags: dict[str, bool]
) -> None:
    import transformers

    found = read(tmp_path, write(tmp_path, POST[name], **flags))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    ours = Tokenizer.from_metadata(found)
    for text in ("ab", "", "a<|eos|>"):
        assert ours.encode(text, parse_special=True) == theirs(text)["input_ids"]
    assert (ours.bos_id, ours.eos_id) == (256, 257)
    assert to_tokenizer_json(found)["post_processor"] == POST[name]


@pytest.mark.parametrize("name", ["none", "first", "both", "last", "roberta"])
def test_other_programs_add_the_same_if_gguf_can_express_it(tmp_path: Path, name: str) -> None:
    size = write(tmp_path, POST[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = metadata_from_tokenizer_json(tmp_path / "tokenizer.json", size)
    bare = {key: value for key, value in found.items() if key != CARRIED}
    assert Tokenizer.from_metadata(bare).encode("ab") == Tokenizer.from_metadata(found).encode("ab")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "two first",
            r"into '<\|bos\|> <\|cls\|> \$A', .* other than ggmlkit turn it into '<\|bos\|> \$A'$",
        ),
        (
            "two last",
            r"into '\$A <\|sep\|> <\|eos\|>', .* other than ggmlkit turn it into '\$A <\|eos\|>'$",
        ),
        ("others", r"into '<\|cls\|> \$A <\|sep\|>', .* other than ggmlkit turn it into '\$A'$"),
    ],
)
def test_a_warning_says_what_gguf_cannot_express(tmp_path: Path, name: str, message: str) -> None:
    size = write(tmp_path, POST[name])
    with pytest.warns(ConversionWarning, match=message):
        metadata_from_tokenizer_json(tmp_path / "tokenizer.json", size)


def test_a_flag_that_the_post_processor_overrides_gives_a_warning(tmp_path: Path) -> None:
    size = write(tmp_path, POST["none"], add_bos_token=True)
    with pytest.warns(ConversionWarning, match="says that add_bos_token is True, but the post"):
        metadata_from_tokenizer_json(tmp_path / "tokenizer.json", size)


def test_tokens_without_a_name_get_one(tmp_path: Path) -> None:
    size = write(tmp_path, POST["bert"], bos_token=None, eos_token=None)
    found = Tokenizer.from_metadata(read(tmp_path, size))
    assert (found.bos_id, found.eos_id) == (258, 259)


def keys(post_processor: object, *tokens: str) -> dict[str, Any]:
    path = Path("tokenizer.json")
    return surrounding_keys(path, {"post_processor": post_processor}, tokens, {})


def test_tokens_beyond_the_model_are_left_out_with_a_warning() -> None:
    with pytest.warns(ConversionWarning, match=r"adds the tokens \[258, 259\], beyond the 2 emb"):
        assert keys(BERT, "a", "b") == {"tokenizer.ggml.add_bos_token": False}


@pytest.mark.parametrize(
    "post_processor",
    [{"type": "Martian"}, template("$A $A"), template("<|bos|>"), 5, {"type": ["Sequence"]}],
)
def test_a_post_processor_that_does_something_else_is_refused(post_processor: object) -> None:
    with pytest.raises(ConversionError, match=r"json: the post-processor \(.*\) is not supported"):
        keys(post_processor, "a")
