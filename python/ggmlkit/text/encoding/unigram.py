"""SentencePiece's Unigram: a text becomes the pieces with the highest sum of scores.

Three programs implement it; they differ in the pieces that they search for, and in their scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit import _core
from ggmlkit.errors import ModelError
from ggmlkit.text.id_rules import Rules
from ggmlkit.text.plain_pieces import byte_tokens
from ggmlkit.text.special_ids import special_id
from ggmlkit.text.vocab import Vocab
from ggmlkit.text.vocab_keys import SCORES, TokenType

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UNKNOWN_PENALTY = 10.0  # an unknown character's score is this much below the worst piece's
# Types of the pieces that each program searches for.
_SEARCHED_TYPES = {
    Rules.LLAMA_CPP: (TokenType.NORMAL, TokenType.USER_DEFINED, TokenType.UNUSED),
    Rules.SENTENCEPIECE: (TokenType.NORMAL, TokenType.USER_DEFINED),
    Rules.TOKENIZERS: (TokenType.NORMAL, TokenType.BYTE),  # also names of bytes
}


class UnigramEncoder:
    """Text to ids for a ``"t5"`` vocabulary."""

    def __init__(
        self,
        vocab: Vocab,
        metadata: Mapping[str, Any],
        rules: Rules,
        *,
        spells_bytes: bool = True,
    ) -> None:
        """Build from a vocabulary; ModelError if its keys don't define a Unigram.

        ``spells_bytes``: whether unknown characters become byte tokens, if the vocabulary has all
        256.
        """
        exact, unknown = rules is Rules.SENTENCEPIECE, special_id(vocab, metadata, "unknown")
        types, scores = vocab.types, scores_of(vocab, metadata)
        lowest = float(scores[types == TokenType.NORMAL].min(initial=np.inf))
        unknown_score = (lowest if np.isfinite(lowest) else 0.0) - _UNKNOWN_PENALTY
        # User-defined tokens have no score of their own; a high one makes them preferred.
        scores[types == TokenType.USER_DEFINED] = np.float32(-0.1) if exact else 0.0
        try:
            self._unigram = _core.Unigram(
                vocab.pieces,
                np.flatnonzero(np.isin(types, _SEARCHED_TYPES[rules])).astype(np.int32),
                scores,
                unknown_score=float(np.float32(unknown_score)) if exact else unknown_score,
                unknown=-1 if unknown is None else unknown,
                byte_tokens=all_bytes(vocab) if spells_bytes else [],
                single_precision=exact,
            )
        except ValueError as error:
            raise ModelError(f"the vocabulary is not a valid Unigram: {error}") from error

    def encode(self, words: list[str]) -> list[int]:
        """Ids of words, whose spaces are ``▁``; no special tokens are added.

        Raises ModelError for a character without a piece, if there is no unknown token.
        """
        try:
            return self._unigram.encode(words)
        except ValueError as error:
            raise ModelError(f"the text can't be encoded: {error}") from error


def all_bytes(vocab: Vocab) -> list[int]:
    """The token of each byte; empty unless the vocabulary has all of them."""
    tokens = dict(byte_tokens(vocab, TokenType.BYTE))
    return [tokens[byte] for byte in range(256)] if len(tokens) == 256 else []


def scores_of(vocab: Vocab, metadata: Mapping[str, Any]) -> NDArray[np.float64]:
    """The score of every token, float64 ``(tokens,)``; ModelError unless all are numbers."""
    if vocab.scores is None:
        raise ModelError("tokenizer.ggml.scores is missing; a Unigram needs it")
    scores = np.array(vocab.scores, np.float64)
    more_digits = np.asarray(metadata.get(SCORES, ()))
    if (
        more_digits.dtype == np.float64
        and more_digits.ndim == 1
        and len(more_digits) <= len(scores)
    ):
        scores[: len(more_digits)] = more_digits
    wrong = np.flatnonzero(~np.isfinite(scores))
    if wrong.size:
        token = int(wrong[0])
        raise ModelError(f"tokenizer.ggml.scores[{token}] is {scores[token]}, not a finite number")
    return scores
