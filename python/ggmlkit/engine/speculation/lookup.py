"""Prompt lookup: what followed the last tokens where they occurred before."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ggmlkit.engine.speculation.ngrams import Ngrams
from ggmlkit.engine.speculation.source import Guesses

if TYPE_CHECKING:
    from ggmlkit import _core
    from ggmlkit.engine.speculation.source import Text

_SHARED_TOKENS = 1 << 16  # of texts that ended, remembered at least; at most twice as many
_LONGEST_KIND = 6  # of longer matches, guesses are right as often
_BORDER = -1  # no token: between two texts


class PromptLookup:
    """Looks in the text itself, then in the texts that ended before."""

    is_free = True

    def __init__(self) -> None:
        self._lock = threading.Lock()  # of the texts that ended
        self._new, self._old = Ngrams(), Ngrams()

    def begin(self, ids: list[int]) -> Ngrams:
        """An index of the prompt."""
        return Ngrams(ids)

    def guesses(
        self,
        texts: Sequence[Text],
        samplers: Sequence[_core.Sampler],  # noqa: ARG002
        most: Sequence[int],
    ) -> list[Guesses]:
        """See `Source`; their kind is how many tokens occurred before."""
        return [self._guess(text, count) for text, count in zip(texts, most, strict=True)]

    def _guess(self, text: Text, most: int) -> Guesses:
        own: Ngrams = text.state
        own.extend(text.ids[len(own) :])
        length, found = own.followers(text.ids, most)
        with self._lock:
            for shared in (self._new, self._old):
                shared_length, others = shared.followers(text.ids, most)
                if shared_length > length and others[0] != _BORDER:
                    length, found = shared_length, others
        ids = found[: found.index(_BORDER)] if _BORDER in found else found
        return Guesses(ids, min(length, _LONGEST_KIND))

    def end(self, text: Text) -> None:
        """Remember a text."""
        with self._lock:
            self._new.extend([*text.ids[-_SHARED_TOKENS:], _BORDER])
            if len(self._new) >= _SHARED_TOKENS:
                self._new, self._old = Ngrams(), self._new

    def close(self) -> None:
        """See `Source`."""
