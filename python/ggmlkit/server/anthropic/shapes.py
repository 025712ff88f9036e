"""Bodies of Anthropic's API, as far as this server reads them; other fields are ignored."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import (
    Discriminator,
    Field,
    Tag,
)

from ggmlkit.chat.sampling_fields import SamplingFields
from ggmlkit.chat.shapes import Shape
from ggmlkit.server.refused import RefusedKind

_MOST_MESSAGES: Final = 100_000
_MOST_TOOLS: Final = 256
_NAME: Final = r"^[A-Za-z0-9_.:-]{1,128}$"
_KINDS: Final = ("text", "tool_use", "tool_result", "thinking", "redacted_thinking")


class TextBlock(Shape):
    """A text."""

    type: Literal["text"]
    text: str


class ThinkingBlock(Shape):
    """Thoughts of the model."""

    type: Literal["thinking"]
    thinking: str


class RedactedBlock(Shape):
    """Thoughts that nobody can read; they are left out."""

    type: Literal["redacted_thinking"]


class ToolUseBlock(Shape):
    """A call of a tool."""

    type: Literal["tool_use"]
    id: str = Field(max_length=1000)
    name: str = Field(max_length=1000)
    input: dict[str, Any]


class OtherBlock(RefusedKind):
    """Images, documents and the like."""

    noun = "a block"
    instead = "this server reads text only"


def _kind(value: Any) -> str:
    """The tag of a block; tags are no identifiers, so that errors do not name them."""
    kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
    return f"-{kind}" if kind in _KINDS else "-other"


ResultBlock = Annotated[
    Annotated[TextBlock, Tag("-text")] | Annotated[OtherBlock, Tag("-other")],
    Discriminator(lambda value: "-text" if _kind(value) == "-text" else "-other"),
]


class ToolResultBlock(Shape):
    """What a call gave."""

    type: Literal["tool_result"]
    tool_use_id: str = Field(max_length=1000)
    content: str | list[ResultBlock] | None = None
    is_error: bool | None = None


Block = Annotated[
    Annotated[TextBlock, Tag("-text")]
    | Annotated[ThinkingBlock, Tag("-thinking")]
    | Annotated[RedactedBlock, Tag("-redacted_thinking")]
    | Annotated[ToolUseBlock, Tag("-tool_use")]
    | Annotated[ToolResultBlock, Tag("-tool_result")]
    | Annotated[OtherBlock, Tag("-other")],
    Discriminator(_kind),
]


class Message(Shape):
    """A message of a conversation."""

    role: Literal["user", "assistant", "system"]
    content: str | list[Block]


class Tool(Shape):
    """A function that the model may call."""

    type: Literal["custom"] | None = None
    name: str = Field(pattern=_NAME)
    description: str | None = None
    input_schema: dict[str, Any]


class ToolChoice(Shape):
    """Whether a tool is called, and which."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class Thinking(Shape):
    """Whether the model thinks before it answers."""

    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: int | None = Field(None, ge=1, description="Accepted; thoughts have no limit.")
    display: Literal["summarized", "omitted"] | None = None


class OutputFormat(Shape):
    """The form of an answer."""

    type: Literal["json_schema"]
    schema_: dict[str, Any] = Field(alias="schema")


class OutputConfig(Shape):
    """How an answer is written."""

    format: OutputFormat | None = None


class ConversationFields(Shape):
    """What is said so far."""

    model: str | None = Field(None, max_length=1000)
    messages: list[Message] = Field(min_length=1, max_length=_MOST_MESSAGES)
    system: str | list[ResultBlock] | None = None
    tools: list[Tool] | None = Field(None, max_length=_MOST_TOOLS)
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """JSON Schema of the answer; None: it is free."""
        wanted = self.output_config and self.output_config.format
        return wanted.schema_ if wanted else None


class CountBody(ConversationFields):
    """A request for the number of a prompt's tokens."""


class MessageBody(ConversationFields, SamplingFields):
    """A request for the next message."""

    max_tokens: int = Field(ge=1)
    stop_sequences: list[str] | None = None
    stream: bool | None = None


class MessageUsage(Shape):
    """Tokens of a request."""

    input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int
    cache_creation_input_tokens: int


class MessageShape(Shape):
    """A message of the model."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    model: str
    content: list[dict[str, Any]]
    stop_reason: Literal["end_turn", "max_tokens", "stop_sequence", "tool_use"] | None
    stop_sequence: str | None
    usage: MessageUsage


class TokenCount(Shape):
    """The number of a prompt's tokens."""

    input_tokens: int


class MessageErrorDetails(Shape):
    """What is wrong."""

    type: str
    message: str


class MessageError(Shape):
    """An error."""

    type: Literal["error"]
    error: MessageErrorDetails
    request_id: str | None
