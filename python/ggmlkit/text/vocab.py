"""Reads and checks the vocabulary of a model file: pieces, their types, and the order of merges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from ggmlkit.errors import ModelError
from ggmlkit.io.gguf.string_lists import StoredValues
from ggmlkit.text.piece_search import found_pieces
from ggmlkit.text.token_fixups import fixed_types
from ggmlkit.text.vocab_keys import MODELS
from ggmlkit.text.vocab_keys import PREFIX as PREFIX
from ggmlkit.text.vocab_keys import TokenType as TokenType
from ggmlkit.text.vocab_keys import flag as flag
from ggmlkit.text.vocab_keys import token_id as token_id

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LONGEST_PIECE = 1000  # characters; SentencePiece's default limit is 16


@dataclass(frozen=True)
class Vocab:
    """The ``tokenizer.ggml.*`` keys of a file.

    Attributes:
        model: ``"llama"`` (SentencePiece BPE), ``"gpt2"`` (byte-level BPE), ``"t5"`` (SentencePiece
            Unigram) or ``"bert"`` (WordPiece).
        pieces: text of every token by id; ``bytes`` if a text is not UTF-8. A list, or the file's
            stored strings, which are read on use.
        types: a ``TokenType`` number for every token, int32 ``(tokens,)``.
        scores: a score for every token, float64 ``(tokens,)``; None if pieces are ranked by id.
        merges: pairs in order of preference, each ``"left right"``; empty for most SentencePiece
            vocabularies. A list or stored strings, like the pieces.
        pre: name of the pre-tokenizer; ``"default"`` if the file names none.
    """

    model: str
    pieces: Sequence[str | bytes]
    types: NDArray[np.int32]
    scores: NDArray[np.float64] | None
    merges: Sequence[str | bytes]
    pre: str

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Vocab:
        """Read and check the keys; raises ModelError if they don't define a tokenizer."""
        model = metadata.get(PREFIX + "model")
        if model is None:
            raise ModelError("the file has no vocabulary: tokenizer.ggml.model is missing")
        if not isinstance(model, str) or model not in MODELS:
            raise ModelError(
                f"tokenizer model {str(model)[:80]!r} is not supported, only {', '.join(MODELS)}"
            )
        pieces = _pieces(metadata)
        types = _types(metadata, len(pieces))
        scored = model in ("llama", "t5")
        scores = _numbers(metadata, "scores", len(pieces)) if scored else None
        pre = metadata.get(PREFIX + "pre", "default")
        if not isinstance(pre, str):
            raise ModelError("tokenizer.ggml.pre is not text")
        return cls(
            model=model,
            pieces=pieces,
            types=fixed_types(
                pieces, _guessed_types(pieces, model) if types is None else types, metadata
            ),
            scores=scores,
            merges=_merges(metadata, model),
            pre=pre or "default",
        )

    def ids(self) -> dict[str, int]:
        """Ids by text, for pieces that are text; of equal pieces, the first one counts."""
        found: dict[str, int] = {}
        for number, piece in enumerate(self.pieces):
            if isinstance(piece, str):
                found.setdefault(piece, number)
        return found

    def find(self, texts: Iterable[str]) -> dict[str, int]:
        """Ids, by text, of the texts that are pieces; of equal pieces, the last one counts."""
        return found_pieces(self.pieces, texts)

    def of_type(self, *types: TokenType) -> dict[str, int]:
        """Ids by text of the non-empty tokens of these types."""
        numbers = np.flatnonzero(np.isin(self.types, types)).tolist()
        named = ((self.pieces[number], number) for number in numbers)
        return {piece: number for piece, number in named if isinstance(piece, str) and piece}


def merges_of(
    vocab: Vocab, *, defined_join: bool = False, long_left: bool = False
) -> list[tuple[str, str]]:
    """The merges of a SentencePiece BPE: pairs of pieces that form a piece, best piece first.

    SentencePiece repeatedly joins the neighbours whose joined text is the piece with the best
    score. A list of all ways to split each piece into two others gives the same result, except for
    the order of pairs that form the same piece: SentencePiece takes the one that comes first in the
    text.

    Args:
        vocab: the pieces and their scores.
        defined_join: whether user-defined tokens can be parts and results of merges.
        long_left: of the pairs that form one piece, the one with the longest left part comes first,
            not the one with the shortest.

    Raises ModelError for a piece that is too long, as finding its pairs would take too much time.
    """
    kinds = (TokenType.NORMAL, *((TokenType.USER_DEFINED,) if defined_join else ()))
    joinable = vocab.of_type(*kinds)
    longest = max(map(len, joinable), default=0)
    if longest > _LONGEST_PIECE:
        raise ModelError(f"a token has {longest} characters, more than {_LONGEST_PIECE}")
    scores = vocab.scores
    if scores is None:
        order = sorted(joinable, key=joinable.__getitem__)
    else:
        known = scores
        order = sorted(joinable, key=lambda piece: (-known[joinable[piece]], joinable[piece]))
    return [
        (piece[:cut], piece[cut:])
        for piece in order
        for cut in (range(len(piece) - 1, 0, -1) if long_left else range(1, len(piece)))
        if piece[:cut] in joinable and piece[cut:] in joinable
    ]


