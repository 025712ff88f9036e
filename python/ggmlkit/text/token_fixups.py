"""The corrections of token types that llama.cpp makes when it loads a vocabulary.

Early converters wrote the type "normal" for control tokens. llama.cpp corrects the types by the
tokens' texts. Source of these facts: src/llama-vocab.cpp of llama.cpp,
``llama_vocab::impl::load``.

A file that carries its tokenizer.json needs no correction, because that has the types.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.text.end_tokens import (
    END_TEXTS,
    FIM_TEXTS,
    ends_and_exceptions,
    fim_id_by_key,
    fim_id_by_text,
)
from ggmlkit.text.piece_search import found_pieces
from ggmlkit.text.vocab_keys import CARRIED, TokenType

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


# gpt-oss's tokens that are found in any text and shown.
_ALWAYS_SHOWN = frozenset({"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"})
_SEARCHED = END_TEXTS.union(_ALWAYS_SHOWN, *FIM_TEXTS.values())


def fixed_types(
    pieces: Sequence[str | bytes], types: ArrayLike, metadata: Mapping[str, Any]
) -> NDArray[np.int32]:
    """The types of tokens after llama.cpp's corrections.

    Args:
        pieces: text of every token.
        types: ``TokenType`` numbers from the file, or guessed ones.
        metadata: the file's keys; if the file carries a tokenizer.json, the types stay unchanged.

    Returns int32 ``(tokens,)``. Raises ModelError if an end token's id is outside the vocabulary.
    """
    fixed = np.array(types, np.int32)
    if CARRIED in metadata:
        return fixed
    ids = found_pieces(pieces, _SEARCHED)
    control = {ids[text] for text in END_TEXTS if text in ids}
    for key in FIM_TEXTS:
        fim = fim_id_by_text(key, ids)
        if fim is not None and fim_id_by_key(key, metadata, len(pieces)) is None:
            control.add(fim)
    for number in control:
        if fixed[number] != TokenType.UNKNOWN:  # unknown tokens are not found in plain text either
            fixed[number] = TokenType.CONTROL
    for text in _ALWAYS_SHOWN & ids.keys():
        fixed[ids[text]] = TokenType.USER_DEFINED
    _, excepted = ends_and_exceptions(ids, pieces, metadata)
    for text, number in excepted.items():
        fixed[number] = TokenType.USER_DEFINED if text == "<|end|>" else TokenType.NORMAL
    return fixed
