"""``/v1/chat/completions``: what a body asks for, and how an answer is written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ggmlkit.chat.answers import call_shape, chat_logprobs
from ggmlkit.chat.errors import bad_request
from ggmlkit.chat.jobs import Job, Terms, conversation_job, tools_of
from ggmlkit.chat.prompts import Conversation, Tools
from ggmlkit.chat.sampling_fields import settings_of
from ggmlkit.chat.shapes import ChatBody, NamedFunction, NamedTool

if TYPE_CHECKING:
    from ggmlkit.chat.model import ChatModel
    from ggmlkit.chat.whole import EndReason, Whole
    from ggmlkit.text.tokenizer import Tokenizer
    from ggmlkit.text.tool_calls import ToolCall


def chat_job(terms: Terms, served: ChatModel, body: ChatBody) -> Job:
    """What is to be generated for a body; takes a moment.

    Raises:
        RequestError: a field has no meaning, or the template refuses the messages.
    """
    own = settings_of(body, served.tokenizer)
    if body.logprobs or body.top_logprobs:
        own |= {"logprobs": True, "top_logprobs": body.top_logprobs or 0}
    return conversation_job(
        terms,
        served,
        conversation(body, terms.variables),
        own,
        most_tokens=body.most_tokens,
        choices=body.n or 1,
        splits_thoughts=body.reasoning_format != "none",
        uses_cache=body.uses_cache,
    )


def conversation(body: ChatBody, variables: Mapping[str, Any]) -> Conversation:
    """What a body says; raises RequestError if a field has no meaning.

    Args:
        variables: for the chat template; the body's own come before them.
    """
    return Conversation(
        [message.model_dump(exclude_unset=True) for message in body.messages],
        _tools(body),
        _schema(body),
        _variables(body, variables),
    )


def _variables(body: ChatBody, common: Mapping[str, Any]) -> dict[str, Any]:
    """For the chat template."""
    found = {**common, **(body.chat_template_kwargs or {})}
    if body.enable_thinking is not None:
        found["enable_thinking"] = body.enable_thinking
    return found


def _tools(body: ChatBody) -> Tools:
    if body.has_functions:
        listed = [each.model_dump(exclude_unset=True) for each in body.functions or ()]
        wanted = body.function_call
        name = wanted.name if isinstance(wanted, NamedFunction) else wanted or "auto"
        functions = [{"type": "function", "function": each} for each in listed]
        return tools_of(functions, name, parallel=False)
    asked = body.tool_choice
    choice = asked.function.name if isinstance(asked, NamedTool) else asked or "auto"
    described = [tool.model_dump(exclude_unset=True) for tool in body.tools or ()]
    return tools_of(described, choice, parallel=body.parallel_tool_calls is not False)


def _schema(body: ChatBody) -> Mapping[str, Any] | None:
    """JSON Schema of the answer."""
    wanted = body.response_format
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return wanted.schema_ or {"type": "object"}
    inner = wanted.json_schema
    schema = wanted.schema_ if inner is None else inner.schema_
    if schema is None:
        raise bad_request(
            "response_format wants a JSON schema, but has none",
            "response_format.json_schema.schema",
        )
    return schema


def calls_of(
    body: ChatBody, calls: Iterable[ToolCall], new_id: Callable[[], str]
) -> dict[str, Any]:
    """What a message has of its calls, in the form that a body wants.

    Args:
        new_id: makes the id of a call.
    """
    shapes = [call_shape(call, new_id()) for call in calls]
    if body.has_functions:
        return {"function_call": shapes[0]["function"]}
    return {"tool_calls": shapes}


def reason_of(body: ChatBody, reason: EndReason) -> str:
    """Why an answer to a body ended."""
    return "function_call" if body.has_functions and reason == "tool_calls" else reason


def chat_choice(
    tokenizer: Tokenizer,
    body: ChatBody,
    place: int,
    whole: Whole,
    *,
    logprobs: bool,
    new_id: Callable[[], str],
) -> dict[str, Any]:
    """An answer among those to a conversation.

    Args:
        body: that asks for it.
        logprobs: whether the log-probabilities of its tokens are told.
        new_id: makes the id of a call.
    """
    message: dict[str, Any] = {
        "role": "assistant",
        "content": whole.content if whole.content or not whole.calls else None,
        "refusal": None,
    }
    if whole.reasoning:
        message["reasoning_content"] = whole.reasoning
    if whole.calls:
        message |= calls_of(body, whole.calls, new_id)
    return {
        "index": place,
        "message": message,
        "logprobs": chat_logprobs(tokenizer, whole.tokens) if logprobs else None,
        "finish_reason": reason_of(body, whole.reason),
    }
