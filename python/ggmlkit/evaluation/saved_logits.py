"""Files of a base's predictions: what reading and writing them has in common.

Both forms hold the tokens of the text's chunks, and rows of one size for all scored positions.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ggmlkit.arguments import counted
from ggmlkit.closing import Closing
from ggmlkit.errors import FormatError
from ggmlkit.evaluation.text_chunks import LEAST_CONTEXT, scored_positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.evaluation.distributions import Distribution, Floats
    from ggmlkit.io.mapped_file import Cursor, MappedFile

MOST_CONTEXT = 2**24
MOST_VOCAB = 2**24


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
        chunk_bytes: of the rows of a chunk, and what ends it.
    """

    def __init__(self, file: BinaryIO, head: bytes, chunk_bytes: int) -> None:
        self._file = file
        self.head = head
        self.chunk_bytes = chunk_bytes

    def begin(self) -> None:
        """Write the head."""
        self._file.seek(0)
        self._file.write(self.head)

    def done_chunks(self) -> int:
        """Whole chunks that a file which was begun before holds; 0 if its head is another."""
        self._file.seek(0)
        if self._file.read(len(self.head)) != self.head:
            return 0
        size = self._file.seek(0, os.SEEK_END)
        return (size - len(self.head)) // self.chunk_bytes

    @abstractmethod
    def rows(self, log_probs: Floats, targets: NDArray[np.int32]) -> bytes:
        """What the file has of some positions.

        Args:
            log_probs: the base's, float32 ``(positions, vocab)``.
            targets: the ids that came next.
        """

    @abstractmethod
    def write(self, chunk: int, begin: int, rows: bytes) -> None:
        """Write the rows of a chunk's positions from ``begin`` on; those before are written."""

    def flush(self) -> None:
        """Give the system all that is written: it stays where the process is killed."""
        self._file.flush()

    def _write_at(self, chunk: int, offset: int, data: bytes) -> None:
        self._file.seek(len(self.head) + chunk * self.chunk_bytes + offset)
        self._file.write(data)


def refused_head(path: os.PathLike[str] | str, start: bytes) -> FormatError:
    """The error about a file that is neither predictions nor a model."""
    return FormatError(path, 0, f"no saved predictions begin with {start!r}")
