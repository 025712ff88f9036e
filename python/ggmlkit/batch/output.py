"""The file that a batch writes: whole lines, whatever ends the program, so that it can go on."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from ggmlkit.batch.envelope import ID_PREFIX
from ggmlkit.batch.jobs import FINGERPRINT
from ggmlkit.batch.lines import Line
from ggmlkit.closing import Closing
from ggmlkit.errors import ArgumentError, FormatError
from ggmlkit.io.writing.leftovers import is_exclusive

_SECONDS_BETWEEN_SYNCS = 5.0
_HEADS = (f'{{"{FINGERPRINT}": "', f'{{"id": "{ID_PREFIX}')  # before the fingerprint
_HEAD = re.compile(("(?:" + "|".join(map(re.escape, _HEADS)) + r')([0-9a-f]{16})"').encode())


@dataclass
class Done:
    """What an earlier run has written.

    Attributes:
        lines: of output.
        failures: among them.
    """

    lines: int = 0
    failures: int = 0


class OutputFile(Closing):
    """A file that gets a line for each line of a batch, in their order; ``with`` closes it.

    Each line is appended at once, so a process that is killed leaves whole lines, and perhaps a
    part of one at the end. Something other than a regular file, such as a pipe, is written only.

    Args:
        path: of the file.
        overwrite: forget what is in it.

    Raises:
        ArgumentError: another process writes it.
        OSError: it can't be written.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self._file = path.open("ab+", buffering=0)
        self._synced = time.monotonic()
        try:
            self.is_regular = stat.S_ISREG(os.fstat(self._file.fileno()).st_mode)
            if self.is_regular:
                self._lock()
                if overwrite:
                    self._file.truncate(0)
        except BaseException:
            self._file.close()
            raise

    def _lock(self) -> None:
        if not is_exclusive(self._file.fileno()):
            raise ArgumentError(f"{self.path} is being written by another process")

    def close(self) -> None:
        """Write it to the disk. Twice is no error."""
        if not self._file.closed:
            self._sync()
            self._file.close()

    def write(self, data: bytes) -> None:
        """Append a line, its line break included.

        Raises:
            OSError: it can't be written; the error names the file.
        """
        try:
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            error.filename = os.fspath(self.path)
            raise
        if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
            self._sync()

    def _sync(self) -> None:
        if self.is_regular:
            os.fsync(self._file.fileno())
        self._synced = time.monotonic()

    def skip_done(
        self, lines: Iterator[Line], fingerprint: Callable[[Line], str]
    ) -> tuple[Done, Iterator[Line]]:
        """Take the lines that have their line of output already, and cut off a part of one.

        Args:
            lines: of the batch.
            fingerprint: of a line.

        Returns:
            what is done, and the lines that are left.

        Raises:
            FormatError: the file has something other than the output of these lines; it is left as
                it is.
        """
        done = Done()
        if not self.is_regular:
            return done, lines
        end = 0
        with self.path.open("rb") as file:
            while data := file.readline():
                line = next(lines, None)
                if line is None:
                    raise self._other(end, done, "the input has fewer lines")
                head = _HEAD.match(data)
                is_part = not data.endswith(b"\n")
                if is_part and head is None:  # cut within the fingerprint
                    is_ours = any(
                        _head(each, line, fingerprint).startswith(data) for each in _HEADS
                    )
                else:
                    is_ours = head is not None and head[1].decode() == fingerprint(line)
                if not is_ours:
                    raise self._other(end, done, f"it is not the answer to line {line.number}")
                if is_part:
                    self._file.truncate(end)
                    return done, chain([line], lines)
                done.failures += _is_failure(self._json(data, end))
                done.lines += 1
                end += len(data)
        return done, lines

    def _json(self, data: bytes, offset: int) -> dict[str, Any]:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise FormatError(self.path, offset, "the line is damaged; --overwrite begins anew")
        return found

    def _other(self, offset: int, done: Done, reason: str) -> FormatError:
        return FormatError(
            self.path,
            offset,
            f"line {done.lines + 1} is of another batch: {reason} with this model and these "
            "settings; name another file, or --overwrite it",
        )


def _head(before: str, line: Line, fingerprint: Callable[[Line], str]) -> bytes:
    """How a line of output begins."""
    return f'{before}{fingerprint(line)}"'.encode()


def _is_failure(answer: dict[str, Any]) -> bool:
    """Whether a line of output says why a line could not be answered."""
    response = answer.get("response")
    code = response.get("status_code") if isinstance(response, dict) else None
    return answer.get("error") is not None or code not in (None, 200)
