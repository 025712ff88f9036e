"""SentencePiece's BPE with byte fallback, built from a vocabulary alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ggmlkit import _core
from ggmlkit.errors import ModelError
from ggmlkit.text.plain_pieces import byte_tokens
from ggmlkit.text.vocab import Vocab
from ggmlkit.text.vocab_keys import TokenType

# How merges of one rank are ordered; see tokenizer_json.MERGE_ORDER.
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
            vocab: its pieces are joined by their scores.
            merges: if there are any, pieces are joined by these.
            merge_order: which of the merges that make one piece comes first; None: the leftmost.
            fuse_unknown: one unknown token for any number of unknown characters in a row.
            defined_join: whether user-defined tokens are pieces that others are joined to.

        Raises ModelError for a vocabulary whose merges and pieces do not agree.
        """
        if not isinstance(merge_order, str | None) or merge_order not in _TIES:
            raise ModelError(f"the order of merges, {str(merge_order)[:80]!r}, is not known")
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
            raise ModelError(f"the vocabulary makes no SentencePiece BPE: {error}") from error

    def encode(self, words: list[str]) -> list[int]:
        """Ids of words, whose spaces are ``▁``; nothing is added."""
        return self._encoder.encode(words)


def _joinable(vocab: Vocab, defined: bool) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    kinds = [TokenType.NORMAL, *([TokenType.USER_DEFINED] if defined else [])]
    return np.isin(vocab.types, kinds).astype(np.uint8)


def _scores(vocab: Vocab) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    if vocab.scores is None:  # the ids rank the pieces
        return -np.arange(len(vocab.pieces), dtype=np.float32)
    return np.asarray(vocab.scores, np.float32)
