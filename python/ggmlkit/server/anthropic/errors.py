"""Errors as Anthropic's API writes them."""

from __future__ import annotations

from typing import Any, Final

from ggmlkit.chat.errors import RequestError
from ggmlkit.server.errors import SHAPES, STATUSES
from ggmlkit.server.logs import REQUEST_ID
from ggmlkit.server.sse import event

PATH: Final = "/v1/messages"  # of all its endpoints
_OVERLOADED: Final = 529
_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    _OVERLOADED: "overloaded_error",
}


def anthropic_shape(error: RequestError) -> dict[str, Any]:
    """An error in the API's shape."""
    kind = "api_error" if error.status >= 500 else "invalid_request_error"
    message = error.message
    if error.code == "context_length_exceeded":
        message = f"prompt is too long: {message}"  # words that clients look for
    return {
        "type": "error",
        "error": {"type": _TYPES.get(error.status, kind), "message": message},
        "request_id": REQUEST_ID.get(),
    }


def error_event(error: RequestError) -> bytes:
    """An event that says what failed."""
    return event(anthropic_shape(error), "error")


SHAPES[PATH] = anthropic_shape
STATUSES[PATH] = {503: _OVERLOADED}
