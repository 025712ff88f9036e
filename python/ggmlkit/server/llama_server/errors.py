"""Errors as llama-server writes them."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from ggmlkit.chat.errors import RequestError, too_long
from ggmlkit.server.errors import SHAPES

# Beginnings of the paths whose errors have this shape.
_PATHS: Final = (
    "/apply-template",
    "/completion",
    "/detokenize",
    "/embedding",
    "/infill",
    "/lora-adapters",
    "/models",
    "/props",
    "/rerank",
    "/slots",
    "/tokenize",
    "/v1/rerank",
)
_TYPES: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "unavailable_error",
    501: "not_supported_error",
    503: "unavailable_error",
}
_TOO_LONG: Final = "context_length_exceeded"


class LlamaErrorDetails(BaseModel):
    """What is wrong."""

    code: int
    message: str
    type: str
    n_prompt_tokens: int | None = None
    n_ctx: int | None = None


class LlamaError(BaseModel):
    """An error as llama-server writes it."""

    error: LlamaErrorDetails


class TooLongError(RequestError):
    """A prompt that is longer than the context."""

    def __init__(self, tokens: int, most: int, what: str = "the prompt") -> None:
        super().__init__(
            400,
            too_long(what, tokens, most),
            code=_TOO_LONG,
        )
        self.tokens, self.most = tokens, most


def unsupported(message: str) -> RequestError:
    """What the model, or this server, can't do."""
    return RequestError(501, message)


def llama_shape(error: RequestError) -> dict[str, Any]:
    """An error as llama-server writes it."""
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    kind = _TYPES.get(error.status, kind)
    if error.code == _TOO_LONG:
        kind = "exceed_context_size_error"
    details: dict[str, Any] = {"code": error.status, "message": error.message, "type": kind}
    if isinstance(error, TooLongError):
        details |= {"n_prompt_tokens": error.tokens, "n_ctx": error.most}
    return {"error": details}


SHAPES.update(dict.fromkeys(_PATHS, llama_shape))
