"""Reads single ``tokenizer.ggml.*`` keys; defines the types of tokens."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

import numpy as np

from ggmlkit.errors import ModelError

PREFIX = "tokenizer.ggml."
# The key of a tokenizer.json's text without vocabulary and merges: see tokenizer_json.py.
CARRIED = "ggmlkit.tokenizer_json"
# The key of the program whose tokenization is reproduced, and its value for a tokenizer.model.
RULES = "ggmlkit.tokenizer_rules"
SENTENCEPIECE = "sentencepiece"
# The key of a tokenizer.json's scores, which have more digits than gguf's.
SCORES = "ggmlkit.tokenizer_scores"
# Kinds of vocabularies: gguf's names, and the tokenizers library's.
MODELS: Mapping[str, str] = {
    "llama": "BPE",
    "gpt2": "BPE",
    "t5": "Unigram",
    "bert": "WordPiece",
}


class TokenType(IntEnum):
    """The type of a token; gguf and SentencePiece use the same numbers."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


def token_id(metadata: Mapping[str, Any], name: str, size: int) -> int | None:
    """``tokenizer.ggml.NAME_token_id``; None if absent; ModelError if it names no token."""
    value = metadata.get(f"{PREFIX}{name}_token_id")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ModelError(f"tokenizer.ggml.{name}_token_id is {str(value)[:80]!r}, not a number")
    number = int(value)
    # Old converters wrote -1, or the same bits as an unsigned number, for "none".
    if number in (-1, 0xFFFFFFFF):
        return None
    if not 0 <= number < size:
        raise ModelError(f"tokenizer.ggml.{name}_token_id {number} is outside {size} tokens")
    return number


def flag(metadata: Mapping[str, Any], name: str, usual: bool) -> bool:
    """The boolean ``tokenizer.ggml.NAME``; ModelError if it is not one."""
    value = metadata.get(PREFIX + name, usual)
    if not isinstance(value, (bool, int, np.bool_)):
        raise ModelError(f"{PREFIX}{name} is {str(value)[:80]!r}, neither true nor false")
    return bool(value)
