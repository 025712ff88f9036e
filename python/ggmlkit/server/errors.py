"""How errors are written, by the path of a request: each API has its shape and its statuses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from starlette.responses import JSONResponse, Response

from ggmlkit.chat.errors import RequestError, openai_shape

T = TypeVar("T")
ErrorShape = Callable[[RequestError], dict[str, Any]]

# By the beginning of a request's path; other APIs add theirs.
SHAPES: dict[str, ErrorShape] = {}
# Likewise: the statuses that an API has instead of this server's.
STATUSES: dict[str, Mapping[int, int]] = {}


def error_shape(path: str) -> ErrorShape:
    """How errors of requests to a path are written."""
    return _of_path(SHAPES, path, openai_shape)


def status_for(status: int, path: str) -> int:
    """The status that a request to a path gets instead of one of this server's."""
    return _of_path(STATUSES, path, {}).get(status, status)


def error_response(error: RequestError, path: str) -> Response:
    """The response to a request to a path."""
    status = status_for(error.status, path)
    return JSONResponse(error_shape(path)(error), status, headers=error.headers)


def _of_path(given: Mapping[str, T], path: str, otherwise: T) -> T:
    return next((each for start, each in given.items() if path.startswith(start)), otherwise)
