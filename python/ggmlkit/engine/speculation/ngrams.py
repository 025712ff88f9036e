"""Where the last tokens of a text occurred before, and what followed them there."""

from __future__ import annotations

from collections.abc import Sequence

_SIZE = 2  # tokens that must have occurred
_PLACES = 8  # of the same tokens that are compared, the latest
LONGEST = 16  # tokens back that are compared, to choose among the places

_BLOCK = 512  # ids that are compared together

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

    def truncate(self, length: int) -> None:
        """Forget the ids after the first ``length``."""
        # The latest places of the same tokens are last.
        for end in range(len(self._ids) - 1, max(length, _SIZE) - 1, -1):
            ngram = tuple(self._ids[end - _SIZE : end])
            places = self._ends[ngram]
            places.pop()
            if not places:
                del self._ends[ngram]
        del self._ids[length:]

    def common(self, ids: Sequence[int]) -> int:
        """How many ids it begins with as others do."""
        most = min(len(self._ids), len(ids))
        for begin in range(0, most, _BLOCK):
            end = min(begin + _BLOCK, most)
            if self._ids[begin:end] != ids[begin:end]:
                return next(place for place in range(begin, end) if self._ids[place] != ids[place])
        return most

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
            if length >= LONGEST:
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
        most = min(len(text), end, LONGEST)
        length = _SIZE
        while length < most and text[-1 - length] == self._ids[end - 1 - length]:
            length += 1
        return length
