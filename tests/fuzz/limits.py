"""Limits for all work on a file: a second and 200 MB."""

from __future__ import annotations

import signal
import tracemalloc
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

SECONDS = 1.0
SLOWER = 4  # times as slow, while Python counts the memory
PEAK_BYTES = 200 << 20
# What the compiled core and numpy can allocate, which Python doesn't count.
ADDRESS_SPACE = 1 << 30


class TooLong(BaseException):
    """Not an Exception, so that no reader mistakes it for a fault of the file."""


@contextmanager
def bounded_process() -> Iterator[None]:
    """Count memory and limit the address space while the block runs."""
    with warnings.catch_warnings(), _address_space():
        warnings.simplefilter("ignore")
        tracemalloc.start()
        try:
            yield
        finally:
            tracemalloc.stop()


@contextmanager
def bounded(seconds: float = SECONDS, peak: int = PEAK_BYTES) -> Iterator[None]:
    """Within :func:`bounded_process`: TooLong or AssertionError beyond the limits.

    Processor time is limited, so a busy machine makes no difference. The limit is longer because
    counting the memory takes time.
    """
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    handler = signal.signal(signal.SIGPROF, _too_long)
    signal.setitimer(signal.ITIMER_PROF, seconds * SLOWER)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, handler)
    taken = tracemalloc.get_traced_memory()[1] - before
    assert taken < peak, f"{taken >> 20} MB of memory"


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    raise TooLong


@contextmanager
def _address_space() -> Iterator[None]:
    status = Path("/proc/self/statm")
    if resource is None or not status.exists():
        yield
        return
    taken = int(status.read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (taken + ADDRESS_SPACE, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
