"""What grammars allow next is computed in a thread of its own, while the step runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ggmlkit.engine.constraint import Constraint

_threads: list[ThreadPoolExecutor] = []


@contextmanager
def computing_masks(constraints: Sequence[Constraint]) -> Iterator[None]:
    """Compute the masks of some grammars beside what the block does; they are there at its end."""
    if not constraints:
        yield
        return
    if not _threads:
        _threads.append(ThreadPoolExecutor(1, thread_name_prefix="ggmlkit masks"))
    computed = _threads[0].submit(_compute, constraints)
    try:
        yield
    finally:
        computed.result()


def _compute(constraints: Sequence[Constraint]) -> None:
    for constraint in constraints:
        constraint.compute()


# A fork has no such thread.
os.register_at_fork(after_in_child=_threads.clear)
