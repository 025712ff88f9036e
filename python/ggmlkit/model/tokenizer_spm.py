"""SentencePiece BPE with byte fallback, built from a vocabulary alone.

Control tokens are split off before text comes here; user-defined ones, which SentencePiece finds in
text after its spaces have become ``▁``, are split off here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import tokenizers
from tokenizers import models, normalizers

from ggmlkit.errors import ModelError
from ggmlkit.model.vocab import TokenType, Vocab, byte_value, merges_of

SPACE = "▁"
UNKNOWN_TEXT = " ⁇ "


def unknown_piece(vocab: Vocab) -> str | None:
    """Text of the unknown token, if the vocabulary has one."""
    return next(iter(vocab.of_type(TokenType.UNKNOWN)), None)


class SpmEncoder:
    """Text to ids and ids to bytes for a ``"llama"`` vocabulary."""

    def __init__(
        self,
        vocab: Vocab,
        *,
        space_prefix: bool = True,
        collapse_spaces: bool = False,
        charsmap: bytes = b"",
    ) -> None:
        """Build from a vocabulary; ``charsmap`` is SentencePiece's compiled normalizer."""
        self._vocab = vocab
        self.space_prefix = space_prefix
        self._collapse_spaces = collapse_spaces
        try:
            self._normalizer = _normalizer(charsmap) if charsmap else None
            self._bpe = tokenizers.Tokenizer(
                models.BPE(
                    vocab=vocab.ids(),
                    merges=merges_of(vocab),
                    unk_token=unknown_piece(vocab),
                    fuse_unk=True,
                    byte_fallback=True,
                )
            )
        except Exception as error:
            raise ModelError(f"the vocabulary makes no SentencePiece BPE: {error}") from error
        self._fixed = _alternatives(vocab.of_type(TokenType.USER_DEFINED))
        self._fixed_ids = vocab.of_type(TokenType.USER_DEFINED)

    def encode(self, text: str) -> list[int]:
        """Ids of a stretch of text between control tokens; nothing is added."""
        if self._normalizer is not None:
            text = _normalized(self._normalizer, text)
        if self._collapse_spaces:
            # At the end a ▁ counts as a space, elsewhere it does not; so does SentencePiece.
            text = re.sub(" +", " ", text.lstrip(" ").rstrip(" " + SPACE))
        if not text:
            return []
        text = text.replace(" ", SPACE)
        if self.space_prefix:
            text = SPACE + text
        if self._fixed is None:
            return self._merged(text)
        ids: list[int] = []
        for number, part in enumerate(self._fixed.split(text)):
            if number % 2:
                ids.append(self._fixed_ids[part])
            elif part:
                ids += self._merged(part)
        return ids

    def token_bytes(self, token: int) -> bytes:
        """The bytes a token stands for; nothing for a control token."""
        piece, kind = self._vocab.pieces[token], int(self._vocab.types[token])
        if kind == TokenType.CONTROL:
            return b""
        if kind == TokenType.UNKNOWN:
            return UNKNOWN_TEXT.encode()
        if isinstance(piece, bytes):
            return piece
        if kind == TokenType.BYTE and (byte := byte_value(piece)) is not None:
            return bytes([byte])
        return piece.replace(SPACE, " ").encode()

    def _merged(self, text: str) -> list[int]:
        ids: list[int] = self._bpe.encode(text, add_special_tokens=False).ids
        return ids


def _normalizer(charsmap: bytes) -> normalizers.Normalizer:
    """SentencePiece's compiled normalizer: the size of a table, the table, texts."""
    # The library takes memory for the table before it looks whether that is there.
    size, left = int.from_bytes(charsmap[:4], "little"), len(charsmap) - 4
    if size > left:
        raise ValueError(f"a normalizer's table of {size} bytes in {max(left, 0)}")
    return normalizers.Precompiled(charsmap)


def _normalized(normalizer: normalizers.Normalizer, text: str) -> str:
    """The text as SentencePiece's compiled normalizer has it."""
    try:
        return normalizer.normalize_str(text)
    except BaseException as error:
        # The library looks into a damaged table without checks and panics, which is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise ModelError(f"the vocabulary's precompiled_charsmap is damaged: {error}") from None


def _alternatives(pieces: Sequence[str] | dict[str, int]) -> re.Pattern[str] | None:
    """A pattern that splits at any of these texts, the longest first; None if there are none."""
    if not pieces:
        return None
    longest_first = sorted(pieces, key=len, reverse=True)
    return re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")
