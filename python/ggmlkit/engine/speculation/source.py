"""What every source of guesses offers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from ggmlkit import _core


@dataclass(eq=False)
class Text:
    """A text that is guessed about.

    Attributes:
        ids: all so far.
        state: of the source.
        next_rate: how often a guess was right, recently, where the one before it was.
        guesses: of the next tokens, that are not compared yet.
        kind: of these guesses, as the source said.
        compared: of the guesses that the source made last.
    """

    ids: list[int]
    state: Any
    next_rate: float
    guesses: list[int] = field(default_factory=list)
    kind: int = 0
    compared: int = 0


class Guesses(NamedTuple):
    """Of the tokens that follow a text.

    Attributes:
        ids: in order.
        kind: a number; those of a kind are right about as often.
    """

    ids: list[int]
    kind: int = 0


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
    ) -> list[Guesses]:
        """For each text at most so many next tokens; none where it knows none.

        Args:
            samplers: of the texts, which stay as they are.
            most: at least 1.
        """

    def end(self, text: Text) -> None:
        """A text is complete, or given up."""

    def close(self) -> None:
        """Give back what it holds. Twice is no error."""
