"""SentencePiece's normalizer from gguf keys: compiled replacements, and rules for spaces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ggmlkit import _core
from ggmlkit.errors import ModelError
from ggmlkit.text.added_tokens import AddedToken
from ggmlkit.text.splitting.normalizers import Normalize
from ggmlkit.text.vocab import Vocab, charsmap, flag


@dataclass(frozen=True)
class SpaceRules:
    """How spaces are normalized.

    Attributes:
        before: whether a space is added before a text.
        after: whether a space is added after a text.
        collapse: whether several spaces become one, and those around a text are removed.
    """

    before: bool
    after: bool
    collapse: bool

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> SpaceRules:
        """From the file's keys; ModelError if one is neither true nor false."""
        adds = flag(metadata, "add_space_prefix", True)
        suffix = flag(metadata, "treat_whitespace_as_suffix", False)
        collapse = flag(metadata, "remove_extra_whitespaces", False)
        return cls(adds and not suffix, adds and suffix, collapse)


def compiled_normalizer(
    vocab: Vocab,
    metadata: Mapping[str, Any],
    kept: Sequence[AddedToken] = (),
    *,
    by_words: bool = False,
) -> Normalize:
    """The normalizer as a function; its output has ``▁`` for spaces.

    Args:
        vocab: the vocabulary of ``kept``.
        metadata: the file's keys.
        kept: tokens that are never changed inside a text.
        by_words: whether every word gets its own space, as in llama.cpp.

    The function raises ModelError if the compiled replacements are damaged.
    """
    spaces = SpaceRules.from_metadata(metadata)
    try:
        compiled = _core.CompiledNormalizer(
            charsmap(metadata),
            vocab.pieces if kept else [],
            np.array([token.number for token in kept], np.int32),
            before=spaces.before,
            after=spaces.after,
            collapse=spaces.collapse,
            by_words=by_words,
        )
    except ValueError as error:
        raise ModelError(f"the vocabulary's {error}") from error

    def normalize(text: str) -> str:
        try:
            return compiled.normalized(text)
        except ValueError as error:
            raise ModelError(f"the vocabulary's {error}") from error

    return normalize
