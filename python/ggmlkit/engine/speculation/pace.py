"""How many guesses a step verifies: as many as pay, by what steps took."""

from __future__ import annotations

from collections.abc import Sequence

# A row more than were measured is expected to cost this share of a step.
_ROW_COST = 0.08
_LEARNED = 0.2  # of a new time that counts in a mean
_FORGOTTEN = 0.005  # of an old time, with each step that measures another
_LEAST_GAIN = 1.02
# Speculation may lose this share of the time that steps take without it, and so many steps before
# there is any.
_LOSS = 0.01
_FIRST_STEPS = 2.0
_MOST_SAVED = 20.0  # steps that gains may be spent on later


class Pace:
    """What steps of so many rows take, and what speculation has gained or lost so far."""

    def __init__(self) -> None:
        self._costs: dict[int, dict[int, float]] = {}  # of texts: of rows, beside one of no guess
        self._plain: dict[int, float] = {}  # seconds of a step, by texts
        self._budget = _FIRST_STEPS  # in steps without guesses

    def chosen(self, chances: Sequence[Sequence[float]]) -> list[int]:
        """For each text, how many of its guesses to verify.

        Args:
            chances: how likely each of a text's guesses is to be right with those before it.
        """
        counts = [0] * len(chances)
        if self._budget <= 0:
            return counts
        texts = len(chances)
        if texts not in self._plain:
            return counts
        # Likeliest first: a text's guesses are in order, as their chances fall.
        order = sorted(
            ((chance, text) for text, own in enumerate(chances) for chance in own), reverse=True
        )
        expected, best, used = float(texts), _LEAST_GAIN * texts, 0
        for place, (chance, _) in enumerate(order, 1):
            expected += chance
            rate = expected / self._cost(texts, texts + place)
            if rate > best:
                best, used = rate, place
        for _, text in order[:used]:
            counts[text] += 1
        return counts

    def learn(self, texts: int, rows: int, tokens: int, seconds: float) -> None:
        """A step of so many texts and rows gave so many tokens."""
        own = self._costs.setdefault(texts, {})
        for other in own:
            if other != rows:
                own[other] += _FORGOTTEN * (_guessed(texts, other) - own[other])
        if rows == texts:
            self._plain[texts] = _mean(self._plain.get(texts), seconds)
            self._budget = min(self._budget + _LOSS, _MOST_SAVED)
        elif texts in self._plain:
            # What takes longer than a step for each row is an accident, such as a busy machine.
            cost = min(seconds / self._plain[texts], rows / texts)
            own[rows] = _mean(own.get(rows), cost)
            self._budget = min(self._budget + tokens / texts - cost, _MOST_SAVED)

    def _cost(self, texts: int, rows: int) -> float:
        """Of a step of so many rows, beside one without guesses."""
        own = self._costs.get(texts)
        if not own:
            return _guessed(texts, rows)
        below = max((known for known in own if known <= rows), default=texts)
        above = min((known for known in own if known >= rows), default=0)
        low = own.get(below, 1.0)
        if below == rows:
            return low
        if not above:
            return low + _ROW_COST * (rows - below) / texts
        return low + (own[above] - low) * (rows - below) / (above - below)


def _guessed(texts: int, rows: int) -> float:
    return 1 + _ROW_COST * (rows - texts) / texts


def _mean(before: float | None, found: float) -> float:
    return found if before is None else before + _LEARNED * (found - before)
