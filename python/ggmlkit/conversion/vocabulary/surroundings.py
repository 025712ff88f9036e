"""The tokens that a tokenizer.json's post-processor puts around a text, in gguf's keys."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ggmlkit.arch.hparams import ConversionWarning
from ggmlkit.errors import ConversionError
from ggmlkit.text.joining.post_processor import tokens_around
from ggmlkit.text.tokenizer_steps import flat_steps, step_types

_MODEL = "tokenizer.ggml.model"


def surrounding_keys(
    path: Path,
    tokenizer: Mapping[str, Any],
    tokens: Sequence[str],
    keys: Mapping[str, Any],
    *,
    carried: bool = True,
) -> dict[str, Any]:
    """Keys for the bos and eos tokens: their ids, and whether they are added to texts.

    Args:
        path: the tokenizer.json, for messages.
        tokenizer: its content.
        tokens: the model's tokens by id.
        keys: those known from other files. Their bos and eos ids stay, but add_bos_token and
            add_eos_token do not count beside a tokenizer.json, as in transformers 5.
        carried: whether the file will carry the tokenizer.json, from which ggmlkit adds them all.

    Warns of what gguf's keys cannot say. Raises ConversionError for a post-processor that does
    anything other than put tokens around a text.
    """
    around = tokens_around(tokenizer.get("post_processor"))
    if around is None:
        steps = step_types(flat_steps(tokenizer.get("post_processor")))
        raise ConversionError(
            f"{path}: the post-processor ({steps}) is not supported; ggmlkit can only put tokens "
            "before and after a text"
        )
    _warn_of_missing(path, around, len(tokens))
    before, after = ([n for n in ids if n < len(tokens)] for ids in around)
    found: dict[str, Any] = {}
    for name, ids, default in (("bos", before, before[:1]), ("eos", after, after[-1:])):
        number = keys.get(f"tokenizer.ggml.{name}_token_id")
        if number is None and default:
            number = found[f"tokenizer.ggml.{name}_token_id"] = default[0]
        flag = f"tokenizer.ggml.add_{name}_token"
        # By default only T5's vocabularies add eos.
        if name == "bos" or number in ids or flag in keys or keys.get(_MODEL) == "t5":
            found[flag] = number in ids
        _warn_of_flag(path, f"add_{name}_token", keys, found)
    by_keys = (
        [n for n in before if n == _number(keys, found, "bos")][:1],
        [n for n in after if n == _number(keys, found, "eos")][:1],
    )
    if by_keys != (before, after):
        who = "programs other than ggmlkit turn" if carried else "programs that read the file turn"
        _warn(
            f"{path}: the post-processor turns a text into {_shown(tokens, before, after)}, but "
            f"gguf has keys only for the bos and the eos token, so {who} it into "
            f"{_shown(tokens, *by_keys)}"
        )
    return found


def _warn_of_missing(path: Path, around: Sequence[Sequence[int]], size: int) -> None:
    missing = sorted({number for ids in around for number in ids if number >= size})
    if missing:
        _warn(
            f"{path}: the post-processor adds the tokens {missing[:10]}, beyond the {size} "
            "embeddings of the model; they are left out"
        )


def _number(keys: Mapping[str, Any], found: Mapping[str, Any], name: str) -> int | None:
    key = f"tokenizer.ggml.{name}_token_id"
    number = found.get(key, keys.get(key))
    return number if isinstance(number, int) else None


def _shown(tokens: Sequence[str], before: Sequence[int], after: Sequence[int]) -> str:
    """The tokens as in a template, with ``$A`` for the text."""
    first, last = ([tokens[number] for number in ids[:10]] for ids in (before, after))
    return repr(" ".join([*first, "$A", *last]))


def _warn_of_flag(path: Path, flag: str, keys: Mapping[str, Any], found: Mapping[str, Any]) -> None:
    value = keys.get(f"tokenizer.ggml.{flag}")
    if isinstance(value, bool) and value != found[f"tokenizer.ggml.{flag}"]:
        _warn(
            f"{path}: tokenizer_config.json says that {flag} is {value}, but the post-processor "
            "does otherwise and has precedence, as in transformers 5; edit "
            f"tokenizer.ggml.{flag} of the file to change that"
        )


def _warn(message: str) -> None:
    warnings.warn(message, ConversionWarning, stacklevel=3)
