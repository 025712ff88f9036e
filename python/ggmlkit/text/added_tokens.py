"""Tokens that appear in text as they are, such as ``<|im_end|>``, and how they are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ggmlkit import _core
from ggmlkit.errors import ModelError
from ggmlkit.text.stripping import StrippingIds
from ggmlkit.text.vocab import Vocab
from ggmlkit.text.vocab_keys import TokenType

_LONGEST = 1000  # characters; finding a token takes time by its length at every place of a text


@dataclass(frozen=True)
class AddedToken:
    """A token that is found in text before the rest is encoded.

    Attributes:
        text: what is found.
        number: the token's id.
        special: found only where special tokens are asked for.
        strip_left: the white space before it belongs to it.
        strip_right: the white space after it belongs to it.
        single_word: not found as a part of a word.
        normalized: found in the normalized text, not in the text as given.
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
            name: entry.get(theirs) is True
            for name, theirs in (
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
    """The tokens, those with ``▁`` also with spaces for it.

    SentencePiece has ``▁`` for a space. Some files hold user-defined tokens so, others with spaces.
    """
    found = list(tokens)
    plain = [
        replace(token, text=token.text.replace("▁", " "))
        for token in found
        if not token.special and "▁" in token.text
    ]
    return [*found, *plain]


def finder(
    tokens: Iterable[AddedToken], normalize: Callable[[str], str] | None = None
) -> _core.TokenFinder | None:
    """Finds these tokens; None if there are none. ModelError for a token that is far too long.

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
