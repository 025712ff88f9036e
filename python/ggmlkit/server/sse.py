"""Server-sent events: an answer in parts, as it is written."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ggmlkit.chat.errors import RequestError, internal_error, openai_shape, too_little_memory
from ggmlkit.chat.json_text import as_json
from ggmlkit.server.disconnects import until_gone

LOG = logging.getLogger("ggmlkit.server")

_QUIET_SECONDS: Final = 15.0  # after which a comment keeps proxies from closing the connection
_COMMENT: Final = b": waiting\n\n"
_PORTION: Final = 64 << 10  # bytes that are sent at a time
_STALLED_SECONDS: Final = 60.0  # for which a client takes no portion, before it counts as gone
DONE: Final = b"data: [DONE]\n\n"


def event(value: Mapping[str, Any], name: str | None = None) -> bytes:
    """An event of a JSON value, with a name where an API has them."""
    head = f"event: {name}\ndata: " if name else "data: "
    return f"{head}{as_json(value)}\n\n".encode()


def openai_error(error: RequestError) -> bytes:
    """An event that says what failed, as OpenAI's clients read it."""
    return event(openai_shape(error))


class EventStream(Response):
    """A response of events, each sent as soon as it is there.

    Events that are there at the same time go out in one write. Where the client goes away, the
    source is cancelled at once; where it reads slowly, what is written waits for it. A client that
    reads nothing for a minute counts as gone.

    Args:
        source: encoded events. It is closed in any case.
        resources: what the source uses; given back at the end.
        error: encodes an error, which then is the last event.
        waiting: what is sent where no event comes for a while.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        source: AsyncGenerator[bytes, None],
        resources: AsyncExitStack,
        error: Callable[[RequestError], bytes] = openai_error,
        waiting: bytes = _COMMENT,
    ) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._source, self._resources, self._error = source, resources, error
        self._waiting = waiting
        self._parts: list[bytes] = []
        self._changed = asyncio.Event()
        self._is_over = False  # the source gives no more
        self._is_quiet = False
        self._sending_since: float | None = None  # by ``time.monotonic``

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        tasks = [
            asyncio.create_task(each)
            for each in (
                self._write(send), until_gone(receive), self._until_stalled(),
                self._read(), self._ping(),
            )
        ]  # fmt: skip
        try:
            await asyncio.wait(tasks[:3], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._resources.aclose()

    async def _read(self) -> None:
        try:
            async with aclosing(self._source) as source:
                async for part in source:
                    self._parts.append(part)
                    self._changed.set()
        except RequestError as error:
            self._parts.append(self._error(error))
        except MemoryError:
            LOG.error("a stream failed: there is too little memory")
            self._parts.append(self._error(too_little_memory()))
        except Exception:
            LOG.exception("a stream failed")
            self._parts.append(self._error(internal_error()))
        self._is_over = True
        self._changed.set()

    async def _write(self, send: Send) -> None:
        """Send what is there until the end."""
        more = True
        while more:
            await self._changed.wait()
            self._changed.clear()
            parts, self._parts = self._parts, []
            self._is_quiet = False
            more = not self._is_over
            body = b"".join(parts)
            for at in range(0, max(1, len(body)), _PORTION):
                part, is_more = body[at : at + _PORTION], more or at + _PORTION < len(body)
                self._sending_since = time.monotonic()
                await send({"type": "http.response.body", "body": part, "more_body": is_more})
                self._sending_since = None

    async def _until_stalled(self) -> None:
        """Wait until the client has not taken a portion for too long."""
        while True:
            await asyncio.sleep(_STALLED_SECONDS / 4)
            since = self._sending_since
            if since is not None and time.monotonic() - since >= _STALLED_SECONDS:
                return

    async def _ping(self) -> None:
        while True:
            self._is_quiet = True
            await asyncio.sleep(_QUIET_SECONDS)
            if self._is_quiet and not self._is_over:
                self._parts.append(self._waiting)
                self._changed.set()


def json_response(value: Mapping[str, Any]) -> Response:
    """A response of JSON."""
    return Response(as_json(value).encode(), media_type="application/json")
