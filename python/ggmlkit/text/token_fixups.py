"""What llama.cpp corrects in a vocabulary when it loads it, because files do not say it.

Files of early converters call control tokens normal, and no key tells which tokens take the spaces
beside them. llama.cpp goes by the tokens' texts and the model's name. Source of these facts:
src/llama-vocab.cpp of llama.cpp, ``llama_vocab::impl::load``.

A file that carries its tokenizer.json needs none of this: tokenizer.json already says it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.text.end_tokens import (
    END_TEXTS,
    GAP_TEXTS,
    ends_and_exceptions,
    gap_id_by_text,
    told_gap_id,
)
from ggmlkit.text.piece_search import found_pieces
from ggmlkit.text.vocab_keys import CARRIED, TokenType

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


# Of gpt-oss: found in any text, and shown.
_ALWAYS_SHOWN = frozenset({"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"})
_LOOKED_FOR = END_TEXTS.union(_ALWAYS_SHOWN, *GAP_TEXTS.values())


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
