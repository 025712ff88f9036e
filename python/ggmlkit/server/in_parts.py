"""Work on many texts beside the scheduler: a few at a time, where there is room for them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from anyio import to_thread

from ggmlkit.errors import CacheFullError, GgmlkitError
from ggmlkit.server.errors import as_request_error

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
        RequestError: there is no room for a long time, or the model fails.
    """
    found: list[R] = []
    tries = 0
    while len(found) < len(items):
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
