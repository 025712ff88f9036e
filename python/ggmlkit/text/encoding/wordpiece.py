"""BERT's WordPiece: each word becomes its longest pieces, from left to right.

Words are split at spaces and punctuation. A gguf vocabulary has ▁ before pieces that begin a word;
BERT's own files have ## before all others.
"""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Mapping
from typing import Any

import numpy as np

from ggmlkit import _core
from ggmlkit.errors import ModelError
from ggmlkit.text.plain_pieces import SPACE
from ggmlkit.text.special_ids import special_id
from ggmlkit.text.tokenizer_json import Carried
from ggmlkit.text.vocab import Vocab, flag
from ggmlkit.text.vocab_keys import TokenType
from ggmlkit.text.white_space import WHITE_SPACE

_USUAL_LONGEST_WORD = 100  # characters, if a tokenizer.json has no limit
_ASCII_SYMBOLS = frozenset("$+<=>^`|~")
_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),  # Unicode has 2B820; the tokenizers library and llama.cpp have 2B920
    (0x2F800, 0x2FA1F),
)
# First letters of the categories of characters new in Unicode 15, which not every Python has:
# marks, punctuation and controls. Other categories make no difference.
_NEWER = (
    (0xCF3, 0xCF3, "M"),
    (0xECE, 0xECE, "M"),
    (0x10EFD, 0x10EFF, "M"),
    (0x11241, 0x11241, "M"),
    (0x11B00, 0x11B09, "P"),
    (0x11F00, 0x11F01, "M"),
    (0x11F03, 0x11F03, "M"),
    (0x11F34, 0x11F3A, "M"),
    (0x11F3E, 0x11F42, "M"),
    (0x11F43, 0x11F4F, "P"),
    (0x13439, 0x1343F, "C"),
    (0x13440, 0x13440, "M"),
    (0x13447, 0x13455, "M"),
    (0x1E08F, 0x1E08F, "M"),
    (0x1E4EC, 0x1E4EF, "M"),
)


class WordPieceEncoder:
    """Text to ids for a ``"bert"`` vocabulary."""

    def __init__(
        self, vocab: Vocab, metadata: Mapping[str, Any], carried: Carried | None = None
    ) -> None:
        """Build from a vocabulary; ModelError if its keys don't define a WordPiece.

        ``carried`` is the tokenizer.json that it comes from, if words are split by it.
        """
        lowercase = flag(metadata, "normalizer.lowercase", True)
        strip_accents = flag(metadata, "normalizer.strip_accents", lowercase)
        self._letters = _Letters(lowercase, strip_accents)
        searched = np.flatnonzero(vocab.types != TokenType.CONTROL)
        unknown = special_id(vocab, metadata, "unknown")
        try:
            self._model = _core.WordPieces(
                vocab.pieces,
                searched.astype(np.int32),
                SPACE,
                strict=carried is not None,
                unknown=-1 if unknown is None else unknown,
                most=sys.maxsize if carried is None else _longest_word(carried),
            )
        except ValueError as error:
            raise ModelError(f"the vocabulary is not a valid WordPiece: {error}") from error

    def encode(self, words: list[str]) -> list[int]:
        """Ids of words; no special tokens are added.

        Raises ModelError for a word without fitting pieces, if there is no unknown token.
        """
        try:
            return self._model.encode(words)
        except ValueError as error:
            raise ModelError(f"the text can't be encoded: {error}") from error

    def words(self, text: str) -> list[str]:
        """The words that llama.cpp splits a text into; some can be empty."""
        return text.translate(self._letters).split(" ")


def _longest_word(carried: Carried) -> int:
    longest = carried.model.get("max_input_chars_per_word", _USUAL_LONGEST_WORD)
    if type(longest) is not int or longest < 0:
        raise ModelError(f"max_input_chars_per_word is {str(longest)[:80]!r}, not a number")
    return min(longest, sys.maxsize)


class _Letters(dict[int, str]):
    """llama.cpp's replacement of each character, computed on first use; spaces separate words.

    Characters lose their accents, and Hangul syllables all but their first part, because only the
    first part of a character's decomposition is kept.
    """

    def __init__(self, lowercase: bool, strip_accents: bool) -> None:
        super().__init__()
        self._lowercase = lowercase
        self._strip_accents = strip_accents

    def __missing__(self, number: int) -> str:
        replacement = self[number] = self._replacement(chr(number))
        return replacement

    def _replacement(self, letter: str) -> str:
        if self._strip_accents:
            letter = unicodedata.normalize("NFD", letter)[0]
        if letter in WHITE_SPACE:
            return " "
        kind = _kind(letter)
        if letter == "\ufffd" or kind == "C" or (self._strip_accents and kind == "M"):
            return ""
        alone = kind == "P" or letter in _ASCII_SYMBOLS or _is_ideograph(ord(letter))
        if self._lowercase:
            letter = letter.lower()[0]
        return f" {letter} " if alone else letter


def _kind(letter: str) -> str:
    """The first letter of the character's Unicode category; ``""`` if it is not assigned."""
    category, number = unicodedata.category(letter), ord(letter)
    if category != "Cn":
        return category[0]
    return next((kind for first, last, kind in _NEWER if first <= number <= last), "")


def _is_ideograph(number: int) -> bool:
    return any(first <= number <= last for first, last in _IDEOGRAPHS)
