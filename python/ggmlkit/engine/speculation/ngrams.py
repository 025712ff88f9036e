"""Where the last tokens of a text occurred before, and what followed them there."""

from __future__ import annotations

from collections.abc import Sequence

_SIZE = 2  # tokens that must have occurred
_PLACES = 8  # of the same tokens that are compared, the latest
_LONGEST = 16  # tokens back that are compared, to choose among the places

Ngram = tuple[int, ...]


class Ngrams:
    """Token ids, indexed by the ``_SIZE`` tokens that end at each place."""

    def __init__(self, ids: Sequence[int] = ()) -> None:
        self._ids: list[int] = []
        self._ends: dict[Ngram, list[int]] = {}
        self.extend(ids)

    def __len__(self) -> int:
        return len(self._ids)

    def extend(self, ids: Sequence[int]) -> None:
        """Append ids. Those before the last are found from now on."""
        known = len(self._ids)
        self._ids += ids
        # A place is indexed once a token follows it.
        for end in range(max(known, _SIZE), len(self._ids)):
            places = self._ends.setdefault(tuple(self._ids[end - _SIZE : end]), [])
            places.append(end)
            if len(places) > _PLACES:
                del places[0]

    def followers(self, text: Sequence[int], most: int) -> tuple[int, list[int]]:
        """What followed the longest end of a text that occurred, at its latest place.

        Returns:
            how many of the last tokens occurred, 0 for none, and at most ``most`` ids. Where fewer
            are known, the text goes on as a repetition.
        """
        places = self._ends.get(tuple(text[-_SIZE:]), ())
        longest, at = 0, 0
        for end in reversed(places):
            length = self._match(text, end)
            if length > longest:
                longest, at = length, end
            if length >= _LONGEST:
                break
        if not longest:
            return 0, []
        found = self._ids[at : at + most]
        period = len(found)
        while len(found) < most:
            found.append(found[len(found) - period])
        return longest, found

    def _match(self, text: Sequence[int], end: int) -> int:
        """How many of the last tokens of a text are those before a place."""
        most = min(len(text), end, _LONGEST)
        length = _SIZE
        while length < most and text[-1 - length] == self._ids[end - 1 - length]:
            length += 1
        return length
