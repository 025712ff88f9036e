"""Bodies of OpenAI's API that ask for texts, as far as they are read; other fields are ignored."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from ggmlkit.chat.sampling_fields import SamplingFields
from ggmlkit.chat.validation import Many

MOST_CHOICES: Final = 128
MOST_TOOLS: Final = 256
MOST_LOGPROBS: Final = 20
_NAME: Final = r"^[A-Za-z0-9_.:-]{1,128}$"
Token = Annotated[int, Field(ge=0, lt=2**31)]


class Shape(BaseModel):
    """What all have."""

    model_config = ConfigDict(strict=True, extra="ignore")


class StreamOptions(Shape):
    """How an answer is streamed."""

    include_usage: bool | None = None


class GenerationFields(SamplingFields):
    """What bodies of chats and completions have in common."""

    model: str | None = Field(None, max_length=1000)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    user: str | None = None

    @property
    def has_usage_chunk(self) -> bool:
        """Whether a stream ends with the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


class Message(BaseModel):
    """A message of a conversation; the chat template gets its other fields too."""

    model_config = ConfigDict(strict=True, extra="allow")

    role: str = Field(max_length=64)
    content: str | Many[dict[str, Any] | str] | None = None
    tool_calls: list[dict[str, Any]] | None = Field(None, max_length=MOST_TOOLS)


class FunctionShape(Shape):
    """A function that the model may call."""

    model_config = ConfigDict(strict=True, extra="allow")

    name: str = Field(pattern=_NAME)
    description: str | None = None
    parameters: dict[str, Any] | None = None


class Tool(Shape):
    """A tool, which is always a function."""

    type: Literal["function"]
    function: FunctionShape


class NamedFunction(Shape):
    """The name of a function."""

    name: str


class NamedTool(Shape):
    """The function that must be called."""

    type: Literal["function"] = "function"
    function: NamedFunction


class SchemaOfAnswer(Shape):
    """The JSON Schema of an answer."""

    name: str | None = None
    schema_: dict[str, Any] | None = Field(
        None, validation_alias=AliasChoices("schema"), serialization_alias="schema"
    )
    strict: bool | None = None


class ResponseFormat(Shape):
    """The form of an answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: SchemaOfAnswer | None = None
    schema_: dict[str, Any] | None = Field(
        None,
        validation_alias=AliasChoices("schema"),
        serialization_alias="schema",
        description="llama-server's place of a schema.",
    )


class ChatBody(GenerationFields):
    """A request for the answer to a conversation."""

    messages: Many[Message] = Field(min_length=1, max_length=100_000)
    max_tokens: int | None = Field(None, ge=-1)
    max_completion_tokens: int | None = Field(None, ge=-1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MOST_LOGPROBS)
    response_format: ResponseFormat | None = None
    tools: list[Tool] | None = Field(None, max_length=MOST_TOOLS)
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    functions: list[FunctionShape] | None = Field(
        None, max_length=MOST_TOOLS, description="The form of tools before there were tools."
    )
    function_call: Literal["none", "auto"] | NamedFunction | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    enable_thinking: bool | None = None
    reasoning_format: Literal["none", "auto", "deepseek"] | None = Field(
        None, description="With none, thoughts stay in the content."
    )

    @property
    def has_functions(self) -> bool:
        """Whether it has functions in place of tools, and wants its answer so."""
        return bool(self.functions) and self.tools is None

    @property
    def most_tokens(self) -> int | None:
        """Of the answer; -1 for any number, None where it is not said."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens


class CompletionBody(GenerationFields):
    """A request for the continuation of texts."""

    prompt: str | Many[str] | Many[Token] | Many[Many[Token]] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=-1)
    n_predict: int | None = Field(None, ge=-1)
    logprobs: bool | Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    echo: bool | None = None
    suffix: str | None = None
    best_of: int | None = Field(None, ge=1, le=MOST_CHOICES)
