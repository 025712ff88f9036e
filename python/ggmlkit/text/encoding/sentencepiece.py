"""SentencePiece's BPE with byte fallback, built from a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ggmlkit import _core
from ggmlkit.errors import ModelError
from ggmlkit.text.plain_pieces import byte_tokens
from ggmlkit.text.vocab import Vocab
from ggmlkit.text.vocab_keys import TokenType

# The order of merges of equal rank; see tokenizer_json.MERGE_ORDER.
_TIES = {
    None: _core.Ties.LEFTMOST,
    "short-left": _core.Ties.SHORT_LEFT,
    "long-left": _core.Ties.LONG_LEFT,
}


class SpmEncoder:
    """Text to ids for a ``"llama"`` vocabulary."""

    def __init__(
        self,
        vocab: Vocab,
        *,
        merges: Sequence[str | bytes] = (),
        merge_order: str | None = None,
        fuse_unknown: bool = True,
        defined_join: bool = False,
    ) -> None:
        """Build from a vocabulary.

        Args:
            vocab: the vocabulary; pieces are merged by their scores.
            merges: if there are any, pieces are merged by these instead.
            merge_order: the order of merges that form the same piece; None: the leftmost first.
            fuse_unknown: whether consecutive unknown characters become one unknown token.
            defined_join: whether user-defined tokens can result from merges.

        Raises ModelError if the merges and pieces do not agree.
        """
        if not isinstance(merge_order, str | None) or merge_order not in _TIES:
            raise ModelError(f"the merge order {str(merge_order)[:80]!r} is not known")
        types = vocab.types
        unknown = np.flatnonzero(types == TokenType.UNKNOWN)
        fallback = _core.Fallback(
            byte_tokens(vocab, TokenType.BYTE),
            int(unknown[0]) if unknown.size else -1,
            fuse_unknown,
        )
        try:
            self._encoder = (
                _core.Bpe(vocab.pieces, merges, False, fallback)
                if len(merges)
                else _core.SentencePieces(
                    vocab.pieces,
                    _joinable(vocab, defined_join),
                    _scores(vocab),
                    fallback,
                    _TIES[merge_order],
                )
            )
        except ValueError as error:
            raise ModelError(f"the vocabulary is not a valid SentencePiece BPE: {error}") from error

    def encode(self, words: list[str]) -> list[int]:
        """Ids of words, whose spaces are ``▁``; no special tokens are added."""
        return self._encoder.encode(words)


def _joinable(vocab: Vocab, defined: bool) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    kinds = [TokenType.NORMAL, *([TokenType.USER_DEFINED] if defined else [])]
    return np.isin(vocab.types, kinds).astype(np.uint8)


def _scores(vocab: Vocab) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    if vocab.scores is None:  # pieces are ranked by id
        return -np.arange(len(vocab.pieces), dtype=np.float32)
    return np.asarray(vocab.scores, np.float32)
