"""Bodies of requests: JSON from anyone, so bounded in bytes, time and nesting."""

from __future__ import annotations

import asyncio
import json
import re
from functools import partial
from math import isfinite
from typing import Any, Final

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request

from ggmlkit.server.errors import RequestError, bad_request
from ggmlkit.server.settings import Limits

_DEEPEST: Final = 100  # levels; schemas of tools have about 20
_MOST_CONTAINERS: Final = 200_000  # objects and lists, each of which takes some 60 bytes
_AT_ONCE: Final = 64 << 10  # bytes that are parsed in the event loop; more in a thread
_STRING: Final = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
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
    data = await body_bytes(request, limits)
    if len(data) <= _AT_ONCE:
        return parsed(data)
    return await to_thread.run_sync(partial(parsed, data), limiter=parsers)


async def body_bytes(request: Request, limits: Limits) -> bytes:
    """The body of a request.

    Raises:
        RequestError: it is too large, or comes too slowly.
        ClientDisconnect: the client went away.
    """
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


def parsed(data: bytes) -> dict[str, Any]:
    """The JSON object of some bytes; halves of surrogate pairs become U+FFFD.

    Raises:
        RequestError: they are not a JSON object in UTF-8, or it is nested too deeply, has a key
            twice, or a number that is not finite.
    """
    _check_containers(data)
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError:
        raise bad_request("the body is not UTF-8", code="invalid_json") from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        raise bad_request(
            f"the body is not valid JSON: {_reason(error)}", code="invalid_json"
        ) from None
    if not isinstance(value, dict):
        raise bad_request("the body must be a JSON object", code="invalid_json")
    _check_depth(value)
    return _repaired(value) if _SURROGATE.search(data) else value


def _check_containers(data: bytes) -> None:
    """Refuse more objects and lists than a request needs, before they take memory."""
    if data.count(b"{") + data.count(b"[") <= _MOST_CONTAINERS:
        return
    bare = _STRING.sub(b"", data)
    if bare.count(b"{") + bare.count(b"[") > _MOST_CONTAINERS:
        raise bad_request(
            f"the body has more than {_MOST_CONTAINERS} objects and lists", code="invalid_json"
        )


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key is there twice in one object")
    return found


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise ValueError("a number is too large")
    return value


def _reason(error: ValueError) -> str:
    """What is wrong, without what the body says."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos}"
    text = str(error)
    return text if len(text) < 80 else "a number has too many digits"


def _too_deep() -> RequestError:
    return bad_request(f"the body is nested more than {_DEEPEST} levels deep", code="invalid_json")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for each in level:
            inner = each.values() if isinstance(each, dict) else each
            below += [part for part in inner if isinstance(part, (dict, list))]
        if not below:
            return
        level = below
    raise _too_deep()


def _repaired(value: Any) -> Any:
    """The same with surrogate pairs joined, and lone halves replaced."""
    if isinstance(value, str):
        if value.isascii():
            return value
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    if isinstance(value, dict):
        return {_repaired(key): _repaired(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_repaired(part) for part in value]
    return value
