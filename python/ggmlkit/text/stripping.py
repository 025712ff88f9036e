"""Tokens that include the white space beside them, by llama.cpp's rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ggmlkit.text.piece_search import found_pieces
from ggmlkit.text.vocab import Vocab
from ggmlkit.text.vocab_keys import CARRIED, TokenType

_WITH_MASK = ("jina-v2-de", "jina-v2-es", "jina-v2-code")  # pre-tokenizers
_WITH_MASK_MODELS = ("nomic-bert-moe", "jina-bert-v3")  # architectures
_NOT_STRIPPING = frozenset({"<unk>", "<s>", "<|endoftext|>"})


@dataclass(frozen=True)
class StrippingIds:
    """Ids of the tokens that include the ASCII white space to their left, and to their right."""

    left: frozenset[int] = frozenset()
    right: frozenset[int] = frozenset()


def stripping_by_model(vocab: Vocab, metadata: Mapping[str, Any]) -> StrippingIds:
    """The tokens that include the white space beside them, by llama.cpp's rules.

    Phi-3's special tokens include the white space to their right; the mask tokens of Jina's,
    Nomic's and ModernBERT's models that to their left. Only ASCII's six white space characters
    count. Empty for other models, and for a file that carries its tokenizer.json, which has flags
    for this (:class:`ggmlkit.text.added_tokens.AddedToken`).
    """
    if CARRIED in metadata:
        return StrippingIds()
    name = _text(metadata, "general.name").lower()
    pre, architecture = vocab.pre, _text(metadata, "general.architecture")
    if any(part in pre for part in _WITH_MASK) or any(
        part in architecture for part in _WITH_MASK_MODELS
    ):
        return StrippingIds(left=frozenset(found_pieces(vocab.pieces, {"<mask>"}).values()))
    if "phi-3" in name or "phi3" in name:
        special = vocab.of_type(TokenType.CONTROL, TokenType.USER_DEFINED, TokenType.UNKNOWN)
        right = {number for text, number in special.items() if text not in _NOT_STRIPPING}
        return StrippingIds(right=frozenset(right))
    if "modern-bert" in name:
        return StrippingIds(left=frozenset(found_pieces(vocab.pieces, {"[MASK]"}).values()))
    return StrippingIds()


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    return value if isinstance(value, str) else ""
