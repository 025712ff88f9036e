"""Writes tensors to a file, a part at a time, with progress."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from ggmlkit import _core
from ggmlkit.arguments import thread_count
from ggmlkit.io.pages import release
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.types import TensorType

    Bytes = NDArray[np.uint8]


Progress = Callable[[int, int, str], None]
"""Called with (bytes written, total bytes, name of the next tensor or "" at the end) on the thread
that saves: before each part that this thread writes, and at the end."""


class Part(NamedTuple):
    """A part of a tensor's data: its size, and a function that writes it into an array.

    The function is called as ``make(out, threads)``, on any thread.
    """

    nbytes: int
    make: Callable[[Bytes, int | None], None]


class PartedTensor(Tensor):
    """A tensor whose data is computed on demand: whole, or in parts for a writer.

    Args:
        type: as in any tensor, like ``shape`` and ``name``.
        parts: returns the data's parts in order; called again for each use.
        threads: the number that compute the whole data.
        sources: tensors that the data is computed from; see :meth:`Tensor.check`.
    """

    __slots__ = ("parts", "threads")

    def __init__(
        self,
        type: str | TensorType,
        shape: tuple[int, ...],
        parts: Callable[[], Iterable[Part]],
        name: str = "",
        threads: int | None = None,
        sources: Iterable[Tensor] = (),
    ) -> None:
        self.parts = parts
        self.threads = threads

        def data() -> Bytes:
            whole = np.empty(self.nbytes, np.uint8)
            end = 0
            for part in parts():
                start, end = end, end + part.nbytes
                part.make(whole[start:end], threads)
            return whole

        super().__init__(type, shape, data, name, sources)

    def _part(self, start: int, nbytes: int) -> Callable[[], Bytes]:
        """A function that returns a range of the data; only the parts in it are computed."""

        def data() -> Bytes:
            found = np.empty(nbytes, np.uint8)
            end = 0
            for part in self.parts():
                begin, end = end, end + part.nbytes
                first, last = max(begin, start), min(end, start + nbytes)
                if first < last:
                    made = np.empty(part.nbytes, np.uint8)
                    part.make(made, self.threads)
                    found[first - start : last - start] = made[first - begin : last - begin]
                if end >= start + nbytes:
                    break
            return found

        return data


def parts_of(tensor: Tensor) -> Iterator[Part]:
    """The parts of any tensor for a writer: its own, or slices of its data."""
    if isinstance(tensor, PartedTensor):
        yield from tensor.parts()
        return
    pieces = _Pieces(tensor)
    for start, nbytes in pieces.places:
        yield Part(nbytes, partial(pieces.copy, start))


# After so many bytes, the system is asked to store them: most of a file is then on the disk when
# its last byte is written, and the wait at the end is short.
_WRITEBACK_STEP = 16 << 20
# Bytes that a thread writes at a time of a tensor that is not a `PartedTensor`.
_PIECE = 4 << 20


def write_data(out: IO[bytes], tensor: Tensor) -> None:
    """Append a tensor's data to a file; FormatError if its source was cut short meanwhile."""
    buffer, threads = _Buffer(), tensor.threads if isinstance(tensor, PartedTensor) else 1
    try:
        for part in parts_of(tensor):
            made = buffer.of(part.nbytes)
            part.make(made, threads)
            out.write(made.data)
    finally:
        # Checked also if the write failed, as a source that was cut short can be the reason.
        tensor.check()


