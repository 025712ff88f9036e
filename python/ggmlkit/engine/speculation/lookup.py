"""Prompt lookup: what followed the last tokens where they occurred before."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ggmlkit.engine.speculation.ngrams import LONGEST, Ngrams
from ggmlkit.engine.speculation.source import Guesses

if TYPE_CHECKING:
    from ggmlkit import _core
    from ggmlkit.engine.speculation.source import Text

_SHARED_TOKENS = 1 << 16  # of texts that ended, remembered at least; at most twice as many
_LONGEST_KIND = 6  # of longer matches, guesses are right as often
_BORDER = -1  # no token: between two texts
_MOST_KEPT = 16  # indexes of texts that ended, for those that go on with them
_KEPT_TOKENS = 1 << 16  # of these together


@dataclass(eq=False)
class _Own:
    """What is known of a text.

    Attributes:
        index: of it.
        remembered: of its ids, that the texts that ended before have.
        since: the round of these in which the first of the ids came.
    """

    index: Ngrams
    remembered: int = 0
    since: int = 0


class PromptLookup:
    """Looks in the text itself, then in the texts that ended before.

    A text that goes on with one that ended, as the next turn of a conversation does, takes its
    index over: only what is new is indexed.
    """

    is_free = True

    def __init__(self) -> None:
        self._lock = threading.Lock()  # of the texts that ended
        self._new, self._old = Ngrams(), Ngrams()
        self._round = 0  # how often the old ones were forgotten
        self._kept: list[_Own] = []  # the latest last

    def begin(self, ids: list[int]) -> _Own:
        """An index of the prompt."""
        with self._lock:
            own = self._taken(ids)
        own.index.extend(ids[len(own.index) :])
        return own

    def _taken(self, ids: list[int]) -> _Own:
        """The index of the text that some ids go on with longest, cut to what they share."""
        shared = [own.index.common(ids) for own in self._kept]
        most = max(shared, default=0)
        if not most or 2 * most < len(self._kept[shared.index(most)].index):
            return _Own(Ngrams(), since=self._round)
        own = self._kept.pop(shared.index(most))
        own.index.truncate(most)
        own.remembered = min(own.remembered, most)
        if own.since < self._round - 1:  # its first ids are forgotten
            own.remembered, own.since = 0, self._round
        return own

    def guesses(
        self,
        texts: Sequence[Text],
        samplers: Sequence[_core.Sampler],  # noqa: ARG002
        most: Sequence[int],
    ) -> list[Guesses]:
        """See `Source`; their kind is how many tokens occurred before."""
        return [self._guess(text, count) for text, count in zip(texts, most, strict=True)]

    def _guess(self, text: Text, most: int) -> Guesses:
        own: Ngrams = text.state.index
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
        own: _Own = text.state
        with self._lock:
            # Some known ids go before the new ones, so that these are found after them.
            first = max(0, own.remembered - LONGEST, len(text.ids) - _SHARED_TOKENS)
            if len(text.ids) > own.remembered:
                self._new.extend([*text.ids[first:], _BORDER])
                own.remembered = len(text.ids)
            if len(self._new) >= _SHARED_TOKENS:
                self._new, self._old = Ngrams(), self._new
                self._round += 1
            own.index.extend(text.ids[len(own.index) :])
            self._keep(own)

    def _keep(self, own: _Own) -> None:
        """Keep an index for a text that goes on with its own; forget the oldest of too many."""
        self._kept.append(own)
        while len(self._kept) > _MOST_KEPT or (
            sum(len(each.index) for each in self._kept) > _KEPT_TOKENS
        ):
            del self._kept[0]

    def close(self) -> None:
        """See `Source`."""
