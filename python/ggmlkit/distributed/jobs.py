"""Jobs on a Ray cluster that know nothing of each other, such as files to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from ggmlkit.distributed.pool import Pool, Task

Result = TypeVar("Result")


def results(
    jobs: Sequence[Callable[[], Result]],
    address: str,
    *,
    cores: int = 1,
    workers: int | None = None,
) -> Iterator[tuple[int, Result | None, str]]:
    """The number of each job, its result, and why there is none; in the order of their ends.

    A job whose worker dies begins anew on another one, so what it writes must appear whole or not
    at all. If three workers die over it, that is its error, and the others go on.

    Args:
        jobs: are pickled.
        address: of the cluster, as for :func:`ggmlkit.distributed.connection.connected`.
        cores: that each has.
        workers: how many run at a time; None for as many as the cluster has cores for.

    Raises:
        GgmlkitError: there is no such cluster, or what a job raises.
    """
    tasks: list[Task[Callable[[], Result], Result]] = [Task(job) for job in jobs]
    places = {id(task): place for place, task in enumerate(tasks)}
    pool: Pool[Callable[[], Result], Result] = Pool(
        _opened, address, cores=cores, workers=workers, most=len(tasks)
    )
    with pool:
        for task in tasks:
            pool.submit(task)
        for _ in tasks:
            done = pool.next_done()
            yield places[id(done)], done.result, done.error


def _opened() -> tuple[None, Callable[[Callable[[], Result]], Result]]:
    return None, _done


def _done(job: Callable[[], Result]) -> Result:
    return job()
