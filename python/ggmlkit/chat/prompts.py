"""Makes prompts of conversations, and says how their answers are read."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from ggmlkit.chat.answer_reader import Reading
from ggmlkit.chat.errors import RequestError, as_request_error, bad_request
from ggmlkit.chat.tool_grammar import Function, forced_calls
from ggmlkit.errors import ArgumentError, ModelError
from ggmlkit.text.messages import chat_text
from ggmlkit.text.reasoning import is_thinking

if TYPE_CHECKING:
    from ggmlkit.chat.form import ChatForm
    from ggmlkit.chat.model import ChatModel

_ROLES: Final = {"developer": "system", "function": "tool"}
_OWN_VARIABLES: Final = ("messages", "tools", "add_generation_prompt", "template", "tokenizer")


@dataclass(frozen=True)
class Tools:
    """The functions that a model may call.

    Attributes:
        described: each as ``{"type": "function", "function": {…}}``.
        choice: "none", "auto", "required", or the name of the one to call.
        parallel: whether an answer may have several calls.
    """

    described: Sequence[Mapping[str, Any]] = ()
    choice: str = "auto"
    parallel: bool = True

    @property
    def functions(self) -> list[Function]:
        """Their names and parameters."""
        inner = [function_of(tool) for tool in self.described]
        return [Function(each["name"], each.get("parameters") or {}) for each in inner]

    @property
    def is_forced(self) -> bool:
        """Whether one must be called."""
        return self.choice not in ("none", "auto")


@dataclass(frozen=True)
class Conversation:
    """What a request says.

    Attributes:
        messages: as OpenAI's API has them.
        tools: that the model may call.
        schema: JSON Schema of the answer; None: it is free.
        variables: for the chat template.
        begun: text that the answer goes on from; it is not part of the answer.
    """

    messages: Sequence[Mapping[str, Any]]
    tools: Tools = field(default_factory=Tools)
    schema: Mapping[str, Any] | str | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)
    begun: str = ""


@dataclass(frozen=True)
class ChatPrompt:
    """A conversation as the model takes it.

    Attributes:
        text: of the prompt.
        ids: of its tokens.
        reading: of the answer.
        settings: for `SamplingParams`, beside the request's own: stop strings and grammars.
    """

    text: str
    ids: list[int]
    reading: Reading
    settings: dict[str, Any]


def chat_prompt(served: ChatModel, asked: Conversation, *, is_bound: bool = False) -> ChatPrompt:
    """The prompt of a conversation; takes a moment, so call it in a thread.

    Args:
        is_bound: the request has a grammar of its own.

    Raises:
        RequestError: the model has no chat template, or refuses the messages.
    """
    chat = served.chat
    if chat is None:
        raise bad_request(
            f"the model {served.name} has no chat template: give one with --chat-template, or ask "
            "for the continuation of a prompt",
            "messages",
        )
    tools = asked.tools if asked.tools.choice != "none" else Tools()
    settings, form = _bounds(chat, tools, asked.schema)
    is_bound = is_bound or bool(settings)
    if is_bound and asked.begun:
        raise bad_request(
            "an answer that goes on from a last message of the assistant can't be bound by a "
            "grammar, a schema or tool_choice",
            "messages",
        )
    variables = dict(asked.variables)
    is_past_thoughts = is_bound or bool(asked.begun)  # which no grammar describes
    if is_past_thoughts:
        variables.setdefault("enable_thinking", False)
    text = prompt_text(served, chat, asked.messages, tools, variables)
    if is_past_thoughts and chat.tags is not None and is_thinking(text, chat.tags):
        text += f"{chat.tags.end}\n\n"
    text += asked.begun
    reading = _reading(chat, tools, form, text, is_bound)
    ids = served.tokenizer.encode(text, add_special=False, parse_special=True)
    if not ids:
        raise bad_request("the chat template makes an empty prompt of these messages", "messages")
    if chat.stops:
        settings["stop"] = chat.stops
    return ChatPrompt(text, ids, reading, settings)


def prompt_text(
    served: ChatModel,
    chat: ChatForm,
    messages: Sequence[Mapping[str, Any]],
    tools: Tools,
    variables: Mapping[str, Any],
) -> str:
    """The text of a conversation, ending where the answer begins.

    Raises:
        RequestError: the template refuses the messages.
    """
    for name in _OWN_VARIABLES:
        if name in variables:
            raise bad_request(f"chat_template_kwargs can't set {name!r}", "chat_template_kwargs")
    given = _plain_messages(messages)
    listed: Sequence[Mapping[str, Any]] | None = tools.described or None
    if listed and not chat.takes_tools:
        given, listed = with_tools(given, tools), None
    try:
        return chat_text(given, served.tokenizer, chat.template, tools=listed, variables=variables)
    except (ArgumentError, ModelError) as error:
        found = as_request_error(error, served.path, served.name)
        raise RequestError(400, found.message, param="messages") from None


def function_of(tool: Mapping[str, Any]) -> Mapping[str, Any]:
    """The function of a tool, which some callers give without what is around it."""
    found = tool.get("function")
    return found if isinstance(found, Mapping) else tool


def plain_message(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as templates take it: known roles, arguments of calls as mappings."""
    found = {key: value for key, value in message.items() if value is not None or key == "content"}
    role = found.get("role")
    if isinstance(role, str):
        found["role"] = _ROLES.get(role, role)
    called = found.pop("function_call", None)
    if isinstance(called, Mapping) and not found.get("tool_calls"):  # the form before tools
        id = _call_id(called.get("name"))
        found["tool_calls"] = [{"id": id, "type": "function", "function": called}]
    if role == "function":
        found.setdefault("tool_call_id", _call_id(found.get("name")))
    calls = found.get("tool_calls")
    if isinstance(calls, list):
        found["tool_calls"] = [_plain_call(call) for call in calls]
        if not calls:
            del found["tool_calls"]
    return found


