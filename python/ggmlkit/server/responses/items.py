"""Items of OpenAI's Responses API: what they are, and the messages that they stand for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from secrets import token_hex
from typing import Annotated, Any, Final, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from ggmlkit.chat.shapes import Shape
from ggmlkit.server.refused import RefusedKind

_TEXTS: Final = ("input_text", "output_text", "text", "refusal", "reasoning_text", "summary_text")
_KINDS: Final = ("message", "function_call", "function_call_output", "reasoning")
_PREFIXES: Final = {
    "message": "msg_",
    "function_call": "fc_",
    "function_call_output": "fco_",
    "reasoning": "rs_",
}
_ROLES: Final = {"developer": "system"}


class TextPart(Shape):
    """A part of a content."""

    type: str
    text: str | None = None
    refusal: str | None = None

    @field_validator("type")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in _TEXTS:
            raise ValueError(
                f"parts of type {value[:40]!r} have no place here: this server reads text only"
            )
        return value

    @model_validator(mode="after")
    def _has_text(self) -> TextPart:
        if self.said is None:
            raise ValueError("the part has no text")
        return self

    @property
    def said(self) -> str | None:
        """Its text."""
        return self.refusal if self.type == "refusal" else self.text


class MessageItem(Shape):
    """A message."""

    type: Literal["message"] = "message"
    id: str | None = Field(None, max_length=1000)
    role: Literal["user", "assistant", "system", "developer"]
    content: str | list[TextPart]


class CallItem(Shape):
    """A call of a function."""

    type: Literal["function_call"]
    id: str | None = Field(None, max_length=1000)
    call_id: str = Field(max_length=1000)
    name: str = Field(max_length=1000)
    arguments: str


class OutputItem(Shape):
    """What a function gave."""

    type: Literal["function_call_output"]
    id: str | None = Field(None, max_length=1000)
    call_id: str = Field(max_length=1000)
    output: str | list[TextPart]


class ReasoningItem(Shape):
    """Thoughts of the model."""

    type: Literal["reasoning"]
    id: str | None = Field(None, max_length=1000)
    summary: list[TextPart] | None = None
    content: list[TextPart] | None = None


class OtherItem(RefusedKind):
    """Items of tools that this server does not have."""

    noun = "an item"
    instead = "messages, calls of functions and their outputs, and reasoning have"


def _kind(value: Any) -> str:
    """The tag of an item; tags are no identifiers, so that errors do not name them."""
    if isinstance(value, dict):
        kind = value.get("type", "message" if "role" in value else None)
    else:
        kind = getattr(value, "type", None)
    return f"-{kind}" if kind in _KINDS else "-other"


Item = Annotated[
    Annotated[MessageItem, Tag("-message")]
    | Annotated[CallItem, Tag("-function_call")]
    | Annotated[OutputItem, Tag("-function_call_output")]
    | Annotated[ReasoningItem, Tag("-reasoning")]
    | Annotated[OtherItem, Tag("-other")],
    Discriminator(_kind),
]


def plain_items(given: str | Sequence[Shape] | None) -> list[dict[str, Any]]:
    """The input of a request as items that all have ids and lists of parts."""
    if given is None:
        return []
    if isinstance(given, str):
        given = [MessageItem(id=None, role="user", content=given)]
    return [_plain(item) for item in given]


def _plain(item: Shape) -> dict[str, Any]:
    found = item.model_dump(exclude_none=True)
    kind = found["type"]
    if not found.get("id"):
        found["id"] = _PREFIXES[kind] + token_hex(16)
    if kind == "message":
        if isinstance(found["content"], str):
            part = "output_text" if found["role"] == "assistant" else "input_text"
            found["content"] = [{"type": part, "text": found["content"]}]
        for each in found["content"]:
            if each["type"] == "output_text":
                each["annotations"] = []
    if kind == "reasoning":
        found.setdefault("summary", [])
    if kind != "reasoning":
        found["status"] = "completed"
    return found


def messages_of(items: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages that items stand for, as OpenAI's chats have them."""
    found: list[dict[str, Any]] = []
    thoughts = ""
    for item in items:
        kind = item["type"]
        if kind == "reasoning":
            thoughts = _text(item.get("content") or item.get("summary") or ())
            continue
        message = _message(item, found)
        if thoughts and message["role"] == "assistant":
            message.setdefault("reasoning_content", thoughts)
        thoughts = ""
    return found


def _message(item: Mapping[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
    """The message of an item, the last one of those found: a new one, or one with another call."""
    if item["type"] == "function_call":
        last = found[-1] if found else {}
        if last.get("role") != "assistant":
            found.append({"role": "assistant", "content": None})
        function = {"name": item["name"], "arguments": item["arguments"]}
        call = {"id": item["call_id"], "type": "function", "function": function}
        found[-1].setdefault("tool_calls", []).append(call)
    elif item["type"] == "function_call_output":
        output = item["output"]
        text = output if isinstance(output, str) else _text(output)
        found.append({"role": "tool", "tool_call_id": item["call_id"], "content": text})
    else:
        role = _ROLES.get(item["role"], item["role"])
        found.append({"role": role, "content": _text(item["content"])})
    return found[-1]


def _text(parts: Iterable[Mapping[str, Any]]) -> str:
    return "\n".join(part.get("text") or part.get("refusal") or "" for part in parts)
