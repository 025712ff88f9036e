"""Things that one thread puts in, and threads or coroutines take out."""

from __future__ import annotations

import threading
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Generic, TypeVar

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
        self._items.put(item)
        with self._lock:
            waiting, self._waiting = self._waiting, set()
        for future in waiting:
            _wake(future)

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
                try:
                    return self._items.get_nowait()
                except Empty:
                    await future
            finally:
                with self._lock:
                    self._waiting.discard(future)


def _wake(future: asyncio.Future[None]) -> None:
    with suppress(RuntimeError):  # its loop is closed: nobody waits
        future.get_loop().call_soon_threadsafe(_resolve, future)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
