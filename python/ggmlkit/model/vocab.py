"""The vocabulary of a model file, checked: pieces, what each is, and the order of merges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from ggmlkit.errors import ModelError
from ggmlkit.io.stored_values import StoredValues

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREFIX = "tokenizer.ggml."
# The key that says by whose rules a text is cut, and its value for a tokenizer.model's.
RULES = "ggmlkit.tokenizer_rules"
SENTENCEPIECE = "sentencepiece"
# The key of scores that a tokenizer.json has in more digits than gguf's.
SCORES = "ggmlkit.tokenizer_scores"
MODELS = ("llama", "gpt2", "t5", "bert")
_LONGEST_PIECE = 1000  # characters; SentencePiece makes pieces of 16 unless told otherwise


class TokenType(IntEnum):
    """What a token is; the numbers are gguf's and SentencePiece's alike."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Vocab:
    """The ``tokenizer.ggml.*`` keys of a file.

    Attributes:
        model: ``"llama"`` (SentencePiece BPE), ``"gpt2"`` (byte-level BPE), ``"t5"`` (SentencePiece
            Unigram) or ``"bert"`` (WordPiece).
        pieces: text of every token by id; ``bytes`` where a file's text is no UTF-8. A list,
            except that a byte-level BPE's may still be as the file has them.
        types: a ``TokenType`` number for every token, int32 ``(tokens,)``.
        scores: a score for every token, or None: then the id ranks the pieces.
        merges: pairs in order of preference, each ``"left right"``; empty but for ``"gpt2"``. As
            the pieces.
        pre: name of the pre-tokenizer; ``"default"`` where the file names none.
    """

    model: str
    pieces: Sequence[str | bytes]
    types: NDArray[np.int32]
    scores: list[float] | None
    merges: Sequence[str | bytes]
    pre: str

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> Vocab:
        """Read and check the keys; raises ModelError where they cannot make a tokenizer."""
        model = metadata.get(PREFIX + "model")
        if model is None:
            raise ModelError("the file has no vocabulary: tokenizer.ggml.model is missing")
        if not isinstance(model, str) or model not in MODELS:
            raise ModelError(
                f"tokenizer model {str(model)[:80]!r} is not supported, only {', '.join(MODELS)}"
            )
        pieces = _pieces(metadata, model)
        types = _numbers(metadata, "token_type", len(pieces))
        scored = model in ("llama", "t5")
        scores = _numbers(metadata, "scores", len(pieces)) if scored else None
        pre = metadata.get(PREFIX + "pre", "default")
        if not isinstance(pre, str):
            raise ModelError("tokenizer.ggml.pre is no text")
        return cls(
            model=model,
            pieces=pieces,
            types=np.asarray(_guessed_types(pieces, model) if types is None else types, np.int32),
            scores=None if scores is None else scores.tolist(),
            merges=_merges(metadata) if model == "gpt2" else [],
            pre=pre or "default",
        )

    def ids(self) -> dict[str, int]:
        """Id by text, for pieces that are text; the first of equal pieces counts."""
        found: dict[str, int] = {}
        for number, piece in enumerate(self.pieces):
            if isinstance(piece, str):
                found.setdefault(piece, number)
        return found

    def of_type(self, *types: TokenType) -> dict[str, int]:
        """Id by text of the non-empty tokens of these types."""
        numbers = np.flatnonzero(np.isin(self.types, types)).tolist()
        named = ((self.pieces[number], number) for number in numbers)
        return {piece: number for piece, number in named if isinstance(piece, str) and piece}


def merges_of(vocab: Vocab) -> list[tuple[str, str]]:
    """The pairs that make each piece of a SentencePiece BPE out of two others, best piece first.

    SentencePiece joins, again and again, the neighbours whose joint text is the best-scored piece.
    A list of all ways to cut each piece into two others says the same.

    Raises ModelError for a piece so long that to find all its cuts would take forever.
    """
    joinable = vocab.of_type(TokenType.NORMAL)
    longest = max(map(len, joinable), default=0)
    if longest > _LONGEST_PIECE:
        raise ModelError(f"a token of {longest} characters is none")
    scores = vocab.scores
    if scores is None:
        order = sorted(joinable, key=joinable.__getitem__)
    else:
        known = scores
        order = sorted(joinable, key=lambda piece: (-known[joinable[piece]], joinable[piece]))
    return [
        (piece[:cut], piece[cut:])
        for piece in order
        for cut in range(1, len(piece))
        if piece[:cut] in joinable and piece[cut:] in joinable
    ]


def token_id(metadata: Mapping[str, Any], name: str, size: int) -> int | None:
    """``tokenizer.ggml.NAME_token_id``; None if absent; ModelError if it names no token."""
    value = metadata.get(f"{PREFIX}{name}_token_id")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise ModelError(f"tokenizer.ggml.{name}_token_id is {str(value)[:80]!r}, no number")
    number = int(value)
    # Old converters wrote -1, or its unsigned twin, for "there is none".
    if number in (-1, 0xFFFFFFFF):
        return None
    if not 0 <= number < size:
        raise ModelError(f"tokenizer.ggml.{name}_token_id {number} is outside {size} tokens")
    return number


def flag(metadata: Mapping[str, Any], name: str, usual: bool) -> bool:
    """``tokenizer.ggml.NAME``, true or false; ModelError if it is neither."""
    value = metadata.get(PREFIX + name, usual)
    if not isinstance(value, (bool, int, np.bool_)):
        raise ModelError(f"{PREFIX}{name} is {str(value)[:80]!r}, neither true nor false")
    return bool(value)


def charsmap(metadata: Mapping[str, Any]) -> bytes:
    """SentencePiece's compiled normalizer, which files hold as signed or unsigned bytes."""
    found = np.asarray(metadata.get(PREFIX + "precompiled_charsmap", np.empty(0, np.uint8)))
    if found.size and (found.dtype.kind not in "iu" or found.ndim != 1):
        raise ModelError(f"{PREFIX}precompiled_charsmap holds no bytes")
    return found.astype(np.uint8).tobytes()


def byte_value(piece: str | bytes) -> int | None:
    """The byte that a piece named ``<0xNN>`` stands for; None for any other piece."""
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


def _pieces(metadata: Mapping[str, Any], model: str) -> Sequence[str | bytes]:
    stored = _stored(metadata, "tokens")
    if stored is not None and model == "gpt2":
        return stored
    tokens = metadata.get(PREFIX + "tokens")
    if not _is_list(tokens):
        raise ModelError("the file has no vocabulary: tokenizer.ggml.tokens is missing")
    pieces = list(tokens)
    if not pieces:
        raise ModelError("tokenizer.ggml.tokens is empty")
    if not set(map(type, pieces)) <= {str, bytes}:
        raise ModelError("tokenizer.ggml.tokens holds something that is no text")
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


def _merges(metadata: Mapping[str, Any]) -> Sequence[str | bytes]:
    stored = _stored(metadata, "merges")
    if stored is not None:
        return stored
    values = metadata.get(PREFIX + "merges")
    if not _is_list(values):
        raise ModelError("tokenizer.ggml.merges is missing, which a byte-level BPE needs")
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
    """Whether this is a list or array; a Sequence as far as reading goes."""
    return hasattr(value, "__len__") and not isinstance(value, (str, bytes, Mapping))
