"""A line of the log for each request, and its id."""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from secrets import token_hex
from typing import Any, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger("ggmlkit.server.requests")
_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NOTES: Final = "ggmlkit_notes"
ENDPOINT: Final = "ggmlkit_endpoint"  # of a scope: the path of the endpoint that runs
REQUEST_ID: Final[ContextVar[str | None]] = ContextVar("REQUEST_ID", default=None)
_LONGEST_PATH: Final = 100
_GONE: Final = 499  # of a client that went away before the answer


def note(scope: Scope, **values: Any) -> None:
    """Add to the line of a request; never prompts, keys or paths of files."""
    scope.setdefault(_NOTES, {}).update(values)


def notes_of(scope: Scope) -> dict[str, Any]:
    """What was added to the line of a request."""
    found: dict[str, Any] = scope.get(_NOTES, {})
    return found


class RequestLog:
    """Middleware that gives each request an id, and logs it at its end.

    Args:
        count: is told path, status and seconds of each.
    """

    def __init__(self, app: ASGIApp, count: Callable[[str, int, float], None]) -> None:
        self._app, self._count = app, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        id = given if _ID.fullmatch(given) else f"req_{token_hex(12)}"
        status, start = _GONE, time.perf_counter()
        scope[_NOTES] = {}
        REQUEST_ID.set(id)

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = headers["Request-Id"] = id  # Anthropic's name
            await send(message)

        try:
            await self._app(scope, receive, with_id)
        finally:
            seconds = time.perf_counter() - start
            self._count(scope.get(ENDPOINT, "other"), status, seconds)
            line = {
                "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
                "id": id,
                "method": scope["method"],
                "path": scope["path"][:_LONGEST_PATH],
                "status": status,
                "seconds": round(seconds, 4),
                **scope[_NOTES],
            }
            LOG.info("%s", json.dumps(line))
