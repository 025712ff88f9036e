"""Bodies of OpenAI's Responses API, as far as this server reads them; other fields are ignored."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ggmlkit.chat.sampling_fields import SamplingFields
from ggmlkit.chat.shapes import MOST_LOGPROBS, MOST_TOOLS, Shape
from ggmlkit.server.responses.items import Item

_MOST_ITEMS: Final = 100_000
_NAME: Final = r"^[A-Za-z0-9_.:-]{1,128}$"


class FunctionTool(Shape):
    """A function that the model may call."""

    type: Literal["function"]
    name: str = Field(pattern=_NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class NamedTool(Shape):
    """A tool by name."""

    type: Literal["function"]
    name: str


class AllowedTools(Shape):
    """Some of the tools, and whether one must be called."""

    type: Literal["allowed_tools"]
    mode: Literal["auto", "required"]
    tools: list[NamedTool] = Field(min_length=1, max_length=MOST_TOOLS)


class TextFormat(Shape):
    """The form of an answer."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    schema_: dict[str, Any] | None = Field(None, alias="schema")
    strict: bool | None = None


class TextConfig(Shape):
    """How an answer is written."""

    format: TextFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class Reasoning(Shape):
    """How much the model thinks before it answers."""

    effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None


class ResponseBody(SamplingFields):
    """A request for a response."""

    model: str | None = Field(None, max_length=1000)
    input: str | Annotated[list[Item], Field(max_length=_MOST_ITEMS)] | None = None
    instructions: str | None = None
    previous_response_id: str | None = Field(None, max_length=1000)
    max_output_tokens: int | None = Field(None, ge=1)
    tools: list[FunctionTool] | None = Field(None, max_length=MOST_TOOLS)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | AllowedTools | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    include: list[str] | None = Field(None, max_length=64)
    top_logprobs: int | None = Field(None, ge=0, le=MOST_LOGPROBS)
    metadata: (
        Annotated[
            dict[
                Annotated[str, Field(max_length=64)],
                Annotated[str, Field(max_length=512)],
            ],
            Field(max_length=16),
        ]
        | None
    ) = None
    store: bool | None = None
    stream: bool | None = None
    truncation: Literal["auto", "disabled"] | None = Field(
        None, description="Accepted; what is too long is refused."
    )
    user: str | None = Field(None, max_length=1000)
    background: bool | None = None
    conversation: Any = None
    prompt: Any = None

    @field_validator("background", "conversation", "prompt")
    @classmethod
    def _absent(cls, value: Any) -> Any:
        if value:
            raise ValueError("this server has no place for it")
        return value


class ResponseUsage(Shape):
    """Tokens of a response."""

    input_tokens: int
    input_tokens_details: dict[str, int]
    output_tokens: int
    output_tokens_details: dict[str, int]
    total_tokens: int


class ResponseShape(Shape):
    """A response."""

    id: str
    object: Literal["response"]
    created_at: int
    status: Literal["completed", "incomplete", "failed", "in_progress"]
    error: dict[str, Any] | None
    incomplete_details: dict[str, Any] | None
    model: str
    output: list[dict[str, Any]]
    previous_response_id: str | None
    usage: ResponseUsage | None
    metadata: dict[str, str]


class Deleted(Shape):
    """What was deleted."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]


class ItemList(Shape):
    """Items that a response was made of."""

    object: Literal["list"]
    data: list[dict[str, Any]]
    first_id: str | None
    last_id: str | None
    has_more: bool


class ItemsQuery(BaseModel):
    """Which items are listed."""

    model_config = ConfigDict(extra="ignore")

    limit: int = Field(20, ge=1, le=100)
    order: Literal["asc", "desc"] = "desc"
    after: str | None = Field(None, max_length=1000, description="The id of an item.")
