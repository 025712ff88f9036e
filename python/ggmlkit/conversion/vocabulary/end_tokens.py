"""The end tokens of generation_config.json and config.json, turned into gguf keys and back."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ggmlkit.arch.hparams import ConversionWarning
from ggmlkit.conversion.json_file import object_if_there
from ggmlkit.errors import ConversionError, ModelError
from ggmlkit.text.end_tokens import END_IDS, END_TEXTS, listed_ends
from ggmlkit.text.vocab_keys import token_id

_EOS = "tokenizer.ggml.eos_token_id"
_FILES = ("generation_config.json", "config.json")  # the first that names end tokens counts


def end_keys(folder: Path, tokens: Sequence[str], eos: int | None) -> dict[str, Any]:
    """gguf's keys for the end tokens that the folder's files name.

    Args:
        folder: of the checkpoint.
        tokens: the model's tokens by id.
        eos: the end token that the tokenizer's own files name, or None.

    gguf has keys for three: the end of a text, of a turn, and of a message that a tool answers. If
    there are more, or others than ``eos``, ``tokenizer.ggml.eos_token_ids`` has them all. Ids that
    are not tokens of the model are left out with a warning.
    """
    ends = _end_ids(folder, len(tokens))
    found: dict[str, Any] = {}
    if eos is None and ends:
        eos = found[_EOS] = ends[0]
    more = [number for number in ends if number != eos]
    for number in more:
        key = "eom" if "eom" in tokens[number] or _key("eot") in found else "eot"
        found.setdefault(_key(key), number)
    if ends and ends != [eos]:
        found[END_IDS] = ends
    hidden = [n for n in more if n not in found.values() and tokens[n] not in END_TEXTS]
    if hidden:
        texts = ", ".join(repr(tokens[number]) for number in hidden[:10])
        warnings.warn(
            f"{folder}: gguf has keys for three end tokens only; {texts} are in {END_IDS}, which "
            "ggmlkit reads but llama.cpp does not",
            ConversionWarning,
            stacklevel=2,
        )
    return found


def hf_end_ids(metadata: Mapping[str, Any]) -> int | list[int] | None:
    """``eos_token_id`` of a generation_config.json: one id, a list, or None where there is none.

    Raises ConversionError for ids that are not tokens.
    """
    size = len(metadata.get("tokenizer.ggml.tokens", ()))
    try:
        single = [token_id(metadata, name, size) for name in ("eos", "eot", "eom")]
        ends = listed_ends(metadata, size)
    except ModelError as error:
        raise ConversionError(str(error)) from None
    ends = ends or list(dict.fromkeys(number for number in single if number is not None))
    if not ends:
        return None
    return ends if len(ends) > 1 else ends[0]


def _key(name: str) -> str:
    return f"tokenizer.ggml.{name}_token_id"


def _end_ids(folder: Path, size: int) -> list[int]:
    """The end tokens of generation_config.json or, if it has none, of config.json; each once."""
    for name in _FILES:
        value = object_if_there(folder / name).get("eos_token_id")
        values = value if isinstance(value, list) else [value]
        ends = [_end(folder / name, each, size) for each in values]
        valid = list(dict.fromkeys(number for number in ends if number is not None))
        if valid:
            return valid
    return []


def _end(path: Path, value: object, size: int) -> int | None:
    """An id, which some files write as a float; None, with a warning, for anything else."""
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    if number is None or number == -1:
        return None  # both mean that there is no end token
    if type(number) is int and 0 <= number < size:
        return number
    warnings.warn(
        f"{path}: the end token {str(value)[:80]} is not one of the model's {size} tokens and is "
        "left out",
        ConversionWarning,
        stacklevel=2,
    )
    return None
