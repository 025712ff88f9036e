"""Tokens that end a repetition, for DRY: those whose text has a sequence breaker."""

from __future__ import annotations

import threading
from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary, ref

if TYPE_CHECKING:
    from ggmlkit.text.tokenizer import Tokenizer

_MOST_SETS: Final = 32  # that are kept for a tokenizer: requests may bring any


class _Breakers:
    """The sets of breakers that were searched for last in one vocabulary."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = ref(tokenizer)  # which these are kept with
        self._found: OrderedDict[tuple[str, ...], list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def ids(self, breakers: tuple[str, ...]) -> list[int]:
        with self._lock:
            if breakers not in self._found:
                self._found[breakers] = self._searched(breakers)
                if len(self._found) > _MOST_SETS:
                    self._found.popitem(last=False)
            self._found.move_to_end(breakers)
            return self._found[breakers]

    def _searched(self, breakers: tuple[str, ...]) -> list[int]:
        ids: set[int] = set()
        for breaker in breakers:
            wanted = breaker.encode(errors="surrogateescape")
            having = [id for id, text in enumerate(self._texts) if wanted in text]
            tokenizer = self._tokenizer()
            if not having and tokenizer is not None:
                having = tokenizer.encode(breaker, add_special=False)[-1:]
            ids.update(having)
        return sorted(ids)

    @cached_property
    def _texts(self) -> list[bytes]:
        tokenizer = self._tokenizer()
        if tokenizer is None:
            return []
        return [tokenizer.token_bytes(id) for id in range(tokenizer.vocab_size)]


_kept: WeakKeyDictionary[Tokenizer, _Breakers] = WeakKeyDictionary()
_lock = threading.Lock()  # of the dictionary


def breaker_tokens(tokenizer: Tokenizer, breakers: tuple[str, ...]) -> list[int]:
    """Ids of the tokens whose text has one of the breakers.

    A breaker that no token has is ended by the last token of its own text.
    """
    with _lock:
        kept = _kept.get(tokenizer)
        if kept is None:
            kept = _kept[tokenizer] = _Breakers(tokenizer)
    return kept.ids(breakers)
