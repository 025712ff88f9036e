"""What llama.cpp puts right in a vocabulary when it loads it, because files do not say it.

Files of early converters call control tokens normal, and no key tells which tokens take the spaces
beside them. llama.cpp goes by the tokens' texts and the model's name. Source of these facts:
src/llama-vocab.cpp of llama.cpp, ``llama_vocab::impl::load``.

A file that carries its tokenizer.json needs none of this: that has said it all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.model.end_tokens import (
    END_TEXTS,
    GAP_TEXTS,
    ends_and_exceptions,
    gap_id_by_text,
    told_gap_id,
)
from ggmlkit.model.piece_search import found_pieces
from ggmlkit.model.vocab_keys import CARRIED, TokenType

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from ggmlkit.model.vocab import Vocab

# Of gpt-oss: found in any text, and shown.
_ALWAYS_SHOWN = frozenset({"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"})
_LOOKED_FOR = END_TEXTS.union(_ALWAYS_SHOWN, *GAP_TEXTS.values())
_WITH_MASK = ("jina-v2-de", "jina-v2-es", "jina-v2-code")  # pre-tokenizers
_WITH_MASK_MODELS = ("nomic-bert-moe", "jina-bert-v3")  # architectures
_NOT_STRIPPING = frozenset({"<unk>", "<s>", "<|endoftext|>"})


@dataclass(frozen=True)
class StrippingIds:
    """Ids of the tokens that take the ASCII white space to their left, and to their right."""

    left: frozenset[int] = frozenset()
    right: frozenset[int] = frozenset()


def fixed_types(
    pieces: Sequence[str | bytes], types: ArrayLike, metadata: Mapping[str, Any]
) -> NDArray[np.int32]:
    """The types of tokens as llama.cpp has them once it has loaded the vocabulary.

    Args:
        pieces: text of every token.
        types: ``TokenType`` numbers as the file has them, or as they were guessed.
        metadata: the file's keys; of one that carries a tokenizer.json the types stay as they are.

    Returns int32 ``(tokens,)``. Raises ModelError for an end token that is no token.
    """
    found = np.array(types, np.int32)
    if CARRIED in metadata:
        return found
    ids = found_pieces(pieces, _LOOKED_FOR)
    looks = {ids[text] for text in END_TEXTS if text in ids}
    for key in GAP_TEXTS:
        gap = gap_id_by_text(key, ids)
        if gap is not None and told_gap_id(key, metadata, len(pieces)) is None:
            looks.add(gap)
    for number in looks:
        if found[number] != TokenType.UNKNOWN:  # not read in plain text either
            found[number] = TokenType.CONTROL
    for text in _ALWAYS_SHOWN & ids.keys():
        found[ids[text]] = TokenType.USER_DEFINED
    _, excepted = ends_and_exceptions(ids, pieces, metadata)
    for text, number in excepted.items():
        found[number] = TokenType.USER_DEFINED if text == "<|end|>" else TokenType.NORMAL
    return found


def stripping_by_model(vocab: Vocab, metadata: Mapping[str, Any]) -> StrippingIds:
    """The tokens that strip the text beside them in files that do not say it: llama.cpp's rules.

    Phi-3's special tokens take white space to their right, the masks of Jina's, Nomic's and
    ModernBERT's models that to their left. Only ASCII's six white space characters count. Empty for
    other models, and for a file that carries its tokenizer.json, which says it by itself
    (:class:`ggmlkit.model.added_tokens.Stripping`).
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
