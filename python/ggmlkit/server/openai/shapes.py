"""Bodies of OpenAI's API that ask for other things than texts, and the shapes of its answers."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import Field

from ggmlkit.chat.shapes import Shape, Token
from ggmlkit.chat.validation import Many

MOST_INPUTS: Final = 2048


class EmbeddingBody(Shape):
    """A request for vectors of texts."""

    input: str | Many[str] | Many[Token] | Many[Many[Token]]
    model: str | None = Field(None, max_length=1000)
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: int | None = Field(None, ge=1)
    user: str | None = None


class PromptTokensDetails(Shape):
    """Of the tokens of a prompt."""

    cached_tokens: int


class UsageShape(Shape):
    """Tokens of a request."""

    prompt_tokens: int
    total_tokens: int
    completion_tokens: int | None = None
    prompt_tokens_details: PromptTokensDetails | None = None


class ChatCompletion(Shape):
    """The answer to a conversation."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: UsageShape


class TextCompletion(Shape):
    """Continuations of texts."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[dict[str, Any]]
    usage: UsageShape


class EmbeddingList(Shape):
    """Vectors of texts."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    model: str
    usage: UsageShape


class ModelShape(Shape):
    """A model that is served."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(Shape):
    """The models that are served."""

    object: Literal["list"]
    data: list[ModelShape]


class ErrorDetails(Shape):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorShape(Shape):
    """An error."""

    error: ErrorDetails
