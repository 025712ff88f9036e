"""Our own, compact file of a base's predictions: the likeliest tokens, and what the others have.

All numbers are little-endian:

- 8 bytes ``GGKTOP`` and u16 version, 1
- u32 context, u32 vocabulary, u32 chunks, u32 top: tokens that are kept of a position
- 32 bytes: SHA-256 of the vocabulary's token texts
- i32 tokens of all chunks
- for each chunk: of each scored position u32 ids of its ``top`` likeliest tokens, the likeliest
  first, their log-probabilities as f32, that of the token that came next as f32, and the
  probability of all tokens that are not kept as f32; then u32 CRC-32 of all this
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ggmlkit.evaluation.distributions import TopDistribution, at, top_of
from ggmlkit.evaluation.saved_logits import LogitsWriter, SavedLogits
from ggmlkit.evaluation.text_chunks import scored_positions
from ggmlkit.io.mapped_file import Cursor, MappedFile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.evaluation.distributions import Distribution, Floats

NAME = b"GGKTOP"
VERSION = 1
DEFAULT_TOP = 512
_MOST_TOP = 2**20
_HEAD = struct.Struct("<6sHIIII32s")
_CHECKSUM_BYTES = 4
# How far the probabilities of a position may be from 1, which rounding alone does not reach.
_TOLERANCE = 1e-3


def row_type(top: int) -> np.dtype[np.void]:
    """What the file has of a position."""
    return np.dtype(
        [("ids", "<u4", (top,)), ("log_probs", "<f4", (top,)), ("target", "<f4"), ("rest", "<f4")]
    )


class TopLogits(SavedLogits):
    """Such a file, open.

    Attributes:
        top: tokens that are kept of a position.

    Raises:
        FormatError: it is of a later version, a count in it does not fit its size, or a token its
            vocabulary.
    """

    def __init__(self, file: MappedFile) -> None:
        super().__init__(file)
        cursor = Cursor(file)
        head = cursor.raw(_HEAD.size, "the head")
        _, version, context, self.vocab, chunks, self.top, self.vocabulary = _HEAD.unpack(head)
        if version != VERSION:
            raise cursor.fail(f"the file is of version {version}; this build reads {VERSION}", 6)
        if not 1 <= self.top <= min(self.vocab, _MOST_TOP):
            raise cursor.fail(f"{self.top} tokens of a vocabulary of {self.vocab} are kept", 20)
        self._row = row_type(self.top)
        self._chunk_bytes = scored_positions(context) * self._row.itemsize + _CHECKSUM_BYTES
        self._read_tokens(cursor, chunks, context, self._chunk_bytes)
        self._start = cursor.offset
        self._checked: int | None = None

    def distribution(self, chunk: int, begin: int, end: int) -> Distribution:
        """See :meth:`SavedLogits.distribution`."""
        offset = self._start + chunk * self._chunk_bytes
        data = self._file.bytes_at(offset, self._chunk_bytes)
        if self._checked != chunk:
            self._check(data, offset)
            self._checked = chunk
        rows = data[:-_CHECKSUM_BYTES].view(self._row)[begin:end]
        return TopDistribution(
            rows["ids"].astype(np.int64),
            rows["log_probs"].astype(np.float32),
            rows["target"].astype(np.float32),
            rows["rest"].astype(np.float32),
        )

    def _check(self, data: NDArray[np.uint8], offset: int) -> None:
        """Raise FormatError if a chunk is damaged, or is no distribution of probabilities."""
        fail = Cursor(self._file).fail
        rows = data[:-_CHECKSUM_BYTES]
        if zlib.crc32(rows.data) != int.from_bytes(data[-_CHECKSUM_BYTES:].tobytes(), "little"):
            raise fail("the chunk is damaged: its checksum is another", offset)
        self._file.check(offset)
        found = rows.view(self._row)
        ids = found["ids"]
        with np.errstate(all="ignore"):
            kept = found["log_probs"].astype(np.float64)
            sums = np.exp(kept).sum(axis=1) + found["rest"]
            is_sound = (
                (np.abs(sums - 1) < _TOLERANCE)  # which nothing that isn't finite fulfils
                & (found["rest"] >= 0)
                & np.isfinite(found["target"])
                & (found["target"] <= _TOLERANCE)
                & (ids < self.vocab).all(axis=1)
                & (kept[:, 1:] <= kept[:, :-1]).all(axis=1)
            )
        if not is_sound.all():
            place = int(np.flatnonzero(~is_sound)[0])
            raise fail(
                f"position {place} of the chunk holds no probabilities of a vocabulary of "
                f"{self.vocab}",
                offset + place * self._row.itemsize,
            )


class TopLogitsWriter(LogitsWriter):
    """Writes such a file.

    Args:
        file: to write to.
        tokens: of the chunks, int32 ``(chunks, context)``.
        vocab: tokens of the vocabulary.
        vocabulary: its digest, 32 bytes.
        top: tokens to keep of a position; more than the vocabulary has are all.
    """

    def __init__(
        self, file: BinaryIO, tokens: NDArray[np.int32], vocab: int, vocabulary: bytes, top: int
    ) -> None:
        chunks, context = tokens.shape
        self._top = min(top, vocab, _MOST_TOP)
        self._row = row_type(self._top)
        head = _HEAD.pack(NAME, VERSION, context, vocab, chunks, self._top, vocabulary)
        rows_bytes = scored_positions(context) * self._row.itemsize
        head += tokens.astype("<i4").tobytes()
        super().__init__(file, head, rows_bytes, _CHECKSUM_BYTES)

    def rows(self, log_probs: Floats, targets: NDArray[np.int32]) -> bytes:
        """See :meth:`LogitsWriter.rows`."""
        rows = np.empty(len(targets), self._row)
        rows["ids"], rows["log_probs"], rows["rest"] = top_of(log_probs, self._top)
        rows["target"] = at(log_probs, targets)
        return rows.tobytes()

    def _end(self, checksum: int) -> bytes:
        return checksum.to_bytes(_CHECKSUM_BYTES, "little")
