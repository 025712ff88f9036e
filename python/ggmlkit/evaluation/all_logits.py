"""llama-perplexity's file of all log-probabilities (``--kl-divergence-base``), read and written.

``_logits_``, then u32 or i32: context, vocabulary, chunks; the tokens of all chunks, i32. For each
scored position a row: f32 step, f32 lowest log-probability, a u16 for each token of the vocabulary
(log-probability = step × number + lowest), and two bytes more where the vocabulary is odd.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ggmlkit.evaluation.distributions import FullDistribution
from ggmlkit.evaluation.saved_logits import LogitsWriter, SavedLogits
from ggmlkit.evaluation.text_chunks import scored_positions
from ggmlkit.io.mapped_file import Cursor, MappedFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.evaluation.distributions import Distribution, Floats

MAGIC = b"_logits_"
# Nats below the likeliest token that are told apart; also the log-probability from which on
# llama-perplexity counts a token as impossible.
_RANGE = 16.0
_STEPS = 65535
# The least log-probability that a file may have, far below any, and how far above 0 rounding leads.
_LOWEST, _TOLERANCE = 1e6, 1e-2
_HEAD = struct.Struct("<8sIii")


def row_bytes(vocab: int) -> int:
    """Bytes of a position."""
    return 2 * (vocab + vocab % 2) + 8


class AllLogits(SavedLogits):
    """Such a file, open.

    Raises:
        FormatError: a count in it does not fit its size, or a token its vocabulary.
    """

    def __init__(self, file: MappedFile) -> None:
        super().__init__(file)
        cursor = Cursor(file)
        cursor.skip(len(MAGIC), "the mark")
        context = cursor.u32("the context")
        self.vocab, chunks = cursor.i32("the vocabulary"), cursor.i32("the chunks")
        self._row_bytes = row_bytes(self.vocab)
        self._read_tokens(cursor, chunks, context, scored_positions(context) * self._row_bytes)
        self._start = cursor.offset

    def distribution(self, chunk: int, begin: int, end: int) -> Distribution:
        """See :meth:`SavedLogits.distribution`."""
        offset = self._start + (chunk * self.positions + begin) * self._row_bytes
        count = end - begin
        data = self._file.bytes_at(offset, count * self._row_bytes).reshape(count, -1)
        scales = np.ascontiguousarray(data[:, :8]).view("<f4").astype(np.float32)
        self._file.check(offset)
        with np.errstate(all="ignore"):
            step, lowest = scales.astype(np.float64).T
            is_sound = (step >= 0) & (lowest > -_LOWEST) & (lowest + _STEPS * step < _TOLERANCE)
        if not is_sound.all():
            place = int(np.flatnonzero(~is_sound)[0])
            raise Cursor(self._file).fail(
                "a position has no log-probabilities", offset + place * self._row_bytes
            )
        steps = data[:, 8 : 8 + 2 * self.vocab]

        def log_probs(rows: slice) -> Floats:
            numbers = np.ascontiguousarray(steps[rows]).view("<u2").astype(np.float32)
            numbers *= scales[rows, :1]
            numbers += scales[rows, 1:]
            return numbers

        return FullDistribution(log_probs, floor=-_RANGE)


class AllLogitsWriter(LogitsWriter):
    """Writes such a file.

    Args:
        file: to write to.
        tokens: of the chunks, int32 ``(chunks, context)``.
        vocab: tokens of the vocabulary.
    """

    def __init__(self, file: BinaryIO, tokens: NDArray[np.int32], vocab: int) -> None:
        chunks, context = tokens.shape
        head = _HEAD.pack(MAGIC, context, vocab, chunks) + tokens.astype("<i4").tobytes()
        super().__init__(file, head, scored_positions(context) * row_bytes(vocab))

    def rows(self, log_probs: Floats, targets: NDArray[np.int32]) -> bytes:  # noqa: ARG002
        """See :meth:`LogitsWriter.rows`."""
        return packed(log_probs).tobytes()


def packed(log_probs: Floats) -> NDArray[np.uint8]:
    """Rows of the file: uint8 ``(positions, row_bytes(vocab))``."""
    count, vocab = log_probs.shape
    highest = log_probs.max(axis=1, keepdims=True)
    lowest = np.maximum(log_probs.min(axis=1, keepdims=True), highest - np.float32(_RANGE))
    step = (highest - lowest) / np.float32(_STEPS)
    rows = np.zeros((count, row_bytes(vocab)), np.uint8)
    rows[:, :4] = step.astype("<f4").view(np.uint8)
    rows[:, 4:8] = lowest.astype("<f4").view(np.uint8)
    inverse = np.divide(np.float32(1), step, out=np.zeros_like(step), where=step > 0)
    numbers = np.rint(np.maximum(log_probs - lowest, 0) * inverse)
    rows[:, 8 : 8 + 2 * vocab] = numbers.astype("<u2").view(np.uint8)
    return rows
