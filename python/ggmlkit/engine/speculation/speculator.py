"""Which tokens are guessed in each step, and what becomes of the guesses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ggmlkit.closing import Closing
from ggmlkit.engine.speculation.pace import Pace
from ggmlkit.engine.speculation.source import Source, Text

if TYPE_CHECKING:
    from ggmlkit import _core

# Guesses of a text in a step. With the token before them they are 15: sixteen rows would be
# multiplied as bfloat16 on AMX.
MOST = 14
_LEARNED = 0.1  # of a guess that counts in how many are right
_FORGOTTEN = 0.01  # of that, with each step that makes no guess
_EXPECTED = 0.7  # of the guesses, before any was compared


class Speculator(Closing):
    """Guesses for many texts, as long as that pays.

    Args:
        source: of the guesses; it is closed with this.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pace = Pace()
        self._first_rates: dict[int, float] = {}  # how often the first of a kind was right
        self._next_rate = _EXPECTED  # of all texts

    def begin(self, ids: list[int]) -> Text:
        """A text whose prompt is computed."""
        return Text(ids, self._source.begin(ids), self._next_rate)

    def guesses(
        self,
        texts: Sequence[Text],
        samplers: Sequence[_core.Sampler],
        most: Sequence[int],
    ) -> list[list[int]]:
        """What to verify in a step: for each text some tokens that may follow, or none.

        Args:
            samplers: of the texts, which stay as they are.
            most: tokens that there is room for.
        """
        if self._source.is_free:
            self._renew(texts, samplers, [MOST] * len(texts))
            known = [len(text.guesses) for text in texts]
        else:
            known = [MOST] * len(texts)
        room = [min(pair) for pair in zip(known, most, strict=True)]
        chances = [self._chances(text, count) for text, count in zip(texts, room, strict=True)]
        counts = self._pace.chosen(chances)
        if not self._source.is_free:
            self._renew(texts, samplers, counts)
        return [text.guesses[:count] for text, count in zip(texts, counts, strict=True)]

    def _chances(self, text: Text, most: int) -> list[float]:
        """How likely each of the next guesses is to be right, together with those before it."""
        kind_rate = self._first_rates.get(text.kind, _EXPECTED)
        first = text.next_rate if text.compared else kind_rate
        return [first * text.next_rate**place for place in range(most)]

    def _renew(
        self, texts: Sequence[Text], samplers: Sequence[_core.Sampler], most: Sequence[int]
    ) -> None:
        """New guesses of the texts that have none."""
        bare = [place for place, text in enumerate(texts) if not text.guesses and most[place]]
        found = (
            self._source.guesses(
                [texts[place] for place in bare],
                [samplers[place] for place in bare],
                [most[place] for place in bare],
            )
            if bare
            else []
        )
        for place, guesses in zip(bare, found, strict=True):
            text = texts[place]
            text.guesses, text.kind, text.compared = guesses.ids, guesses.kind, 0

    def compare(self, text: Text, ids: Sequence[int]) -> None:
        """The next tokens of a text came."""
        if not text.guesses and not self._source.is_free:
            self._learn_first(text.kind, _EXPECTED, _FORGOTTEN)
        for id in ids:
            if not text.guesses:
                return
            is_right = text.guesses[0] == id
            self._learn(text, is_right)
            text.compared += 1
            if is_right:
                del text.guesses[0]
            else:
                text.guesses.clear()

    def _learn(self, text: Text, is_right: bool) -> None:
        if text.compared:
            text.next_rate += _LEARNED * (is_right - text.next_rate)
            self._next_rate += _LEARNED * (is_right - self._next_rate)
        else:
            self._learn_first(text.kind, float(is_right), _LEARNED)

    def _learn_first(self, kind: int, rate: float, share: float) -> None:
        before = self._first_rates.get(kind, _EXPECTED)
        self._first_rates[kind] = before + share * (rate - before)

    def learn_time(self, texts: int, rows: int, tokens: int, seconds: float) -> None:
        """A step of so many texts, with so many rows of logits, gave so many tokens."""
        self._pace.learn(texts, rows, tokens, seconds)

    def end(self, text: Text) -> None:
        """A text is complete, or given up."""
        self._source.end(text)

    def close(self) -> None:
        """Close the source. Twice is no error."""
        self._source.close()
