"""Things that one thread puts in, and threads or coroutines take out."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio

T = TypeVar("T")


class Inbox(Generic[T]):
    """A queue without an end. No coroutine that waits holds a thread or its event loop."""

    def __init__(self) -> None:
        self._items: SimpleQueue[T] = SimpleQueue()
        self._waiting: set[asyncio.Future[None]] = set()
        self._lock = threading.Lock()  # of the set

    def put(self, item: T) -> None:
        """Put one in."""
        self.add(item)
        wake([self])

    def add(self, item: T) -> None:
        """Put one in; coroutines that wait for it see it after the next :func:`wake`."""
        self._items.put(item)

    def take_waiting(self) -> set[asyncio.Future[None]]:
        """What coroutines wait with; they are not waited with any more."""
        with self._lock:
            waiting, self._waiting = self._waiting, set()
        return waiting

    def get(self) -> T:
        """Take the oldest; the thread waits for one."""
        return self._items.get()

    def drain(self) -> list[T]:
        """Take all that are there."""
        found: list[T] = []
        with suppress(Empty):
            while True:
                found.append(self._items.get_nowait())
        return found

    async def get_async(self) -> T:
        """Take the oldest; the coroutine waits for one. Cancelled, it takes none."""
        import asyncio  # deferred: few programs need it

        while True:
            future = asyncio.get_running_loop().create_future()
            with self._lock:
                self._waiting.add(future)
            try:
                with suppress(Empty):
                    return self._items.get_nowait()
                await future  # not while Empty is handled, whose traceback would keep this frame
            finally:
                with self._lock:
                    self._waiting.discard(future)
                del future  # cancelled, it holds the error that holds this frame


def wake(inboxes: Iterable[Inbox[Any]]) -> None:
    """Wake the coroutines that wait for something in one of these; each event loop only once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for inbox in inboxes:
        for future in inbox.take_waiting():
            by_loop.setdefault(future.get_loop(), []).append(future)
    for loop, futures in by_loop.items():
        with suppress(RuntimeError):  # it is closed: nobody waits
            loop.call_soon_threadsafe(_resolve, futures)


def _resolve(futures: list[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():
            future.set_result(None)
