"""Workers on a Ray cluster: processes that do tasks, and are replaced when they die.

Plain actors, not Ray Data: a queue in this process then knows which tasks are done, so each is done
once, and a worker's death costs what that worker had and nothing else.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Generic, TypeVar

import ray
from ray.exceptions import RayActorError, RayTaskError

from ggmlkit.closing import Closing
from ggmlkit.distributed.connection import connected
from ggmlkit.errors import GgmlkitError, ModelError

LOG = logging.getLogger("ggmlkit.distributed")
TRIES: Final = 3  # workers that may die over a task
_PATIENCE: Final = 10.0  # seconds for the first worker, until it is said what is waited for

Work = TypeVar("Work")
Result = TypeVar("Result")
# Makes a worker, there: what it says of itself, and what does its tasks.
Opening = Callable[[], tuple[Any, Callable[[Work], Result]]]


class _Process(Generic[Work, Result]):
    """What runs in a process of its own."""

    def __init__(self, opening: Opening[Work, Result]) -> None:
        self._opening = opening

    def open(self) -> tuple[int, Any]:
        """Load what it needs; the process, and what it says of itself."""
        with _picklable():
            said, self._do = self._opening()
        return os.getpid(), said

    def do(self, work: Work) -> Result:
        """The result of some work."""
        with _picklable():
            return self._do(work)


@contextmanager
def _picklable() -> Iterator[None]:
    """Errors of the library as one that another process can read; some have parts of their own."""
    try:
        yield
    except GgmlkitError as error:
        raise ModelError(str(error)) from None


@dataclass(eq=False)
class Task(Generic[Work, Result]):
    """Some work for a worker.

    Attributes:
        result: None until it is there.
        error: why there will be none; empty otherwise.
        deaths: of workers that had it first in their queue.
    """

    work: Work
    result: Result | None = None
    error: str = ""
    deaths: int = 0


@dataclass(eq=False)
class _Worker(Generic[Work, Result]):
    """A worker.

    Attributes:
        actor: of Ray.
        opening: the result of its ``open``; None once it is there.
        pid: of its process, on its machine; 0 before it has begun.
        tasks: that it has, by what their results will be.
    """

    actor: Any
    opening: Any
    pid: int = 0
    tasks: dict[Any, Task[Work, Result]] = field(default_factory=dict)


class Pool(Closing, Generic[Work, Result]):
    """Workers of a cluster. A worker that dies is replaced, and its tasks are done by others.

    Args:
        opening: makes a worker; it is pickled, and called there.
        address: of the cluster, as for :func:`connected`.
        cores: that a worker has.
        workers: how many; None for as many as the cluster has cores for.
        most: workers that have something to do; None if nobody knows.
        at_once: tasks that a worker is given at a time, of which it does one after the other.

    Attributes:
        said: what the first worker said of itself.

    Raises:
        GgmlkitError: there is no such cluster, or what a worker raises that can't begin.
    """

    def __init__(
        self,
        opening: Opening[Work, Result],
        address: str,
        *,
        cores: int = 1,
        workers: int | None = None,
        most: int | None = None,
        at_once: int = 1,
    ) -> None:
        self._cores, self._at_once = cores, at_once
        self._workers: list[_Worker[Work, Result]] = []
        self._waiting: deque[Task[Work, Result]] = deque()
        self._done: deque[Task[Work, Result]] = deque()
        self._died_before_beginning = 0
        self._stack = ExitStack()
        self._stack.enter_context(connected(address))
        try:
            count = workers or _workers_of(cores)
            # A worker whose machine has gone is replaced here, where its tasks are known.
            actor = ray.remote(num_cpus=cores, max_restarts=0)(_Process)
            self._new_actor: Callable[[], Any] = partial(actor.remote, opening)
            for _ in range(count if most is None else min(count, most)):
                self._start()
            self.said = self._first_said()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the workers. Twice is no error."""
        while self._workers:
            ray.kill(self._workers.pop().actor)
        self._stack.close()

    @property
    def workers(self) -> int:
        """How many there are, those included that begin."""
        return len(self._workers)

    def pids(self) -> list[int]:
        """The processes of the workers that have begun."""
        return [each.pid for each in self._workers if each.pid]

    def submit(self, task: Task[Work, Result]) -> None:
        """Let a worker do a task, behind those that came before."""
        self._waiting.append(task)

    def next_done(self) -> Task[Work, Result]:
        """A task that has a result or an error; waits for it. There must be one that has neither.

        Raises:
            GgmlkitError: what a worker raises.
        """
        while not self._done:
            self._hand_out()
            self._wait()
        return self._done.popleft()

    def _hand_out(self) -> None:
        """Give tasks to the workers with the fewest."""
        for most in range(1, self._at_once + 1):
            for worker in self._workers:
                if self._waiting and worker.opening is None and len(worker.tasks) < most:
                    task = self._waiting.popleft()
                    worker.tasks[worker.actor.do.remote(task.work)] = task

    def _wait(self, seconds: float | None = None) -> bool:
        """Until a worker has begun, has done a task, or died; False: that took too long."""
        owners = {ref: worker for worker in self._workers for ref in worker.tasks}
        owners |= {each.opening: each for each in self._workers if each.opening is not None}
        refs, _ = ray.wait(list(owners), num_returns=1, timeout=seconds)
        if not refs:
            return False
        ref, worker = refs[0], owners[refs[0]]
        try:
            found = _result(ref)
        except RayActorError as error:
            self._replace(worker, _first_line(error))
            return True
        if ref is worker.opening:
            worker.opening, (worker.pid, self.said) = None, found
            self._died_before_beginning = 0
        else:
            task = worker.tasks.pop(ref)
            task.result = found
            self._done.append(task)
        return True

    def _replace(self, worker: _Worker[Work, Result], reason: str) -> None:
        """Another worker for one that died, and its tasks before all others."""
        self._workers.remove(worker)
        ray.kill(worker.actor)  # it may only be out of reach
        if worker.opening is not None:
            self._died_before_beginning += 1
            if self._died_before_beginning == TRIES:
                raise ModelError(f"{TRIES} workers died before they began: {reason}")
        tasks = list(worker.tasks.values())
        if tasks:
            first = tasks[0]
            first.deaths += 1
            if first.deaths == TRIES:
                first.error = f"{TRIES} workers died over it: {reason}"
                self._done.append(first)
                del tasks[0]
        self._waiting.extendleft(reversed(tasks))
        self._start()

    def _start(self) -> None:
        actor = self._new_actor()
        self._workers.append(_Worker(actor, actor.open.remote()))

    def _first_said(self) -> Any:
        """What the first worker that begins says of itself."""
        seconds: float | None = _PATIENCE
        while all(each.opening is not None for each in self._workers):
            if not self._wait(seconds):
                LOG.warning("waiting for a machine of the cluster with %d free cores", self._cores)
                seconds = None
        return self.said


def _workers_of(cores: int) -> int:
    """Workers that the cluster has cores for.

    Raises:
        ModelError: no machine has so many.
    """
    machines = [each["Resources"].get("CPU", 0) for each in ray.nodes() if each["Alive"]]
    found = sum(int(has) // cores for has in machines)
    if not found:
        raise ModelError(
            f"no machine of the cluster has {cores} cores, the most is {max(machines, default=0):g}"
            ": give a smaller -t"
        )
    return found


def _result(ref: Any) -> Any:
    """What a worker returned; raises what it raised, or RayActorError if it died."""
    try:
        return ray.get(ref)
    except RayTaskError as error:
        raise (error.cause if isinstance(error.cause, Exception) else error) from None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