def _call_id(name: object) -> str:
    """The id of a call that came without one."""
    return f"call_{name}"


def _plain_call(call: Any) -> Any:
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("arguments"), str):
        return call
    try:
        arguments = json.loads(function["arguments"] or "{}")
    except (ValueError, RecursionError):
        return call  # the template gets the text as it is
    return {**call, "function": {**function, "arguments": arguments}}


def _plain_messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages as templates take them; what is no list of messages stays, to be refused."""
    if not isinstance(messages, list) or not all(isinstance(each, Mapping) for each in messages):
        return messages  # type: ignore[return-value]
    return _with_names([plain_message(message) for message in messages])


def _with_names(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages; results of tools, which have the id of a call, get its name too."""
    names: dict[object, object] = {}
    for message in messages:
        for call in message.get("tool_calls", ()):
            if isinstance(call, Mapping) and isinstance(call.get("function"), Mapping):
                names[str(call.get("id"))] = call["function"].get("name")
        name = names.get(str(message.get("tool_call_id")))
        if message.get("role") == "tool" and name is not None:
            message.setdefault("name", name)
    return messages


def with_tools(messages: list[dict[str, Any]], tools: Tools) -> list[dict[str, Any]]:
    """The messages with the tools in words, for templates that have no place for them."""
    listed = "\n".join(
        json.dumps(function_of(tool), ensure_ascii=False) for tool in tools.described
    )
    said = (
        "You can call these functions:\n"
        f"{listed}\n"
        "To call one, answer with nothing but a JSON object: "
        '{"name": "its name", "arguments": {…}}'
    )
    first = messages[0] if messages else {}
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        return [{**first, "content": f"{first['content']}\n\n{said}"}, *messages[1:]]
    return [{"role": "system", "content": said}, *messages]


def _bounds(
    chat: ChatForm, tools: Tools, schema: Mapping[str, Any] | str | None
) -> tuple[dict[str, Any], str]:
    """Settings that hold the answer to its form, and the form of its calls."""
    if tools.is_forced:
        functions = tools.functions
        wanted = [each for each in functions if tools.choice in ("required", each.name)]
        if not wanted:
            raise bad_request(
                f"tool_choice names {tools.choice!r}, which is no tool", "tool_choice"
            )
        parallel = tools.parallel and tools.choice == "required"
        forced = forced_calls(chat, wanted, parallel=parallel)
        return forced.settings, forced.form
    if schema is not None and tools.described and isinstance(schema, Mapping):
        forced = forced_calls(chat, tools.functions, parallel=tools.parallel, answer=schema)
        return forced.settings, forced.form
    return ({} if schema is None else {"json_schema": schema}), chat.form


def _reading(chat: ChatForm, tools: Tools, form: str, text: str, is_bound: bool) -> Reading:
    tags = None if is_bound else chat.tags
    return Reading(
        tags=tags,
        thinking=tags is not None and is_thinking(text, tags),
        form=form if tools.described else None,
        marks=chat.marks,
        most_calls=None if tools.parallel else 1,
    )
