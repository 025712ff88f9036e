"""Tokens by id, collected from the files that define them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ggmlkit.arch.hparams import ConversionWarning
from ggmlkit.conversion.vocabulary.sentencepiece_model import (
    BYTE,
    CONTROL,
    NORMAL,
    UNKNOWN,
    UNUSED,
    USER_DEFINED,
)
from ggmlkit.errors import ConversionError


class AddedToken(NamedTuple):
    """A token that was added to a trained vocabulary."""

    text: str
    number: int
    special: bool


class TokenTable:
    """Texts and types of a model's tokens; an id that no file defines is an unused token.

    Args:
        path: the file that the tokens come from, for errors.
        n_vocab: rows of the model's embeddings.
    """

    def __init__(self, path: Path, n_vocab: int) -> None:
        self.texts = [f"<unused{number}>" for number in range(n_vocab)]
        self.kinds = [UNUSED] * n_vocab
        self._path = path

    def put(self, text: str, number: object, kind: int = NORMAL) -> None:
        """Enter a token; ConversionError if its id is not one of the model's."""
        if type(number) is not int or not 0 <= number < len(self.texts):
            raise ConversionError(
                f"{self._path}: token {text!r} has id {number}, "
                f"outside the model's {len(self.texts)} tokens"
            )
        self.texts[number], self.kinds[number] = text, kind

    def add(self, tokens: Iterable[AddedToken]) -> None:
        """Enter added tokens; those without an embedding are left out with a warning.

        Some files have tokens that were added after the model was trained. The model cannot use
        them.
        """
        for token in tokens:
            if token.number >= len(self.texts):
                warnings.warn(
                    f"{self._path}: the added token {token.text!r} has id {token.number}, beyond "
                    f"the {len(self.texts)} embeddings of the model, and is left out",
                    ConversionWarning,
                    stacklevel=2,
                )
                continue
            if token.number >= 0 and self.kinds[token.number] in (UNKNOWN, BYTE):
                continue  # SentencePiece's own token, listed again
            self.put(token.text, token.number, CONTROL if token.special else USER_DEFINED)

    def mark_special(self, names: Iterable[str]) -> None:
        """Turn the ordinary tokens with these texts into control tokens."""
        special = set(names)
        for number, text in enumerate(self.texts):
            if self.kinds[number] == NORMAL and text in special:
                self.kinds[number] = CONTROL
