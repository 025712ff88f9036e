"""What a request is refused with, and what OpenAI's API writes about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ggmlkit.errors import ArgumentError, CacheFullError, ClosedError, GgmlkitError, ModelError

RETRY_SECONDS: Final = 2
_FORMS: Final = ("grammar", "json_schema", "regex")  # fields whose faults are found by the engine


class RequestError(Exception):
    """A request that is refused, or fails.

    Attributes:
        status: of HTTP.
        message: one sentence for the client; never a path of this machine.
        code: a word for programs, or None.
        param: the field at fault, or None.
        headers: of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.param = param
        self.headers = dict(headers or {})


def bad_request(message: str, param: str | None = None, code: str | None = None) -> RequestError:
    """The request itself is wrong."""
    return RequestError(400, message, param=param, code=code)


def busy(status: int, message: str, code: str) -> RequestError:
    """The same request may succeed a moment later."""
    return RequestError(status, message, code=code, headers={"Retry-After": str(RETRY_SECONDS)})


def too_long(what: str, tokens: int, most: int) -> str:
    """What is said of a text that is longer than the context.

    Clients such as litellm know this fault by OpenAI's words, so it begins with them.
    """
    return (
        f"this model's maximum context length is {most} tokens, but {what} has {tokens}; shorten "
        "it, or start with a larger -c (and, for a server, --kv-size)"
    )


def internal_error() -> RequestError:
    """A defect of the server, of which the client learns nothing more."""
    return RequestError(500, "the server failed; its log says more", code="internal_error")


def too_little_memory() -> RequestError:
    """There is no memory for what a request needs, beside what others need now."""
    return busy(503, "the server has too little memory for this request now", "out_of_memory")


def as_request_error(error: GgmlkitError, path: str = "", name: str = "") -> RequestError:
    """What a client is told about an error of the library.

    Args:
        path: of the model's file, which the client is not told.
        name: of the model, which stands for it.
    """
    message = str(error).replace(path, name) if path else str(error)
    if isinstance(error, ClosedError):
        return busy(503, "the model is being unloaded; try again", "model_unloaded")
    if isinstance(error, CacheFullError):
        return busy(503, f"there is no room for the text: {message}", "cache_full")
    if isinstance(error, (ArgumentError, ModelError)):
        field = message.partition(":")[0]
        return bad_request(message, field if field in _FORMS else None)
    return RequestError(500, f"the model {name!r} failed", code="model_error")


def as_failure(error: GgmlkitError, path: str, name: str) -> RequestError:
    """What a client is told where generating failed; arguments as of :func:`as_request_error`."""
    if isinstance(error, (ArgumentError, CacheFullError, ClosedError)):
        return as_request_error(error)
    return RequestError(500, str(error).replace(path, name), code="generation_failed")


_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


def openai_shape(error: RequestError) -> dict[str, Any]:
    """An error as OpenAI's API writes it."""
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    return {
        "error": {
            "message": error.message,
            "type": _TYPES.get(error.status, kind),
            "param": error.param,
            "code": error.code,
        }
    }
