"""A batch of prompts on a Ray cluster: workers with a model each, answers in the lines' order.

Plain actors and a bounded window, not Ray Data: exactly-once and order are then a deque in this
process, which alone writes, and a batch can go on where an earlier one stopped.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, Final

import ray
from ray.exceptions import RayActorError, RayTaskError

from ggmlkit.arguments import whole
from ggmlkit.batch.batch import Answer, Batch, fingerprint
from ggmlkit.batch.lines import Line
from ggmlkit.closing import Closing
from ggmlkit.distributed.connection import connected
from ggmlkit.errors import GgmlkitError, ModelError

_ROUNDS: Final = 4  # of a chunk: lines for each prompt that a worker generates for
_CHUNKS: Final = 2  # that a worker has: one is on its way while the other is answered
_AHEAD: Final = 4  # chunks for each worker, whose answers may wait for an earlier one
_TRIES: Final = 3  # workers that may die over a chunk


class Worker:
    """What runs in a process of its own."""

    def __init__(self, open_batch: Callable[[], Batch]) -> None:
        self._open = open_batch

    def open(self) -> bytes:
        """Load the model; what the fingerprints depend on."""
        with _picklable():
            self._batch = self._open()
        return self._batch.key

    def answers(self, lines: list[Line]) -> list[Answer]:
        """Of some lines, in their order."""
        with _picklable():
            return list(self._batch.answers(lines))

    def pid(self) -> int:
        """Of the process."""
        return os.getpid()


@contextmanager
def _picklable() -> Iterator[None]:
    """Errors of the library as one that another process can read; some have parts of their own."""
    try:
        yield
    except GgmlkitError as error:
        raise ModelError(str(error)) from None


@dataclass
class _Chunk:
    """Lines that one worker answers.

    Attributes:
        answers: None while they are not there.
        deaths: of workers that had it first in their queue.
    """

    lines: list[Line]
    answers: list[Answer] | None = None
    deaths: int = 0


@dataclass
class _Running:
    """A worker.

    Attributes:
        actor: of Ray.
        opening: the result of its ``open``; None once it is there.
        chunks: that it has, by what they will be.
    """

    actor: Any
    opening: Any
    chunks: dict[Any, _Chunk] = field(default_factory=dict)


class RayBatch(Closing):
    """A :class:`ggmlkit.batch.batch.Batch` whose lines the workers of a cluster answer.

    A worker that dies is replaced, and its lines are answered by others. Only this process keeps
    answers, so each line has one.

    Args:
        open_batch: makes the batch of a worker there; it is pickled.
        address: of the cluster, as for :func:`connected`.
        parallel: prompts that a worker generates for at a time.
        cores: that a worker has.
        workers: how many; None for as many as the cluster has cores for.

    Raises:
        GgmlkitError: there is no such cluster, or what a worker says that can't load its model.
    """

    def __init__(
        self,
        open_batch: Callable[[], Batch],
        address: str,
        *,
        parallel: int,
        cores: int = 1,
        workers: int | None = None,
    ) -> None:
        self._per_chunk = whole(parallel, "parallel", least=1) * _ROUNDS
        self._stack = ExitStack()
        self._workers: list[_Running] = []
        self._stack.enter_context(connected(address))
        try:
            if workers is None:
                workers = max(1, int(ray.cluster_resources().get("CPU", 1)) // cores)
            # A worker whose machine has gone is replaced here, where its lines are known.
            actor = ray.remote(num_cpus=cores, max_restarts=0)(Worker)
            self._new_actor: Callable[[], Any] = partial(actor.remote, open_batch)
            for _ in range(workers):
                self._start()
            self._key = self._first_key()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers. Twice is no error."""
        while self._workers:
            ray.kill(self._workers.pop().actor)
        self._stack.close()

    def fingerprint(self, line: Line) -> str:
        """As :meth:`Batch.fingerprint`."""
        return fingerprint(self._key, line)

    def answers(self, lines: Iterable[Line]) -> Iterator[Answer]:
        """The answer of each line, in their order; see :meth:`Batch.answers`.

        Raises:
            GgmlkitError: what a worker raises, or workers die over the same lines again and again.
        """
        source = iter(lines)
        chunks: deque[_Chunk] = deque()  # all that are not yielded, in order
        waiting: deque[_Chunk] = deque()  # those of them that no worker has
        while True:
            while len(chunks) < _AHEAD * len(self._workers):
                some = list(islice(source, self._per_chunk))
                if not some:
                    break
                chunks.append(_Chunk(some))
                waiting.append(chunks[-1])
            if not chunks:
                return
            if (answers := chunks[0].answers) is not None:
                chunks.popleft()
                yield from answers
                continue
            self._hand_out(waiting)
            self._wait(waiting)

    def _hand_out(self, waiting: deque[_Chunk]) -> None:
        """Give chunks to the workers with the fewest."""
        for most in range(1, _CHUNKS + 1):
            for worker in self._workers:
                if waiting and worker.opening is None and len(worker.chunks) < most:
                    chunk = waiting.popleft()
                    worker.chunks[worker.actor.answers.remote(chunk.lines)] = chunk

    def _wait(self, waiting: deque[_Chunk]) -> None:
        """Until a worker has answered or begun, or died."""
        owners = {ref: worker for worker in self._workers for ref in worker.chunks}
        owners |= {each.opening: each for each in self._workers if each.opening is not None}
        (ref,), _ = ray.wait(list(owners), num_returns=1)
        worker = owners[ref]
        try:
            found = _result(ref)
        except RayActorError as error:
            self._replace(worker, waiting, error)
            return
        if ref is worker.opening:
            worker.opening = None
        else:
            worker.chunks.pop(ref).answers = found

    def _replace(self, worker: _Running, waiting: deque[_Chunk], error: RayActorError) -> None:
        """Another worker for one that died, and its chunks before all others."""
        chunks = list(worker.chunks.values())
        self._workers.remove(worker)
        if chunks:
            first = chunks[0]
            first.deaths += 1
            if first.deaths == _TRIES:
                raise ModelError(
                    f"{_TRIES} workers died over lines {first.lines[0].number} to "
                    f"{first.lines[-1].number}: {_first_line(error)}"
                )
        waiting.extendleft(reversed(chunks))
        self._start()

    def _start(self) -> None:
        actor = self._new_actor()
        self._workers.append(_Running(actor, actor.open.remote()))

    def _first_key(self) -> bytes:
        """What the fingerprints depend on, of the first worker that is there."""
        for _ in range(_TRIES):
            owners = {each.opening: each for each in self._workers}
            (ref,), _ = ray.wait(list(owners), num_returns=1)
            try:
                key: bytes = _result(ref)
            except RayActorError as error:
                reason = _first_line(error)
                self._replace(owners[ref], deque(), error)
                continue
            owners[ref].opening = None
            return key
        raise ModelError(f"{_TRIES} workers died before they began: {reason}")


def _result(ref: Any) -> Any:
    """What a worker returned; raises what it raised, or RayActorError if it died."""
    try:
        return ray.get(ref)
    except RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
