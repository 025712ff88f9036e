"""The steps from text to ids, in the order of the program that a vocabulary comes from.

First, tokens are found in the original text. The text between them is normalized, and more tokens
can be found in it. The rest is split into words and encoded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ggmlkit import _core
from ggmlkit.text.added_tokens import AddedToken, finder, with_plain_spaces
from ggmlkit.text.plain_pieces import SPACE
from ggmlkit.text.splitting.bert_words import bert_words
from ggmlkit.text.splitting.compiled_normalizer import compiled_normalizer
from ggmlkit.text.splitting.normalizers import Normalize, normalizer_of
from ggmlkit.text.splitting.steps import words_of
from ggmlkit.text.tokenizer_json import Carried
from ggmlkit.text.vocab import Vocab, flag

# Returns the ids of a piece of text between tokens. Second argument: whether it begins the text.
Encode = Callable[[str, bool], list[int]]


@dataclass(frozen=True)
class Pipeline:
    """Encodes text.

    Attributes:
        given: finds tokens in the original text.
        longest_first: whether ``given`` finds the longest token of the whole text first, as
            llama.cpp does; otherwise it searches from left to right.
        normalize: applied to the text between these tokens.
        normalized: finds tokens in the normalized text.
        encode_text: encodes the remaining text.
    """

    given: _core.TokenFinder | None
    longest_first: bool
    normalize: Normalize | None
    normalized: _core.TokenFinder | None
    encode_text: Encode

    def encode(self, text: str, parse_special: bool) -> list[int]:
        """Ids of a text; ``parse_special``: whether special tokens are found in it."""
        ids: list[int] = []
        for part, first in self._text_and_tokens(text, parse_special):
            if isinstance(part, int):
                ids.append(part)
            else:
                ids += self.encode_text(part, first)
        return ids

    def _text_and_tokens(self, text: str, parse_special: bool) -> Iterator[tuple[str | int, bool]]:
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
    """The pipeline of the tokenizers library; ``encode`` takes words.

    Raises ModelError if a step is not known.
    """
    split_into_words = bert_words(carried)
    if split_into_words is not None:
        return Pipeline(
            given=finder(carried.added),
            longest_first=False,
            normalize=None,
            normalized=None,
            encode_text=lambda text, _: encode(split_into_words(text)),
        )
    words = words_of(carried.json.get("pre_tokenizer"))
    return _of_tokenizer_json(carried, lambda text, first: encode(words(text, first)))


def carried_byte_pipeline(carried: Carried, encode: Callable[[str], list[int]]) -> Pipeline:
    """The tokenizers library's pipeline for byte-level BPE; ``encode`` splits text into words."""
    return _of_tokenizer_json(carried, lambda text, _: encode(text))


def _of_tokenizer_json(carried: Carried, encode: Encode) -> Pipeline:
    normalize = normalizer_of(carried.json.get("normalizer"))
    return Pipeline(
        given=finder(token for token in carried.added if not token.normalized),
        longest_first=False,
        normalize=normalize,
        normalized=finder((token for token in carried.added if token.normalized), normalize),
        encode_text=encode,
    )


def plain_pipeline(tokens: Sequence[AddedToken], encode: Callable[[str], list[int]]) -> Pipeline:
    """llama.cpp's pipeline for vocabularies without normalization."""
    return Pipeline(
        given=finder(tokens),
        longest_first=True,
        normalize=None,
        normalized=None,
        encode_text=lambda text, _: encode(text),
    )


def spaced_pipeline(
    metadata: Mapping[str, Any],
    tokens: Sequence[AddedToken],
    encode: Callable[[list[str]], list[int]],
) -> Pipeline:
    """llama.cpp's pipeline for vocabularies with ``▁``: each piece of text gets a leading space."""
    prefix = SPACE if flag(metadata, "add_space_prefix", True) else ""
    return Pipeline(
        given=finder(with_plain_spaces(tokens)),
        longest_first=True,
        normalize=lambda text: prefix + text.replace(" ", SPACE),
        normalized=None,
        encode_text=lambda text, _: encode([text]),
    )


def sentencepiece_pipeline(
    vocab: Vocab,
    metadata: Mapping[str, Any],
    tokens: Sequence[AddedToken],
    encode: Callable[[list[str]], list[int]],
) -> Pipeline:
    """SentencePiece's own pipeline: normalization does not change user-defined tokens.

    For BPE, these tokens are found in the normalized text; Unigram scores them itself.
    """
    defined = [token for token in tokens if not token.special]
    searched = defined if vocab.model == "llama" else []
    return Pipeline(
        given=finder(token for token in tokens if token.special),
        longest_first=False,
        normalize=compiled_normalizer(vocab, metadata, defined),
        normalized=finder(searched, lambda text: text.replace(" ", SPACE)),
        encode_text=lambda text, _: encode([text]),
    )


def unigram_pipeline(
    vocab: Vocab,
    metadata: Mapping[str, Any],
    tokens: Sequence[AddedToken],
    encode: Callable[[list[str]], list[int]],
) -> Pipeline:
    """llama.cpp's pipeline for Unigram."""
    return Pipeline(
        given=finder(tokens),
        longest_first=True,
        normalize=compiled_normalizer(vocab, metadata, by_words=True),
        normalized=None,
        encode_text=lambda text, _: encode([text]),
    )
