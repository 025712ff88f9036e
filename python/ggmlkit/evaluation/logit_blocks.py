"""A model's logits at the scored positions of a text's chunks, in blocks of bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit import _core
from ggmlkit.engine.sequence import Chunk
from ggmlkit.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.engine.model import Model
    from ggmlkit.evaluation.text_chunks import TextChunks

_PASS = 256  # tokens that the engine computes at a time: smaller chunks are computed together
_MOST_LOGITS = 2**24  # at a time: 64 MB


@dataclass(frozen=True)
class Block:
    """Logits at some scored positions of a chunk.

    Attributes:
        chunk: its number.
        begin: the first of the positions, counted from the first scored one.
        logits: float32 ``(positions, vocab)``.
        targets: the ids that came next, int32 ``(positions,)``.
    """

    chunk: int
    begin: int
    logits: NDArray[np.float32]
    targets: NDArray[np.int32]

    @property
    def end(self) -> int:
        """The first position after it."""
        return self.begin + len(self.targets)


def chunks_together(context: int) -> int:
    """How many chunks of so many tokens are best computed at a time."""
    return max(1, _PASS // context)


def room_for_chunks(model: Model, context: int) -> int:
    """How many chunks of so many tokens a model's cache has room for."""
    return model.cache_tokens // (-(-context // _core.KV_PAGE) * _core.KV_PAGE)


def logit_blocks(model: Model, text: TextChunks, first: int, end: int) -> Iterator[list[Block]]:
    """Blocks of the chunks ``first`` to ``end``, those computed at a time in one list.

    All blocks of some chunks come before those of later ones.

    Raises:
        ModelError: logits are not finite.
    """
    for begin in range(first, end, text.together):
        yield from _of_chunks(model, text, range(begin, min(begin + text.together, end)))


def _of_chunks(model: Model, text: TextChunks, chunks: range) -> Iterator[list[Block]]:
    most = max(1, _MOST_LOGITS // model.config.vocab // len(chunks))
    start = text.unscored
    ids = [text.evaluated(chunk) for chunk in chunks]
    targets = [text.targets(chunk) for chunk in chunks]
    with ExitStack() as opened:
        sequences = [opened.enter_context(model.sequence()) for _ in chunks]
        model.step(
            [Chunk(each, own[:start], "none") for each, own in zip(sequences, ids, strict=True)]
        )
        for begin in range(0, text.positions, most):
            end = min(begin + most, text.positions)
            parts = [
                Chunk(each, own[start + begin : start + end], "all")
                for each, own in zip(sequences, ids, strict=True)
            ]
            found = model.step(parts)
            for logits in found:
                _check_finite(model, logits)
            yield [
                Block(chunk, begin, logits, own[begin:end])
                for chunk, logits, own in zip(chunks, found, targets, strict=True)
            ]


def _check_finite(model: Model, logits: NDArray[np.float32]) -> None:
    if not (np.isfinite(logits.min()) and np.isfinite(logits.max())):
        raise ModelError(
            f"{model.file.path}: logits of the model are not finite (`ggmlkit verify` shows "
            "weights that are not)"
        )
