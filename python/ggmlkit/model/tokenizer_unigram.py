"""SentencePiece's Unigram: the pieces whose scores sum highest spell a text.

Three programs do this, and differ in what they do to spaces and unknown letters. A file says which
one it was made for: it carries a tokenizer.json, or is marked as made from a ``tokenizer.model``;
all others are llama.cpp's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit import _core
from ggmlkit.errors import ModelError
from ggmlkit.model.carried_steps import CarriedSteps
from ggmlkit.model.fixed_tokens import fixed_tokens
from ggmlkit.model.vocab import (
    RULES,
    SCORES,
    SENTENCEPIECE,
    TokenType,
    Vocab,
    byte_value,
    charsmap,
    flag,
    token_id,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

SPACE = "▁"
UNKNOWN_TEXT = " ⁇ "
_UNKNOWN_PENALTY = 10.0  # an unknown letter scores so much less than the worst piece


class UnigramEncoder:
    """Text to ids and ids to bytes for a ``"t5"`` vocabulary."""

    def __init__(self, vocab: Vocab, metadata: Mapping[str, Any]) -> None:
        """Build from a vocabulary; ModelError if its keys make no Unigram."""
        self._vocab = vocab
        compiled = charsmap(metadata)
        self._steps = CarriedSteps.from_metadata(metadata, "Unigram", compiled)
        self._exact = exact = self._steps is None and metadata.get(RULES) == SENTENCEPIECE
        self._adds_space = flag(metadata, "add_space_prefix", True)
        self._collapses = flag(metadata, "remove_extra_whitespaces", False)
        suffix = flag(metadata, "treat_whitespace_as_suffix", False)
        self.space_prefix = self._adds_space and not suffix
        if self._steps is not None and self._steps.decoder is not None:
            self.space_prefix = self._steps.decoder_drops_space
        fixed = vocab.of_type(TokenType.USER_DEFINED)
        # SentencePiece finds these itself; the others cut the text at them first.
        self._fixed, self._late = fixed_tokens({} if exact else fixed, self._steps)
        pieces = list(vocab.pieces)
        try:
            self._normalizer = _core.CompiledNormalizer(
                compiled,
                pieces,
                np.array(list(fixed.values()) if exact else [], np.int32),
                before=self.space_prefix,
                after=self._adds_space and suffix,
                collapse=self._collapses,
                by_words=not exact,
            )
            self._unigram = self._model(pieces, metadata)
        except ValueError as error:
            raise ModelError(f"the vocabulary makes no Unigram: {error}") from error

    def encode(self, text: str, first: bool = True) -> list[int]:
        """Ids of a stretch of text between control tokens; nothing is added.

        ``first`` says that nothing comes before it. Raises ModelError for a letter that no piece
        spells, if there is no unknown token, and where the normalizer turns out to be damaged.
        """
        try:
            return self._fixed.encode(text, first, self._spelled)
        except ValueError as error:
            raise ModelError(f"the text can't be encoded: {error}") from error

    def token_bytes(self, token: int) -> bytes:
        """The bytes a token stands for; nothing for a control token."""
        piece, kind = self._vocab.pieces[token], int(self._vocab.types[token])
        if kind == TokenType.CONTROL:
            return b""
        if kind == TokenType.UNKNOWN:
            return UNKNOWN_TEXT.encode() if self._exact else b""
        if isinstance(piece, bytes):
            return piece
        if kind == TokenType.BYTE and (byte := byte_value(piece)) is not None:
            return bytes([byte])
        return piece.replace(SPACE, " ").encode()

    def joined(self, tokens: Sequence[int]) -> bytes:
        """The bytes of a text's tokens, without the space that encoding adds before it."""
        parts = list(map(self.token_bytes, tokens))
        if self._steps is not None:
            first = next((number for number, part in enumerate(parts) if part), None)
            # The tokenizers library takes all spaces of the first piece.
            if first is not None and self._is_piece(tokens[first]) and self.space_prefix:
                parts[first] = parts[first].replace(b" ", b"")
            return b"".join(parts)
        if not self._exact:
            text = b"".join(parts)
            return text.removeprefix(b" ") if self.space_prefix else text
        # SentencePiece takes one space from each piece until there is a text.
        for number, token in enumerate(tokens if self._adds_space or self._collapses else ()):
            if not parts[number]:
                continue
            if self._is_piece(token):
                parts[number] = parts[number].removeprefix(b" ")
            if parts[number] or not self._collapses:
                break
        return b"".join(parts)

    def _is_piece(self, token: int) -> bool:
        kind = int(self._vocab.types[token])
        if kind == TokenType.USER_DEFINED:
            return self._exact
        return kind not in (TokenType.UNKNOWN, TokenType.BYTE)

    def _spelled(self, text: str, first: bool) -> list[int]:
        if self._steps is not None:
            return self._late.encode(self._steps.normalized(text), first, self._cut)
        return self._unigram.encode([self._normalizer.normalized(text)])

    def _cut(self, text: str, first: bool) -> list[int]:
        assert self._steps is not None
        return self._unigram.encode(self._steps.words(text, first))

    def _model(self, pieces: list[str | bytes], metadata: Mapping[str, Any]) -> _core.Unigram:
        """The compiled model, with the pieces that the file's own program would look for."""
        exact, unknown = self._exact, token_id_of_unknown(self._vocab, metadata)
        types, scores = self._vocab.types, scores_of(self._vocab, metadata)
        normal = types == TokenType.NORMAL
        sought = normal.copy()
        if self._steps is None:
            sought |= types == TokenType.USER_DEFINED
            sought |= (types == TokenType.UNUSED) & (not exact)
        else:
            sought |= types == TokenType.BYTE  # the library finds their names in text
        lowest = float(scores[normal].min(initial=np.inf))
        unknown_score = (lowest if np.isfinite(lowest) else 0.0) - _UNKNOWN_PENALTY
        # What users define has no score of its own: it is what the text was meant to be.
        scores[types == TokenType.USER_DEFINED] = np.float32(-0.1) if exact else 0.0
        return _core.Unigram(
            pieces,
            np.flatnonzero(sought).astype(np.int32),
            scores,
            unknown_score=float(np.float32(unknown_score)) if exact else unknown_score,
            unknown=-1 if unknown is None else unknown,
            byte_tokens=self._byte_tokens(),
            single_precision=exact,
        )

    def _byte_tokens(self) -> list[int]:
        """The token of each byte to spell unknown letters with; none where that isn't done."""
        if self._steps is not None and not self._steps.model.get("byte_fallback"):
            return []
        return all_bytes(self._vocab)


