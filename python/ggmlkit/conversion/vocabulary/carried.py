"""What a tokenizer.json says besides its vocabulary, carried through a model file for the way back.

gguf has no keys for how added tokens strip spaces, or for the exact steps of a normalizer. All of
a tokenizer.json but the vocabulary and the merges, which the file has anyway, is a few kilobytes of
text; export puts it together again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ggmlkit.conversion.json_file import read_json
from ggmlkit.conversion.vocabulary.steps import surrounding_tokens
from ggmlkit.errors import FormatError
from ggmlkit.model.added_tokens import CARRIED
from ggmlkit.model.carried_steps import with_charsmap
from ggmlkit.model.vocab import charsmap, flag, token_id

_LEFT_OUT = ("vocab", "merges")
_KINDS = ("BPE", "Unigram", "WordPiece")


def carried_from_folder(folder: Path, tokens: Sequence[str]) -> dict[str, str]:
    """What is carried of the tokenizer.json in the folder; nothing if there is none that fits."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return {}
    try:
        tokenizer = read_json(path)
    except FormatError:
        return {}  # the vocabulary comes from another file
    return carried(tokenizer, tokens) if _is_known(tokenizer) else {}


def carried(tokenizer: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, str]:
    """The key to carry a tokenizer.json in; nothing if its added tokens are not the model's."""
    if not _added_tokens_fit(tokenizer, tokens):
        return {}
    model = {key: value for key, value in tokenizer["model"].items() if key not in _LEFT_OUT}
    normalizer = tokenizer.get("normalizer")
    try:
        if model.get("type") == "Unigram":  # gguf has a key for the compiled part
            normalizer = with_charsmap(normalizer, b"")
        kept = {**tokenizer, "normalizer": normalizer, "model": model}
        return {CARRIED: json.dumps(kept, separators=(",", ":"))}
    except RecursionError:
        return {}


def carried_tokenizer(metadata: Mapping[str, Any], tokens: Sequence[str]) -> dict[str, Any] | None:
    """The tokenizer.json that the metadata carries, its model's vocabulary missing.

    None if there is none, or if other keys were changed since so that it no longer fits them.
    Raises ModelError for special tokens that are none.
    """
    try:
        tokenizer = json.loads(metadata.get(CARRIED, ""))
    except (ValueError, TypeError, RecursionError):
        return None
    if not isinstance(tokenizer, dict) or not _is_known(tokenizer):
        return None
    if not _added_tokens_fit(tokenizer, tokens):
        return None
    tokenizer["normalizer"] = with_charsmap(tokenizer.get("normalizer"), charsmap(metadata))
    return tokenizer if _surrounds_as_told(tokenizer, metadata, tokens) else None


def _is_known(tokenizer: Mapping[str, Any]) -> bool:
    model = tokenizer.get("model")
    return isinstance(model, dict) and model.get("type", "BPE") in _KINDS


def _added_tokens_fit(tokenizer: Mapping[str, Any], tokens: Sequence[str]) -> bool:
    added = tokenizer.get("added_tokens") or []
    if not isinstance(added, list):
        return False
    for entry in added:
        number = entry.get("id") if isinstance(entry, dict) else None
        if type(number) is not int or not 0 <= number < len(tokens):
            return False
        text = entry.get("content")
        # A SentencePiece vocabulary has ▁ for the spaces of a token.
        if not isinstance(text, str) or tokens[number] not in (text, text.replace(" ", "▁")):
            return False
    return True


def _surrounds_as_told(
    tokenizer: Mapping[str, Any], metadata: Mapping[str, Any], tokens: Sequence[str]
) -> bool:
    """Whether its post-processor adds the tokens that the metadata says are added."""
    for name, text in zip(("bos", "eos"), surrounding_tokens(tokenizer), strict=True):
        added = flag(metadata, f"add_{name}_token", False)
        number = token_id(metadata, name, len(tokens)) if added else None
        if text != (None if number is None else tokens[number]):
            return False
    return True