def charsmap(metadata: Mapping[str, Any]) -> bytes:
    """SentencePiece's compiled normalizer; files store it as signed or unsigned bytes."""
    stored = np.asarray(metadata.get(PREFIX + "precompiled_charsmap", np.empty(0, np.uint8)))
    if stored.size and (stored.dtype.kind not in "iu" or stored.ndim != 1):
        raise ModelError(f"{PREFIX}precompiled_charsmap is not a list of bytes")
    return stored.astype(np.uint8).tobytes()


def byte_value(piece: str | bytes) -> int | None:
    """The byte of a piece named ``<0xNN>``; None for any other piece."""
    if not isinstance(piece, str) or len(piece) != 6:
        return None
    if not (piece.startswith("<0x") and piece.endswith(">")):
        return None
    try:
        return int(piece[3:5], 16)
    except ValueError:
        return None


def _stored(metadata: Mapping[str, Any], key: str) -> Sequence[str | bytes] | None:
    return metadata.stored(PREFIX + key) if isinstance(metadata, StoredValues) else None


def _pieces(metadata: Mapping[str, Any]) -> Sequence[str | bytes]:
    stored = _stored(metadata, "tokens")
    if stored is not None and len(stored):
        return stored
    tokens = metadata.get(PREFIX + "tokens")
    if not _is_list(tokens):
        raise ModelError("the file has no vocabulary: tokenizer.ggml.tokens is missing")
    pieces = list(tokens)
    if not pieces:
        raise ModelError("tokenizer.ggml.tokens is empty")
    if not set(map(type, pieces)) <= {str, bytes}:
        raise ModelError("tokenizer.ggml.tokens has an entry that is not text")
    return pieces


def _numbers(metadata: Mapping[str, Any], key: str, size: int) -> NDArray[np.float64] | None:
    values = metadata.get(PREFIX + key)
    if values is None:
        return None
    if not _is_list(values) or len(values) != size:
        raise ModelError(f"tokenizer.ggml.{key} is not a list of {size} numbers")
    try:
        return np.asarray(values, np.float64).reshape(size)
    except (TypeError, ValueError):
        raise ModelError(f"tokenizer.ggml.{key} is not a list of {size} numbers") from None


def _types(metadata: Mapping[str, Any], size: int) -> NDArray[np.int32] | None:
    values = _numbers(metadata, "token_type", size)
    if values is None:
        return None
    types = np.nan_to_num(values, nan=-1).clip(-(2**31), 2**31 - 1).astype(np.int32)
    if (types != values).any():
        raise ModelError(f"{PREFIX}token_type has an entry that is not an integer")
    return types


def _merges(metadata: Mapping[str, Any], model: str) -> Sequence[str | bytes]:
    stored = _stored(metadata, "merges")
    if stored is not None:
        return stored
    values = metadata.get(PREFIX + "merges")
    if values is None and model != "gpt2":
        return []
    if not _is_list(values):
        raise ModelError("tokenizer.ggml.merges is missing; a byte-level BPE needs it")
    return list(values)


def _guessed_types(pieces: Sequence[str | bytes], model: str) -> list[int]:
    if model in ("gpt2", "bert"):
        return [int(TokenType.NORMAL)] * len(pieces)
    named = {
        "<unk>": TokenType.UNKNOWN,
        "<s>": TokenType.CONTROL,
        "</s>": TokenType.CONTROL,
    }
    return [
        int(TokenType.BYTE)
        if byte_value(piece) is not None
        else int(named.get(piece, TokenType.NORMAL) if isinstance(piece, str) else 1)
        for piece in pieces
    ]


def _is_list(value: Any) -> TypeGuard[Sequence[Any]]:
    """Whether the value is a list or array, which can be read like a Sequence."""
    if isinstance(value, np.ndarray):
        return value.ndim == 1
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes, Mapping))
