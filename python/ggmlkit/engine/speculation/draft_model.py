"""Guesses of a smaller model with the same vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit import _core
from ggmlkit.engine.model import Model
from ggmlkit.engine.speculation.source import Guesses
from ggmlkit.errors import ArgumentError, CacheFullError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.engine import sequence
    from ggmlkit.engine.speculation.source import Text


@dataclass(eq=False)
class _Drafted:
    """How far the draft model has come with a text.

    Attributes:
        held: ids that its sequence holds.
        same: of them, that are known to be the text's.
    """

    sequence: sequence.Sequence
    held: list[int] = field(default_factory=list)
    same: int = 0

    def missing(self, ids: list[int]) -> list[int]:
        """The ids that the sequence lacks, the last of all at least; it forgets wrong guesses."""
        most = min(len(self.held), len(ids) - 1)
        while self.same < most and self.held[self.same] == ids[self.same]:
            self.same += 1
        self.same = min(self.same, most)
        if self.same < len(self.held):
            self.same = self.sequence.truncate(self.same)
            del self.held[self.same :]
        return ids[self.same :]


class DraftModel:
    """Decodes ahead of the model that it guesses for.

    It draws as the text's own sampler would, with the same random numbers. So guesses are right
    more often than tokens drawn by themselves would be, and always where both models agree.

    Args:
        draft: the smaller model.
        target: the model that it guesses for.

    Raises:
        ArgumentError: their vocabularies differ.
    """

    is_free = False

    def __init__(self, draft: Model, target: Model) -> None:
        check_same_vocabulary(draft, target)
        self._draft = draft
        self._vocab = min(draft.config.vocab, target.config.vocab)

    def begin(self, ids: list[int]) -> _Drafted:  # noqa: ARG002
        """An empty sequence: the prompt is computed when a guess is wanted."""
        return _Drafted(self._draft.sequence())

    def guesses(
        self, texts: Sequence[Text], samplers: Sequence[_core.Sampler], most: Sequence[int]
    ) -> list[Guesses]:
        """See `Source`."""
        found: list[list[int]] = [[] for _ in texts]
        fitting = [
            place
            for place, (text, count) in enumerate(zip(texts, most, strict=True))
            if len(text.ids) + count <= self._draft.context
        ]
        copies = {place: samplers[place].copy() for place in fitting}
        try:
            while going_on := [place for place in fitting if len(found[place]) < most[place]]:
                own = [[*texts[place].ids, *found[place]] for place in going_on]
                logits = self._logits([texts[place].state for place in going_on], own)
                drawn = _core.sample_rows([copies[place] for place in going_on], logits, None)
                for place, id in zip(going_on, drawn.tolist(), strict=True):
                    if not 0 <= id < self._vocab:
                        fitting.remove(place)
                        continue
                    copies[place].accept(id)
                    found[place].append(id)
        except CacheFullError:
            pass  # what was guessed until then is good
        return [Guesses(ids) for ids in found]

    def _logits(
        self, drafted: Sequence[_Drafted], texts: Sequence[list[int]]
    ) -> NDArray[np.float32]:
        """After the last token of each text: float32 ``(texts, vocab)``."""
        missing = [own.missing(ids) for own, ids in zip(drafted, texts, strict=True)]
        out = np.empty((len(texts), self._draft.config.vocab), np.float32)
        self._draft.append(
            [own.sequence for own in drafted],
            [np.array(ids, np.int32) for ids in missing],
            ["last"] * len(texts),
            out,
        )
        for own, ids in zip(drafted, missing, strict=True):
            own.held += ids
        return out

    def end(self, text: Text) -> None:
        """Give its pages back."""
        text.state.sequence.close()

    def close(self) -> None:
        """See `Source`. The draft model is its owner's to close."""


def check_same_vocabulary(draft: Model, target: Model) -> None:
    """Raise ArgumentError where the ids of two models stand for different texts."""
    sizes = min(draft.tokenizer.vocab_size, draft.config.vocab), target.tokenizer.vocab_size
    if draft is target:
        raise ArgumentError("a model can't be its own draft model; give a smaller one")
    for id in range(min(sizes)):
        own, others = (model.tokenizer.token_bytes(id, special=True) for model in (draft, target))
        if own != others:
            raise ArgumentError(
                f"the draft model {draft.file.path} has another vocabulary than "
                f"{target.file.path}: token {id} is {own!r}, not {others!r}"
            )