def all_bytes(vocab: Vocab) -> list[int]:
    """The token of each byte; none unless the vocabulary has all of them."""
    found: dict[int, int] = {}
    for token in np.flatnonzero(vocab.types == TokenType.BYTE).tolist():
        byte = byte_value(vocab.pieces[token])
        if byte is not None:
            found.setdefault(byte, token)
    return [found[byte] for byte in range(256)] if len(found) == 256 else []


def token_id_of_unknown(vocab: Vocab, metadata: Mapping[str, Any]) -> int | None:
    """The unknown token's id: the one the file tells, else llama.cpp's usual one."""
    told = token_id(metadata, "unknown", len(vocab.pieces))
    if told is not None or "tokenizer.ggml.unknown_token_id" in metadata:
        return told
    usual = {"t5": 2, "bert": 100}[vocab.model]
    return usual if usual < len(vocab.pieces) else None


def scores_of(vocab: Vocab, metadata: Mapping[str, Any]) -> NDArray[np.float64]:
    """The score of every token, float64 ``(tokens,)``; ModelError unless all are numbers."""
    if vocab.scores is None:
        raise ModelError("tokenizer.ggml.scores is missing, which a Unigram needs")
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
        raise ModelError(f"tokenizer.ggml.scores[{token}] is {scores[token]}, no finite number")
    return scores
