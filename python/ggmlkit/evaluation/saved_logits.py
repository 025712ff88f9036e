"""Files of a base's predictions: what reading and writing them has in common.

Both forms hold the tokens of the text's chunks, and rows of one size for all scored positions.
"""

from __future__ import annotations

import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ggmlkit.arguments import counted
from ggmlkit.closing import Closing
from ggmlkit.evaluation.text_chunks import LEAST_CONTEXT, scored_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.evaluation.distributions import Distribution, Floats
    from ggmlkit.io.mapped_file import Cursor, MappedFile

MOST_CONTEXT = 2**24
MOST_VOCAB = 2**24
_PORTION = 1 << 20


class SavedLogits(Closing):
    """An open file of a base's predictions; ``with`` closes it.

    Attributes:
        path: the file.
        tokens: of the chunks that it is about, int32 ``(chunks, context)``.
        vocab: how many tokens the base's vocabulary has.
        vocabulary: its digest; None where the form has none.
    """

    tokens: NDArray[np.int32]
    vocab: int
    vocabulary: bytes | None = None

    def __init__(self, file: MappedFile) -> None:
        self.path = file.path
        self._file = file

    @property
    def positions(self) -> int:
        """Scored positions of a chunk."""
        return scored_positions(int(self.tokens.shape[1]))

    @abstractmethod
    def distribution(self, chunk: int, begin: int, end: int) -> Distribution:
        """What the base predicts at scored positions ``begin`` to ``end`` of a chunk.

        Raises:
            FormatError: the file is damaged there.
        """

    def close(self) -> None:
        """Close the file. Twice is no error."""
        self._file.close()

    def _read_tokens(self, cursor: Cursor, chunks: int, context: int, chunk_bytes: int) -> None:
        """Check the counts against the file's size, and read the tokens of all chunks."""
        start = cursor.offset
        if not LEAST_CONTEXT <= context <= MOST_CONTEXT:
            raise cursor.fail(f"a context of {context} tokens has no scored positions")
        if not 1 <= self.vocab <= MOST_VOCAB:
            raise cursor.fail(f"a vocabulary of {self.vocab} tokens is none")
        if chunks < 1:
            raise cursor.fail(f"the file holds {chunks} chunks")
        expected = chunks * (4 * context + chunk_bytes)
        if cursor.left < expected:
            whole = max(0, cursor.left - 4 * context * chunks) // chunk_bytes
            raise cursor.fail(
                f"{counted(chunks, 'chunk')} of {context} tokens need {expected} bytes, but the "
                f"file has {cursor.left}, enough for {whole}: it was cut short, or its writer was "
                "stopped",
                start,
            )
        if cursor.left > expected:
            raise cursor.fail(
                f"{cursor.left - expected} bytes are left behind {counted(chunks, 'chunk')}", start
            )
        tokens = cursor.array("i4", chunks * context, "the tokens").astype(np.int32)
        bad = np.flatnonzero((tokens < 0) | (tokens >= self.vocab))
        if bad.size:
            raise cursor.fail(
                f"token {tokens[bad[0]]} is not in a vocabulary of {self.vocab}",
                start + 4 * int(bad[0]),
            )
        self.tokens = tokens.reshape(chunks, context)


class LogitsWriter(ABC):
    """Writes such a file: its head, then rows in any order of chunks.

    Args:
        file: to write to, from its beginning on.
        head: what comes before the rows.
        rows_bytes: of the rows of a chunk.
        end_bytes: of what ends it.
    """

    def __init__(self, file: BinaryIO, head: bytes, rows_bytes: int, end_bytes: int = 0) -> None:
        self._file = file
        self.head = head
        self._rows_bytes = rows_bytes
        self.chunk_bytes = rows_bytes + end_bytes
        self._begun: dict[int, tuple[int, int]] = {}  # bytes and checksum of chunks' rows so far

    def begin(self) -> None:
        """Write the head."""
        self._file.seek(0)
        self._file.write(self.head)

    def verified(self, checksums: Sequence[int]) -> int:
        """How many of the first chunks, of these checksums, a file that was begun before holds."""
        self._file.seek(0)
        if self._file.read(len(self.head)) != self.head:
            return 0
        for chunk, checksum in enumerate(checksums):
            if self._checksum_of_file(chunk) != checksum:
                return chunk
        return len(checksums)

    def _checksum_of_file(self, chunk: int) -> int | None:
        """The checksum of a chunk's rows; None if the file does not have all of it."""
        begin = self._start(chunk)
        if self._file.seek(0, os.SEEK_END) < begin + self.chunk_bytes:
            return None
        self._file.seek(begin)
        checksum, left = 0, self._rows_bytes
        while left:
            data = self._file.read(min(left, _PORTION))
            checksum, left = zlib.crc32(data, checksum), left - len(data)
            if not data:
                return None
        return checksum

    @abstractmethod
    def rows(self, log_probs: Floats, targets: NDArray[np.int32]) -> bytes:
        """What the file has of some positions.

        Args:
            log_probs: the base's, float32 ``(positions, vocab)``.
            targets: the ids that came next.
        """

    def write(self, chunk: int, rows: bytes) -> None:
        """Write the next rows of a chunk."""
        begin, checksum = self._begun.get(chunk, (0, 0))
        self._file.seek(self._start(chunk) + begin)
        self._file.write(rows)
        self._begun[chunk] = begin + len(rows), zlib.crc32(rows, checksum)
        if begin + len(rows) == self._rows_bytes:
            self._file.write(self._end(self._begun[chunk][1]))

    def finish(self, chunk: int) -> int:
        """The checksum of a chunk's rows, all of them written, which are given to the system: they
        stay there if the process is killed."""
        self._file.flush()
        return self._begun.pop(chunk)[1]

    def _end(self, checksum: int) -> bytes:  # noqa: ARG002
        """What ends a chunk whose rows have this checksum."""
        return b""

    def _start(self, chunk: int) -> int:
        return len(self.head) + chunk * self.chunk_bytes
