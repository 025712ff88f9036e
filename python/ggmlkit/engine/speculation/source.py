"""What every source of guesses offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from ggmlkit import _core


@dataclass(eq=False)
class Text:
    """A text that is guessed about.

    Attributes:
        ids: all so far.
        state: of the source.
        guesses: of the next tokens, that are not compared yet.
        first_rate: how often the first guess was right, recently.
        next_rate: how often a later one was, where those before it were.
        compared: of the guesses that the source made last.
    """

    ids: list[int]
    state: Any
    first_rate: float
    next_rate: float
    guesses: list[int] = field(default_factory=list)
    compared: int = 0

    def chances(self, most: int) -> list[float]:
        """How likely each of the next guesses is to be right, together with those before it."""
        first = self.next_rate if self.compared else self.first_rate
        return [first * self.next_rate**place for place in range(most)]


class Source(Protocol):
    """Guesses the tokens that follow texts.

    Attributes:
        is_free: guesses cost next to nothing, so they are made whether they are used or not.
    """

    is_free: bool

    def begin(self, ids: list[int]) -> Any:
        """The state of a text whose prompt is computed."""

    def guesses(
        self, texts: Sequence[Text], samplers: Sequence[_core.Sampler], most: Sequence[int]
    ) -> list[list[int]]:
        """For each text at most so many next tokens; [] where it knows none.

        Args:
            samplers: of the texts, which stay as they are.
            most: at least 1.
        """

    def end(self, text: Text) -> None:
        """A text is complete, or given up."""

    def close(self) -> None:
        """Give back what it holds. Twice is no error."""
