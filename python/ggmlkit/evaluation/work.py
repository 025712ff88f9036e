"""The work of an evaluation: chunk by chunk, kept in a state, beside files of predictions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.evaluation.distributions import RECORD, at, log_softmax
from ggmlkit.evaluation.logit_blocks import logit_blocks
from ggmlkit.evaluation.saving import saving

if TYPE_CHECKING:
    from pathlib import Path

    from ggmlkit.engine.model import Model
    from ggmlkit.evaluation.bases import Base, DistributionOf
    from ggmlkit.evaluation.distributions import Records
    from ggmlkit.evaluation.logit_blocks import Block
    from ggmlkit.evaluation.saving import Saving, WriterOf
    from ggmlkit.evaluation.state_file import StateFile
    from ggmlkit.evaluation.text_chunks import TextChunks
    from ggmlkit.io import Progress

# Logits that a thread works on at a time: its arrays stay in the processor's caches.
_PIECE = 2**19


@dataclass
class _Piece:
    """What was found at some positions of a chunk: records, and a row for each file to save."""

    records: Records
    saved: list[bytes]


class Work:
    """The evaluation of a text's chunks."""

    def __init__(
        self, model: Model, text: TextChunks, base: Base | None, progress: Progress | None
    ) -> None:
        self.model, self.text, self.base = model, text, base
        self._state: StateFile | None = None
        self._savings: dict[int, Saving] = {}  # by their places in a state's checksums
        self._progress = progress
        self._records = np.zeros((len(text), text.positions), RECORD)
        self._done = 0  # chunks of an earlier process
        self._checksums: list[tuple[int, int]] = []

    @property
    def fingerprint(self) -> str:
        """A digest of all that the results depend on, but the text."""
        parts = (self.model.fingerprint(), "" if self.base is None else self.base.fingerprint)
        return hashlib.sha256(repr(parts).encode()).hexdigest()

    def take_up(self, state: StateFile) -> None:
        """Go on from the results that a state has, and keep the others there."""
        self._state = state
        found, self._checksums = state.read(self.text)
        self._done = len(found)
        self._records[: self._done] = found

    @contextmanager
    def saving(self, place: int, path: Path, writer_of: WriterOf) -> Iterator[None]:
        """Save the predictions, in the first or second file that the state knows of, while the
        ``with`` block runs."""
        checksums = None
        if self._state is not None:
            checksums = [each[place] for each in self._checksums]
        with saving(path, writer_of, len(self.text), checksums) as self._savings[place]:
            yield

    def done(self, pool: Executor) -> Records:
        """RECORD ``(chunks, positions)`` of all chunks, those of an earlier process among them."""
        first, end = self._begin(), len(self.text)
        self._tell(first)
        distribution_of = None
        if self.base is not None:
            distribution_of = self.base.distributions(self.text, first, end)
        for blocks in logit_blocks(self.model, self.text, first, end):
            for block in blocks:
                self._evaluate(block, distribution_of, pool)
            if blocks[-1].end == self.text.positions:
                for block in blocks:
                    self._keep(block.chunk)
                self._tell(blocks[-1].chunk + 1)
        return self._records

    def _begin(self) -> int:
        """The first chunk to compute."""
        done = min([self._done, *(each.done for each in self._savings.values())])
        if self._state is not None and done < len(self.text):
            # Those that are computed together stay so: on AMX that decides about their last bits.
            done -= done % self.text.together
            self._state.forget(done)
        return done

    def _evaluate(
        self, block: Block, distribution_of: DistributionOf | None, pool: Executor
    ) -> None:
        distribution = None if distribution_of is None else distribution_of(block)
        writers = [each.writer for each in self._writing().values()]

        def piece(rows: slice) -> _Piece:
            log_probs, targets = log_softmax(block.logits[rows]), block.targets[rows]
            if distribution is None:
                records = np.zeros(len(targets), RECORD)
                records["nll"] = -at(log_probs, targets)
            else:
                records = distribution.compare(rows, log_probs, targets)
            return _Piece(records, [writer.rows(log_probs, targets) for writer in writers])

        for rows, found in _in_order(pool, piece, _pieces(block)):
            begin = block.begin + rows.start
            self._records[block.chunk, begin : begin + len(found.records)] = found.records
            for writer, data in zip(writers, found.saved, strict=True):
                writer.write(block.chunk, data)

    def _keep(self, chunk: int) -> None:
        """Write down the results of a chunk, after its predictions."""
        checksums = [0, 0]
        for place, each in self._writing().items():
            checksums[place] = each.writer.finish(chunk)
        if self._state is not None:
            self._state.append(self.text, chunk, self._records[chunk], (checksums[0], checksums[1]))

    def _writing(self) -> dict[int, Saving]:
        return {place: each for place, each in self._savings.items() if not each.is_complete}

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            so_far = f"perplexity {np.exp(self._records['nll'][:done].mean()):.4f}" if done else ""
            self._progress(done, len(self.text), so_far)


def _pieces(block: Block) -> list[slice]:
    step = max(1, _PIECE // block.logits.shape[1])
    count = len(block.targets)
    return [slice(begin, min(begin + step, count)) for begin in range(0, count, step)]


def _in_order(
    pool: Executor, work: Callable[[slice], _Piece], pieces: list[slice]
) -> Iterator[tuple[slice, _Piece]]:
    return zip(pieces, pool.map(work, pieces), strict=True)
