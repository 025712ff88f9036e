"""What an evaluation has found so far, in a file: a process that was killed goes on from it.

A line of JSON says of what the results are; then comes a record of one size for each chunk.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.closing import Closing
from ggmlkit.errors import ArgumentError, FormatError
from ggmlkit.evaluation.distributions import RECORD
from ggmlkit.io.writing.leftovers import is_exclusive

if TYPE_CHECKING:
    from ggmlkit.evaluation.distributions import Records
    from ggmlkit.evaluation.text_chunks import TextChunks

_KIND = "ggmlkit evaluation"
_VERSION = 1
_LONGEST_HEAD = 4096
# Checksums: of all that follows this one, of the chunk's tokens, and of its predictions in each of
# two files (0: not saved).
_NUMBERS = struct.Struct("<IIII")


class StateFile(Closing):
    """The file, open and locked; ``with`` closes it.

    Args:
        path: of the file. It is made if it is not there.
        fingerprint: of all that the results depend on, but the text.
        positions: scored positions of a chunk.

    Raises:
        FormatError: the file holds something else, or results of another evaluation.
        ArgumentError: another process writes it.
        OSError: it can't be written.
    """

    def __init__(self, path: str | os.PathLike[str], fingerprint: str, positions: int) -> None:
        self.path = Path(path)
        self._positions = positions
        self._head = _head(fingerprint, positions)
        self._record_bytes = positions * RECORD.itemsize + _NUMBERS.size
        self._file = self.path.open("ab+", buffering=0)
        try:
            if not is_exclusive(self._file.fileno()):
                raise ArgumentError(f"{self.path} is being written by another process")
            self._check_head()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Write it to the disk. Twice is no error."""
        if not self._file.closed:
            os.fsync(self._file.fileno())
            self._file.close()

    def _check_head(self) -> None:
        self._file.seek(0)
        found = self._file.read(_LONGEST_HEAD)
        if len(found) < len(self._head) and self._head.startswith(found):
            self._file.truncate(0)  # a process was killed as it wrote this
            self._write(self._head)
            return
        if found.startswith(self._head):
            return
        try:
            told = json.loads(found.partition(b"\n")[0])
            is_ours = isinstance(told, dict) and told.get("kind") == _KIND
        except (ValueError, RecursionError):
            is_ours = False
        reason = "the file holds no state of an evaluation; name another one"
        if is_ours:
            reason = (
                "the state is of another model, base or context, or of other settings; name "
                "another file, or delete this one to begin anew"
            )
        raise FormatError(self.path, 0, reason)

    def read(self, text: TextChunks) -> tuple[Records, list[tuple[int, int]]]:
        """The results of the chunks that are done: RECORD ``(chunks, positions)``.

        And for each of them the checksums of its predictions in two files. What a killed process
        left of a record is cut off.

        Raises:
            FormatError: a result is of another text, or damaged.
        """
        self._file.seek(len(self._head))
        found: list[Records] = []
        saved: list[tuple[int, int]] = []
        for chunk in range(len(text)):
            data = self._file.read(self._record_bytes)
            if len(data) < self._record_bytes:
                break
            checksum, tokens, *checksums = _NUMBERS.unpack_from(data)
            offset = len(self._head) + chunk * self._record_bytes
            if zlib.crc32(data[4:]) != checksum:
                raise FormatError(
                    self.path, offset, "the state is damaged; delete it to begin anew"
                )
            if tokens != text.checksum(chunk):
                raise FormatError(
                    self.path,
                    offset,
                    f"the state is of another text: chunk {chunk} has other tokens; name another "
                    "file, or delete this one to begin anew",
                )
            found.append(np.frombuffer(data, RECORD, offset=_NUMBERS.size))
            saved.append((checksums[0], checksums[1]))
        if len(found) < len(text):
            self._file.truncate(len(self._head) + len(found) * self._record_bytes)
        return np.array(found, RECORD).reshape(len(found), self._positions), saved

    def forget(self, chunks: int) -> None:
        """Keep the results of so many chunks alone."""
        self._file.truncate(len(self._head) + chunks * self._record_bytes)

    def append(
        self, text: TextChunks, chunk: int, records: Records, saved: tuple[int, int] = (0, 0)
    ) -> None:
        """Add the results of the next chunk, and checksums of its predictions in two files.

        Raises:
            OSError: it can't be written; the error names the file.
        """
        data = _NUMBERS.pack(0, text.checksum(chunk), *saved)[4:] + records.tobytes()
        self._write(zlib.crc32(data).to_bytes(4, "little") + data)

    def _write(self, data: bytes) -> None:
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            error.filename = os.fspath(self.path)
            raise


def _head(fingerprint: str, positions: int) -> bytes:
    told = {"kind": _KIND, "version": _VERSION, "positions": positions, "of": fingerprint}
    return json.dumps(told).encode() + b"\n"
