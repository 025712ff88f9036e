"""Work on many texts beside the scheduler: a few at a time, where there is room for them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from anyio import to_thread

from ggmlkit.chat.errors import as_request_error, busy
from ggmlkit.errors import CacheFullError, GgmlkitError

if TYPE_CHECKING:
    from ggmlkit.server.loading import ServedModel
    from ggmlkit.server.serving import Serving

T = TypeVar("T")
R = TypeVar("R")
_AT_ONCE: Final = 16  # after which a thread sees who went away
_TRIES: Final = 40  # while answers fill the cache
_PAUSE: Final = 0.25  # seconds between them


async def in_parts(
    serving: Serving,
    served: ServedModel,
    items: Sequence[T],
    work: Callable[[Sequence[T]], list[R]],
) -> list[R]:
    """What work makes of some items, in their order; waits where answers fill the cache.

    Args:
        work: makes a result of each of a few items, in a thread.

    Raises:
        RequestError: there is no room for a long time, it takes longer than an answer may, or the
            model fails.
    """
    found: list[R] = []
    tries, end = 0, time.monotonic() + serving.settings.limits.seconds
    while len(found) < len(items):
        if time.monotonic() > end:
            raise busy(503, "the texts took longer than an answer may; send fewer", "timeout")
        part = partial(work, items[len(found) : len(found) + _AT_ONCE])
        try:
            found += await to_thread.run_sync(part, limiter=serving.embedders)
            tries = 0
        except CacheFullError as error:
            tries += 1
            if tries >= _TRIES:
                raise as_request_error(error, served.path, served.name) from None
            await asyncio.sleep(_PAUSE)
        except GgmlkitError as error:
            raise as_request_error(error, served.path, served.name) from None
    return found
