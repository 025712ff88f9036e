"""How many threads a command uses."""

from __future__ import annotations

import os


def thread_count(asked: int | None) -> int:
    """`asked`, or as many as the processors this process may run on."""
    if asked is not None:
        return asked
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