def write_tensors(
    out: BinaryIO,
    placed: Sequence[tuple[int, str, Tensor]],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> None:
    """Write each tensor's data at its place, given as (offset in the file, name, tensor).

    Each thread makes and writes one part at a time, so that some read and compute while another
    writes. Memory holds one part per thread, and the whole data of a tensor that is not a
    `PartedTensor`; seldom of more than two such tensors, as they are read one after another.
    """
    out.flush()
    stream = _Stream(out.fileno(), placed, progress)
    stream.run(thread_count(threads) or _core.available_threads())


class _Job(NamedTuple):
    number: int
    offset: int
    name: str
    nbytes: int
    data: Callable[[_Buffer], Bytes]


class _Buffer:
    """A buffer that one thread reuses for each part."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def of(self, nbytes: int) -> Bytes:
        if self._bytes.size < nbytes:
            self._bytes = np.empty(nbytes, np.uint8)
        return self._bytes[:nbytes]


class _Stream:
    """Jobs that a few threads, including the caller's, take in order."""

    def __init__(
        self,
        descriptor: int,
        placed: Sequence[tuple[int, str, Tensor]],
        progress: Progress | None,
    ) -> None:
        self._descriptor = descriptor
        self._progress = progress
        self._tensors = [tensor for _, _, tensor in placed]
        self._jobs = _jobs(placed)
        self._total = sum(tensor.nbytes for _, _, tensor in placed)
        self._begun = 0
        self._done = 0
        self._next_writeback = _WRITEBACK_STEP
        self._failures: dict[int, BaseException] = {}
        self._lock = threading.Lock()
        self._stopped = False

    def run(self, threads: int) -> None:
        helpers = [threading.Thread(target=self._help) for _ in range(threads - 1)]
        # Taken before the helpers start, so that this thread has a job and reports it.
        first = self._next()
        if first is not None:
            self._report(first)
        for helper in helpers:
            helper.start()
        try:
            self._work(first, self._report)
        finally:
            self._stopped = True
            for helper in helpers:
                helper.join()
        # A source that was cut short meanwhile is the reason of any other failure.
        for tensor in self._tensors:
            tensor.check()
        if self._failures:
            raise self._failures[min(self._failures)]
        if self._progress is not None:
            self._progress(self._total, self._total, "")

    def _help(self) -> None:
        self._work(self._next(), lambda _: None)

    def _work(self, job: _Job | None, report: Callable[[_Job], None]) -> None:
        buffer = _Buffer()
        while job is not None:
            try:
                _write(self._descriptor, job.data(buffer), job.offset)
            except Exception as error:
                self._fail(job.number, error)
            if self._finished(job):
                _core.start_writeback(self._descriptor)
            job = self._next()
            if job is not None:
                report(job)

    def _finished(self, job: _Job) -> bool:
        """Count the job's bytes; returns whether the system should be asked to store them."""
        with self._lock:
            self._done += job.nbytes
            due = self._done >= self._next_writeback
            if due:
                self._next_writeback = self._done + _WRITEBACK_STEP
            return due

    def _next(self) -> _Job | None:
        with self._lock:
            if self._stopped:
                return None
            try:
                job = next(self._jobs, None)
            except Exception as error:  # a tensor that can't be read
                self._fail(self._begun, error)
                return None
            self._begun += 1
            return job

    def _fail(self, number: int, error: Exception) -> None:
        # Jobs that began before this one still end. So the failure that is first in the file is
        # raised, whatever the number of threads.
        self._failures[number] = error
        self._stopped = True

    def _report(self, job: _Job) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total, job.name)


def _jobs(placed: Sequence[tuple[int, str, Tensor]]) -> Iterator[_Job]:
    number = 0
    for offset, name, tensor in placed:
        for nbytes, data in _pieces(tensor):
            yield _Job(number, offset, name, nbytes, data)
            number += 1
            offset += nbytes


def _pieces(tensor: Tensor) -> Iterator[tuple[int, Callable[[_Buffer], Bytes]]]:
    if isinstance(tensor, PartedTensor):
        for part in tensor.parts():
            yield part.nbytes, _maker(part)
        return
    pieces = _Pieces(tensor)
    for start, nbytes in pieces.places:
        yield nbytes, partial(pieces.take, start)


class _Pieces:
    """A tensor's data in pieces; read once and freed when the last piece has been taken.

    If each thread read the data itself, each would have all of it in memory.

    Attributes:
        places: start and size of the pieces.
    """

    def __init__(self, tensor: Tensor) -> None:
        data = tensor.data
        starts = range(0, data.size, _PIECE)
        self.places = [(start, min(_PIECE, data.size - start)) for start in starts]
        self._data: Bytes | None = data
        self._left = len(self.places)
        self._lock = threading.Lock()

    def take(self, start: int, _buffer: object = None) -> Bytes:
        """A view of the piece that begins at ``start``; each piece can be taken once."""
        with self._lock:
            data = self._data
            self._left -= 1
            if not self._left:
                self._data = None
        assert data is not None
        return data[start : start + _PIECE]

    def copy(self, start: int, out: Bytes, _threads: int | None) -> None:
        """Copy a piece into an array of its size."""
        piece = self.take(start)
        out[:] = piece
        release(piece)


def _maker(part: Part) -> Callable[[_Buffer], Bytes]:
    def data(buffer: _Buffer) -> Bytes:
        made = buffer.of(part.nbytes)
        part.make(made, 1)
        return made

    return data


def _write(descriptor: int, data: Bytes, offset: int) -> None:
    left = data.data
    while left:
        written = os.pwrite(descriptor, left, offset)
        left, offset = left[written:], offset + written
    release(data)  # pages of a mapped file needn't stay in memory
