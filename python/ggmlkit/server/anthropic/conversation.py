"""Conversations of Anthropic's API, as the chat templates take them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ggmlkit.chat.errors import bad_request
from ggmlkit.chat.jobs import tools_of
from ggmlkit.chat.prompts import Conversation, Tools
from ggmlkit.server.anthropic.shapes import (
    ConversationFields,
    Message,
    OtherBlock,
    TextBlock,
    ThinkingBlock,
    ToolResultBlock,
    ToolUseBlock,
)
from ggmlkit.server.turns import joined

_ROLES = ("system", "user", "assistant")


def conversation(body: ConversationFields, variables: Mapping[str, Any]) -> Conversation:
    """What a body says.

    Args:
        variables: the server's own for the chat template.

    Raises:
        RequestError: tool_choice wants what there is not.
    """
    said = [*_system(body.system), *(each for one in body.messages for each in _messages(one))]
    messages = joined(said, _ROLES)
    begun = ""
    if messages and _is_begun(messages[-1]):
        begun = _text(messages.pop()["content"])
        if not messages:
            raise bad_request("there is no message before the assistant's", "messages")
    return Conversation(
        messages, _tools(body), body.schema_of_answer, _variables(body, variables), begun
    )


def _system(given: str | Sequence[TextBlock | OtherBlock] | None) -> Iterator[dict[str, Any]]:
    if given:
        yield {"role": "system", "content": given if isinstance(given, str) else _parts(given)}


def _messages(message: Message) -> Iterator[dict[str, Any]]:
    """The messages that one stands for: each result of a tool is one of its own."""
    if isinstance(message.content, str):
        yield {"role": message.role, "content": message.content}
        return
    calls: list[dict[str, Any]] = []
    thoughts: list[str] = []
    texts: list[dict[str, Any]] = []
    for block in message.content:
        if isinstance(block, TextBlock):
            texts.append({"type": "text", "text": block.text})
        elif isinstance(block, ToolUseBlock):
            calls.append(_call(block))
        elif isinstance(block, ThinkingBlock):
            thoughts.append(block.thinking)
        elif isinstance(block, ToolResultBlock):
            if texts:
                yield {"role": message.role, "content": texts}
                texts = []
            yield _result(block)
    found: dict[str, Any] = {"role": message.role, "content": texts or None}
    if thoughts:
        found["reasoning_content"] = "\n".join(thoughts)
    if calls:
        found["tool_calls"] = calls
    if texts or calls:
        yield found


def _call(block: ToolUseBlock) -> dict[str, Any]:
    function = {"name": block.name, "arguments": block.input}
    return {"id": block.id, "type": "function", "function": function}


def _result(block: ToolResultBlock) -> dict[str, Any]:
    content = block.content or ""
    text = content if isinstance(content, str) else _text(_parts(content))
    if block.is_error:  # for which templates have no other place
        text = f"Error: {text}"
    return {"role": "tool", "tool_call_id": block.tool_use_id, "content": text}


def _parts(blocks: Sequence[TextBlock | OtherBlock]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": each.text} for each in blocks if isinstance(each, TextBlock)]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or ())


def _is_begun(message: Mapping[str, Any]) -> bool:
    """Whether a last message is one that the answer goes on from."""
    return message["role"] == "assistant" and not message.get("tool_calls")


def _tools(body: ConversationFields) -> Tools:
    asked = body.tool_choice
    choice = "auto"
    if asked is not None:
        choice = {"any": "required"}.get(asked.type, asked.type)
        if asked.type == "tool":
            if asked.name is None:
                raise bad_request("tool_choice of type tool needs a name", "tool_choice.name")
            choice = asked.name
    described = []
    for tool in body.tools or ():
        function = {"name": tool.name, "parameters": tool.input_schema}
        if tool.description is not None:
            function["description"] = tool.description
        described.append({"type": "function", "function": function})
    parallel = not (asked and asked.disable_parallel_tool_use)
    return tools_of(described, choice, parallel=parallel)


def _variables(body: ConversationFields, own: Mapping[str, Any]) -> dict[str, Any]:
    """For the chat template: as in this API, a model thinks where it is told to."""
    found = {"enable_thinking": False, **own}
    if body.thinking is not None:
        found["enable_thinking"] = body.thinking.type != "disabled"
    return found
