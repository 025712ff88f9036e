"""Tokens that end a repetition, for DRY: those whose text has a sequence breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from ggmlkit.text.tokenizer import Tokenizer

_found: WeakKeyDictionary[Tokenizer, dict[tuple[str, ...], list[int]]] = WeakKeyDictionary()


def breaker_tokens(tokenizer: Tokenizer, breakers: tuple[str, ...]) -> list[int]:
    """Ids of the tokens whose text has one of the breakers.

    A breaker that no token has is ended by the last token of its own text.
    """
    known = _found.setdefault(tokenizer, {})
    if breakers not in known:
        known[breakers] = _searched(tokenizer, breakers)
    return known[breakers]


def _searched(tokenizer: Tokenizer, breakers: tuple[str, ...]) -> list[int]:
    texts = [tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)]
    ids: set[int] = set()
    for breaker in breakers:
        wanted = breaker.encode(errors="surrogateescape")
        having = [id for id, text in enumerate(texts) if wanted in text]
        if not having:
            having = tokenizer.encode(breaker, add_special=False)[-1:]
        ids.update(having)
    return sorted(ids)
