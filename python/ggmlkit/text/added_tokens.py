"""Tokens that appear literally in text, such as ``<|im_end|>``, and how they are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ggmlkit import _core
from ggmlkit.errors import ModelError
from ggmlkit.text.stripping import StrippingIds
from ggmlkit.text.vocab import Vocab
from ggmlkit.text.vocab_keys import TokenType

_LONGEST = 1000  # characters; a search takes time by a token's length at each place of a text


@dataclass(frozen=True)
class AddedToken:
    """A token that is found in text before the rest is encoded.

    Attributes:
        text: the text that is searched for.
        number: the token's id.
        special: found only if special tokens are parsed.
        strip_left: whether it includes the white space before it.
        strip_right: whether it includes the white space after it.
        single_word: not found inside a word.
        normalized: found in the normalized text, not in the original text.
    """

    text: str
    number: int
    special: bool = False
    strip_left: bool = False
    strip_right: bool = False
    single_word: bool = False
    normalized: bool = False

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> AddedToken:
        """From an entry of ``added_tokens`` in a tokenizer.json."""
        flags = {
            name: entry.get(json_name) is True
            for name, json_name in (
                ("special", "special"),
                ("strip_left", "lstrip"),
                ("strip_right", "rstrip"),
                ("single_word", "single_word"),
                ("normalized", "normalized"),
            )
        }
        return cls(str(entry["content"]), int(entry["id"]), **flags)


def of_vocabulary(vocab: Vocab, stripping: StrippingIds) -> list[AddedToken]:
    """The tokens of a vocabulary that are found in text: control, unknown and user-defined ones."""
    special = vocab.of_type(TokenType.CONTROL, TokenType.UNKNOWN)
    defined = vocab.of_type(TokenType.USER_DEFINED)
    return [
        AddedToken(
            text,
            number,
            special=text in special,
            strip_left=number in stripping.left,
            strip_right=number in stripping.right,
        )
        for text, number in {**defined, **special}.items()
    ]


def with_plain_spaces(tokens: Iterable[AddedToken]) -> list[AddedToken]:
    """The tokens, and for those with ``▁`` also a copy with spaces instead.

    SentencePiece writes a space as ``▁``. Some files store user-defined tokens with ``▁``, others
    with spaces.
    """
    given = list(tokens)
    plain = [
        replace(token, text=token.text.replace("▁", " "))
        for token in given
        if not token.special and "▁" in token.text
    ]
    return [*given, *plain]


def finder(
    tokens: Iterable[AddedToken], normalize: Callable[[str], str] | None = None
) -> _core.TokenFinder | None:
    """A finder of these tokens; None if there are none. ModelError for a token that is too long.

    ``normalize`` is applied to the tokens' texts first.
    """
    patterns = []
    for token in tokens:
        text = token.text if normalize is None else normalize(token.text)
        if len(text) > _LONGEST:
            raise ModelError(
                f"token {token.number} has {len(text)} characters, more than {_LONGEST}"
            )
        patterns.append(
            (
                text,
                token.number,
                token.special,
                token.strip_left,
                token.strip_right,
                token.single_word,
            )
        )
    return _core.TokenFinder(patterns) if patterns else None
