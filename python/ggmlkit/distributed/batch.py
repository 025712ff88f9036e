"""A batch of prompts on a Ray cluster: workers with a model each, answers in the lines' order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Final

from ggmlkit.arguments import whole
from ggmlkit.batch.batch import Answer, Batch, fingerprint
from ggmlkit.batch.lines import Line
from ggmlkit.closing import Closing
from ggmlkit.distributed.pool import Pool, Task
from ggmlkit.errors import ModelError

_ROUNDS: Final = 4  # of a task: lines for each prompt that a worker generates for
_TASKS: Final = 2  # that a worker has: one is on its way while the other is done
_AHEAD: Final = 4  # tasks for each worker, whose answers may wait for an earlier one

_Chunk = Task[list[Line], list[Answer]]


class RayBatch(Closing):
    """A :class:`ggmlkit.batch.batch.Batch` whose lines the workers of a cluster answer.

    A worker that dies is replaced, and its lines are answered by others. Only this process keeps
    answers, so each line has one, and a batch can go on where an earlier one stopped.

    Args:
        open_batch: makes the batch of a worker there; it is pickled.
        address: of the cluster, as for :func:`ggmlkit.distributed.connection.connected`.
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
        self.pool: Pool[list[Line], list[Answer]] = Pool(
            partial(_opened, open_batch), address, cores=cores, workers=workers, at_once=_TASKS
        )

    def close(self) -> None:
        """End the workers. Twice is no error."""
        self.pool.close()

    def fingerprint(self, line: Line) -> str:
        """As :meth:`Batch.fingerprint`."""
        key: bytes = self.pool.said
        return fingerprint(key, line)

    def answers(self, lines: Iterable[Line]) -> Iterator[Answer]:
        """The answer of each line, in their order; see :meth:`Batch.answers`.

        Raises:
            GgmlkitError: what a worker raises, or workers die over the same lines again and again.
        """
        source = iter(lines)
        chunks: deque[_Chunk] = deque()  # all that are not yielded, in order
        while True:
            while len(chunks) < _AHEAD * self.pool.workers:
                some = list(islice(source, self._per_chunk))
                if not some:
                    break
                chunks.append(Task(some))
                self.pool.submit(chunks[-1])
            if not chunks:
                return
            while chunks[0].result is None:
                self._check(self.pool.next_done())
            yield from chunks.popleft().result or []

    def _check(self, done: _Chunk) -> None:
        if done.error:
            first, last = done.work[0].number, done.work[-1].number
            raise ModelError(f"lines {first} to {last} can't be answered: {done.error}")


def _opened(
    open_batch: Callable[[], Batch],
) -> tuple[bytes, Callable[[list[Line]], list[Answer]]]:
    """A worker: what its answers depend on, and what gives them."""
    batch = open_batch()
    return batch.key, partial(_answers, batch)


def _answers(batch: Batch, lines: list[Line]) -> list[Answer]:
    return list(batch.answers(lines))
