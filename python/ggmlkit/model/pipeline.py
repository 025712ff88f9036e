"""The steps from text to ids, in the order of the program that a vocabulary comes from.

Tokens that stand in the text are found first; what is between them is normalized, in which other
tokens may be found; what is then left is cut into words and encoded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ggmlkit import _core
from ggmlkit.model.added_tokens import AddedToken, finder, with_plain_spaces
from ggmlkit.model.carried import Carried
from ggmlkit.model.metaspace import words_of
from ggmlkit.model.normalizers import Normalize, normalizer_of, precompiled
from ggmlkit.model.plain_pieces import SPACE
from ggmlkit.model.vocab import charsmap, flag

# Ids of a stretch of text between tokens. The second argument: whether it begins the whole text.
Encode = Callable[[str, bool], list[int]]


@dataclass(frozen=True)
class Pipeline:
    """Encodes text.

    Attributes:
        given: finds tokens in the text as it is given.
        longest_first: whether ``given`` finds tokens as llama.cpp does, the longest of the whole
            text first, or from left to right.
        normalize: applied to what is between these tokens.
        normalized: finds tokens in what has been normalized.
        encode_text: encodes what is left.
        strips_first_space: whether decoding leaves out the space that a text is led by.
    """

    given: _core.TokenFinder | None
    longest_first: bool
    normalize: Normalize | None
    normalized: _core.TokenFinder | None
    encode_text: Encode
    strips_first_space: bool

    def encode(self, text: str, parse_special: bool) -> list[int]:
        """Ids of a text; ``parse_special``: special tokens are found in it."""
        ids: list[int] = []
        for part, first in self._stretches(text, parse_special):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids += self.encode_text(part, first)
        return ids

    def _stretches(self, text: str, parse_special: bool) -> Iterator[tuple[str | int, bool]]:
        given = _split(self.given, text, parse_special, self.longest_first)
        for number, part in enumerate(given):
            if isinstance(part, int):
                yield part, False
                continue
            if self.normalize is not None:
                part = self.normalize(part)
            for place, piece in enumerate(_split(self.normalized, part, parse_special, False)):
                yield piece, number == place == 0


def _split(
    tokens: _core.TokenFinder | None, text: str, special: bool, longest_first: bool
) -> list[str | int]:
    if not text:
        return []
    return [text] if tokens is None else tokens.split(text, special, longest_first)


def carried_pipeline(carried: Carried, encode: Callable[[list[str]], list[int]]) -> Pipeline:
    """The tokenizers library's, for a vocabulary with ``▁``; ``encode`` takes words.

    Raises ModelError for a step that is not known.
    """
    words = words_of(carried.json.get("pre_tokenizer"))
    return _of_tokenizer_json(carried, lambda text, first: encode(words(text, first)))


def carried_byte_pipeline(carried: Carried, encode: Callable[[str], list[int]]) -> Pipeline:
    """The tokenizers library's, for a byte-level vocabulary; ``encode`` cuts words itself."""
    return _of_tokenizer_json(carried, lambda text, _: encode(text))


def _of_tokenizer_json(carried: Carried, encode: Encode) -> Pipeline:
    normalize = normalizer_of(carried.json.get("normalizer"))
    return Pipeline(
        given=finder(token for token in carried.added if not token.normalized),
        longest_first=False,
        normalize=normalize,
        normalized=finder((token for token in carried.added if token.normalized), normalize),
        encode_text=encode,
        strips_first_space=carried.strips_first_space,
    )


def plain_pipeline(tokens: Sequence[AddedToken], encode: Callable[[str], list[int]]) -> Pipeline:
    """llama.cpp's, for vocabularies that take text as it is."""
    return Pipeline(
        given=finder(tokens),
        longest_first=True,
        normalize=None,
        normalized=None,
        encode_text=lambda text, _: encode(text),
        strips_first_space=False,
    )


def spaced_pipeline(
    metadata: Mapping[str, Any],
    tokens: Sequence[AddedToken],
    encode: Callable[[list[str]], list[int]],
) -> Pipeline:
    """llama.cpp's for vocabularies with ``▁``: a space is put before each stretch of text."""
    prefix = SPACE if flag(metadata, "add_space_prefix", True) else ""
    return Pipeline(
        given=finder(with_plain_spaces(tokens)),
        longest_first=True,
        normalize=lambda text: prefix + text.replace(" ", SPACE),
        normalized=None,
        encode_text=lambda text, _: encode([text]),
        strips_first_space=bool(prefix),
    )


def sentencepiece_pipeline(
    metadata: Mapping[str, Any],
    tokens: Sequence[AddedToken],
    encode: Callable[[list[str]], list[int]],
) -> Pipeline:
    """SentencePiece's own: user-defined tokens are found in text that has been normalized.

    Where they stand in the text as given, the compiled normalizer leaves them as they are.
    """
    prefix = SPACE if flag(metadata, "add_space_prefix", True) else ""
    collapse = flag(metadata, "remove_extra_whitespaces", False)
    defined = [token for token in tokens if not token.special]
    compiled = charsmap(metadata)
    mapped = _sparing(precompiled(compiled), defined) if compiled else None

    def normalize(text: str) -> str:
        if mapped is not None:
            text = mapped(text)
        if collapse:
            text = _collapsed(text)
        return prefix + text.replace(" ", SPACE) if text else text

    return Pipeline(
        given=finder(token for token in tokens if token.special),
        longest_first=False,
        normalize=normalize,
        normalized=finder(defined, lambda text: text.replace(" ", SPACE)),
        encode_text=lambda text, _: encode([text]),
        strips_first_space=bool(prefix),
    )


def _sparing(normalize: Normalize, tokens: Sequence[AddedToken]) -> Normalize:
    """What a normalizer does to text between tokens."""
    found, texts = finder(tokens), {token.number: token.text for token in tokens}

    def spared(text: str) -> str:
        parts = _split(found, text, False, False)
        return "".join(texts[p] if isinstance(p, int) else normalize(p) for p in parts)

    return spared


def _collapsed(text: str) -> str:
    """The text without the spaces around it, and one for several within.

    At the end a ▁ counts as a space, elsewhere it does not; so does SentencePiece.
    """
    return re.sub(" +", " ", text.lstrip(" ").rstrip(" " + SPACE))
