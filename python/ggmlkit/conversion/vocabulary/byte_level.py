"""Byte-level BPE in gguf keys, wherever its tokens and merges come from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ggmlkit.conversion.vocabulary.token_table import TokenTable


def byte_level_keys(table: TokenTable, merges: Sequence[str], pre: str) -> dict[str, Any]:
    """The keys of a ``gpt2`` vocabulary.

    Args:
        table: all tokens, in GPT-2's letters.
        merges: ``"left right"``, the first to be made first.
        pre: gguf's name of the family that cuts text into words.
    """
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": table.texts,
        "tokenizer.ggml.token_type": table.kinds,
        "tokenizer.ggml.merges": list(merges),
        "tokenizer.ggml.add_space_prefix": False,
    }
