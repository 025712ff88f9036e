"""Llama 3's tokenizer.model, a tiktoken file, in gguf keys.

Each line is a token's bytes in base64 and its rank. tiktoken joins neighbours whose bytes together
are a token, always those first that make the token of the lowest rank.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

from ggmlkit.conversion.vocabulary.byte_level import byte_level_keys
from ggmlkit.conversion.vocabulary.sentencepiece_model import CONTROL
from ggmlkit.conversion.vocabulary.special_tokens import special_keys
from ggmlkit.conversion.vocabulary.token_table import TokenTable
from ggmlkit.errors import ConversionError, FormatError
from ggmlkit.text.byte_letters import spelled

_LONGEST_TOKEN = 1000  # bytes; Llama 3's longest has 128
# The special tokens' ids follow the ranked tokens. These are Llama 3.1's names; Llama 3 uses fewer
# of them. A token without a name here is "<|reserved_special_token_N|>".
_NAMED = {
    0: "<|begin_of_text|>",
    1: "<|end_of_text|>",
    4: "<|finetune_right_pad_id|>",
    6: "<|start_header_id|>",
    7: "<|end_header_id|>",
    8: "<|eom_id|>",
    9: "<|eot_id|>",
    10: "<|python_tag|>",
}
_SPECIAL_TOKENS = 256


def metadata_from_tiktoken(path: Path, n_vocab: int) -> dict[str, Any]:
    """The ``tokenizer.*`` keys of a tiktoken file, its special tokens being Llama 3's.

    Raises FormatError if damaged, ConversionError if its tokens and the 256 special ones are more
    than the model's ``n_vocab``.
    """
    ranks = _ranks(path)
    if len(ranks) + _SPECIAL_TOKENS > n_vocab:
        raise ConversionError(
            f"{path} has {len(ranks)} tokens, with Llama 3's special ones "
            f"{len(ranks) + _SPECIAL_TOKENS}, but the model has {n_vocab}"
        )
    table = TokenTable(path, n_vocab)
    for token, rank in ranks.items():
        table.put(spelled(token), rank)
    for number, name in enumerate(_special_tokens()):
        table.put(name, len(ranks) + number, CONTROL)
    keys = byte_level_keys(table, path, _merges(ranks), "llama-bpe")
    keys["tokenizer.ggml.add_bos_token"] = True
    for name, text in (("bos", _NAMED[0]), ("eos", _NAMED[1]), ("eot", _NAMED[9])):
        keys[f"tokenizer.ggml.{name}_token_id"] = table.texts.index(text)
    return {**keys, **special_keys(path.parent, table.texts)}


def _special_tokens() -> list[str]:
    reserved = count()
    return [
        _NAMED.get(number) or f"<|reserved_special_token_{next(reserved)}|>"
        for number in range(_SPECIAL_TOKENS)
    ]


def _ranks(path: Path) -> dict[bytes, int]:
    """Rank by token; the ranks must be 0, 1, 2, …"""
    found: dict[bytes, int] = {}
    for number, line in enumerate(path.read_bytes().splitlines()):
        if not line.strip():
            continue
        try:
            text, rank = line.split()
            token = base64.b64decode(text, validate=True)
            known = int(rank)
        except (ValueError, binascii.Error):
            raise FormatError(
                path, None, f"line {number + 1} is not a token and its rank"
            ) from None
        if not 0 < len(token) <= _LONGEST_TOKEN or known != len(found) or token in found:
            raise FormatError(
                path, None, f"line {number + 1} is not the token of rank {len(found)}"
            )
        found[token] = known
    if not found:
        raise FormatError(path, None, "there are no tokens in the file")
    return found


def _merges(ranks: Mapping[bytes, int]) -> list[str]:
    """Every way to join two tokens into another, in the order of the resulting tokens."""
    merges = []
    for token in ranks:
        cuts = (
            (token[:cut], token[cut:])
            for cut in range(1, len(token))
            if token[:cut] in ranks and token[cut:] in ranks
        )
        for left, right in sorted(cuts, key=lambda pair: (ranks[pair[0]], ranks[pair[1]])):
            merges.append(f"{spelled(left)} {spelled(right)}")
    return merges
