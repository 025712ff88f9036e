"""Where the last tokens of a text occurred before, and what followed them there."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence

_SIZE = 2  # tokens that must have occurred
_PLACES = 8  # of the same tokens that are compared, the latest
_LOOKS = 32  # at places that share a bucket, at most: other tokens may be there
LONGEST = 16  # tokens back that are compared, to choose among the places

_BLOCK = 512  # ids that are compared together
_LEAST_BUCKETS = 64
_NONE = 0  # no place: nothing occurred before the first token


class Ngrams:
    """Token ids, indexed by the ``_SIZE`` tokens that end at each place.

    Places of one bucket of a hash table are chained, from the latest on. An id takes 12 to 16
    bytes.
    """

    def __init__(self, ids: Sequence[int] = ()) -> None:
        self._ids = array("i")
        self._before = array("i")  # of each place, the place of its bucket before it
        self._latest = array("i", [_NONE]) * _LEAST_BUCKETS  # place of each bucket
        self.extend(ids)

    def __len__(self) -> int:
        return len(self._ids)

    def extend(self, ids: Sequence[int]) -> None:
        """Append ids. Those before the last are found from now on."""
        known = len(self._ids)
        self._ids.extend(ids)
        self._before.extend([_NONE] * len(ids))
        if len(self._ids) > len(self._latest):
            buckets = len(self._latest)
            while len(self._ids) > buckets:
                buckets *= 2
            self._latest = array("i", [_NONE]) * buckets
            known = 0
        # A place is indexed once a token follows it.
        for end in range(max(known, _SIZE), len(self._ids)):
            bucket = self._bucket(self._ids, end)
            self._before[end], self._latest[bucket] = self._latest[bucket], end

    def truncate(self, length: int) -> None:
        """Forget the ids after the first ``length``."""
        # The latest place of a bucket is the first of its chain.
        for end in range(len(self._ids) - 1, max(length, _SIZE) - 1, -1):
            self._latest[self._bucket(self._ids, end)] = self._before[end]
        del self._ids[length:], self._before[length:]

    def common(self, ids: Sequence[int]) -> int:
        """How many ids it begins with as others do."""
        most = min(len(self._ids), len(ids))
        for begin in range(0, most, _BLOCK):
            end = min(begin + _BLOCK, most)
            if self._ids[begin:end].tolist() != ids[begin:end]:
                return next(place for place in range(begin, end) if self._ids[place] != ids[place])
        return most

    def followers(self, text: Sequence[int], most: int) -> tuple[int, list[int]]:
        """What followed the longest end of a text that occurred, at its latest place.

        Returns:
            how many of the last tokens occurred, 0 for none, and at most ``most`` ids. Where fewer
            are known, the text goes on as a repetition.
        """
        longest, at = 0, 0
        for end in self._places(text):
            length = self._match(text, end)
            if length > longest:
                longest, at = length, end
            if length >= LONGEST:
                break
        if not longest:
            return 0, []
        found = self._ids[at : at + most].tolist()
        period = len(found)
        while len(found) < most:
            found.append(found[len(found) - period])
        return longest, found

    def _bucket(self, ids: Sequence[int], end: int) -> int:
        return hash(tuple(ids[end - _SIZE : end])) & (len(self._latest) - 1)

    def _places(self, text: Sequence[int]) -> Iterator[int]:
        """Where the last tokens of a text occurred, the latest place first."""
        tail = array("i", text[-_SIZE:])
        if len(tail) < _SIZE:
            return
        end, looks, found = self._latest[self._bucket(tail, _SIZE)], 0, 0
        while end != _NONE and looks < _LOOKS and found < _PLACES:
            if self._ids[end - _SIZE : end] == tail:
                yield end
                found += 1
            end, looks = self._before[end], looks + 1

    def _match(self, text: Sequence[int], end: int) -> int:
        """How many of the last tokens of a text are those before a place."""
        most = min(len(text), end, LONGEST)
        length = _SIZE
        while length < most and text[-1 - length] == self._ids[end - 1 - length]:
            length += 1
        return length
