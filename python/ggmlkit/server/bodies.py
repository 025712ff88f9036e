"""Bodies of requests: JSON from anyone, so bounded in bytes, time and nesting."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, Final

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request

from ggmlkit.chat.errors import RequestError
from ggmlkit.chat.json_text import parsed
from ggmlkit.server.settings import Limits

_AT_ONCE: Final = 64 << 10  # bytes that are parsed in the event loop; more in a thread
_CLOSE: Final = {"Connection": "close"}  # the rest of a body is not read


async def json_body(request: Request, limits: Limits, parsers: CapacityLimiter) -> dict[str, Any]:
    """The JSON object of a request.

    Args:
        parsers: how many large bodies are parsed at a time.

    Raises:
        RequestError: it is too large, comes too slowly, or is not a JSON object.
        ClientDisconnect: the client went away.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not (
        kind.startswith("application/") and kind.endswith("+json")
    ):
        raise RequestError(
            415,
            "the body must be JSON, with the header 'Content-Type: application/json'",
            code="unsupported_content_type",
            headers=_CLOSE,
        )
    data = await _read(request, limits)
    if len(data) <= _AT_ONCE:
        return parsed(data)
    return await to_thread.run_sync(partial(parsed, data), limiter=parsers)


async def _read(request: Request, limits: Limits) -> bytes:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limits.body_bytes:
        raise _too_large(limits)
    try:
        return await asyncio.wait_for(_collected(request, limits), limits.body_seconds)
    except (asyncio.TimeoutError, TimeoutError):
        raise RequestError(
            408,
            f"the body did not come within {limits.body_seconds:g} seconds",
            code="request_timeout",
            headers=_CLOSE,
        ) from None


async def _collected(request: Request, limits: Limits) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limits.body_bytes:
            raise _too_large(limits)
        more = message.get("more_body", False)
    return b"".join(parts)


def _too_large(limits: Limits) -> RequestError:
    return RequestError(
        413,
        f"the body has more than {limits.body_bytes} bytes",
        code="request_too_large",
        headers=_CLOSE,
    )
