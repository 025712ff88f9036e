"""Samples of a text: pieces of equal length, as tokens."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.calibration.text import text_of
from ggmlkit.errors import ArgumentError, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.text.tokenizer import Tokenizer

# One to learn from, and one that is held out.
_LEAST = 2
# Of the samples, this part is held out.
HELD_OUT = 8


@dataclass(frozen=True)
class Samples:
    """Pieces of a text.

    Attributes:
        name: of the text's file.
        used: token ids to calibrate with, int32 ``(samples, tokens)``.
        held_out: those to compare with.
    """

    name: str
    used: NDArray[np.int32]
    held_out: NDArray[np.int32]

    @property
    def all(self) -> NDArray[np.int32]:
        """Both, those that are held out last."""
        return np.concatenate((self.used, self.held_out))


def read_samples(
    path: str | os.PathLike[str], tokenizer: Tokenizer, count: int, tokens: int, seed: int
) -> Samples:
    """Samples from all over a text.

    Args:
        path: of the text, UTF-8.
        tokenizer: of the model. Where it puts a token before a text, each sample begins with it.
        count: samples at most; fewer where the text is shorter.
        tokens: of each.
        seed: of the choice among the pieces of a long text.

    Raises:
        ArgumentError: the text is empty or too short.
        FormatError: it is not UTF-8.
        OSError: it can't be read.
    """
    text = text_of(Path(path))
    if not text.strip():
        raise ArgumentError(f"{os.fspath(path)} is empty; calibration needs some text")
    ids = np.array(tokenizer.encode(text, add_special=False), np.int32)
    pieces = ids.size // tokens
    if pieces < _LEAST:
        raise ArgumentError(
            f"{os.fspath(path)} has {ids.size} tokens, but calibration needs at least "
            f"{_LEAST * tokens}; give a longer text"
        )
    random = np.random.default_rng(seed)
    chosen = random.permutation(pieces)[: max(count, _LEAST)]
    found = ids[: pieces * tokens].reshape(pieces, tokens)[chosen]
    if tokenizer.add_bos and tokenizer.bos_id is not None:
        found[:, 0] = tokenizer.bos_id
    held_out = max(1, len(found) // HELD_OUT)
    return Samples(Path(path).name, found[:-held_out], found[-held_out:])


def check_vocabulary(samples: Samples, vocab: int, model: str | os.PathLike[str]) -> None:
    """Raise ModelError if a token has no embedding: the vocabulary is another model's."""
    highest = int(samples.all.max())
    if highest >= vocab:
        raise ModelError(
            f"{os.fspath(model)}: its vocabulary gives token {highest}, but it has {vocab} "
            "embeddings"
        )
