"""Byte-level BPE in gguf keys, wherever its tokens and merges come from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ggmlkit.conversion.vocabulary.token_table import TokenTable
from ggmlkit.errors import FormatError


def byte_level_keys(
    table: TokenTable, path: Path, merges: Sequence[str], pre: str
) -> dict[str, Any]:
    """The keys of a ``gpt2`` vocabulary.

    Args:
        table: all tokens, with bytes written as GPT-2's letters.
        path: the file of the merges, for errors.
        merges: ``"left right"``, in the order in which they apply.
        pre: gguf's name of the pre-tokenizer, which cuts text into words.

    Raises FormatError for a merge whose parts or result are not tokens.
    """
    known = set(table.texts)
    for number, merge in enumerate(merges):
        parts = merge.split(" ")
        if len(parts) != 2 or not known.issuperset((*parts, "".join(parts))):
            shown = repr(merge[:80])
            raise FormatError(path, None, f"merge {number}, {shown}, does not join two tokens")
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": table.texts,
        "tokenizer.ggml.token_type": table.kinds,
        "tokenizer.ggml.merges": list(merges),
        "tokenizer.ggml.add_space_prefix": False,
    }
