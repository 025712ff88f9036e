"""Conversations of Anthropic's API as chat templates take them."""

from __future__ import annotations

from typing import Any

import pytest

from ggmlkit.chat.errors import RequestError
from ggmlkit.chat.prompts import Conversation
from ggmlkit.chat.validation import validated
from ggmlkit.server.anthropic.conversation import conversation
from ggmlkit.server.anthropic.shapes import CountBody


def said(messages: list[dict[str, Any]], **fields: Any) -> Conversation:
    return conversation(validated(CountBody, {"messages": messages, **fields}), {})


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def test_the_system_prompt_is_the_first_message() -> None:
    assert said([user("hi")], system="be brief").messages == [
        {"role": "system", "content": "be brief"},
        user("hi"),
    ]
    blocks = [{**text("a"), "cache_control": {"type": "ephemeral"}}, text("b")]
    first = said([{"role": "system", "content": "c"}, user("hi")], system=blocks).messages[0]
    assert first == {"role": "system", "content": [text("a"), text("b"), text("c")]}


def test_messages_of_one_side_are_one() -> None:
    found = said([user("a"), user([text("b")]), {"role": "assistant", "content": "c"}, user("d")])
    assert [message["role"] for message in found.messages] == ["user", "assistant", "user"]
    assert found.messages[0]["content"] == [text("a"), text("b")]


def test_calls_and_their_results() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Rome"}}
    results = [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "21 degrees"},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": [text("a"), text("b")]},
        {"type": "tool_result", "tool_use_id": "toolu_3", "content": "no", "is_error": True},
        {"type": "tool_result", "tool_use_id": "toolu_4"},
        text("and?"),
    ]
    thoughts = [
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "redacted_thinking", "data": "x"},
    ]
    assistant = {"role": "assistant", "content": [*thoughts, text("I look"), call]}
    _, answer, *rest = said([user("?"), assistant, user(results)]).messages
    function = {"name": "weather", "arguments": {"city": "Rome"}}
    assert answer == {
        "role": "assistant",
        "content": [text("I look")],
        "reasoning_content": "hm",
        "tool_calls": [{"id": "toolu_1", "type": "function", "function": function}],
    }
    assert [(each["role"], each.get("tool_call_id"), each["content"]) for each in rest] == [
        ("tool", "toolu_1", "21 degrees"),
        ("tool", "toolu_2", "a\nb"),
        ("tool", "toolu_3", "Error: no"),
        ("tool", "toolu_4", ""),
        ("user", None, [text("and?")]),
    ]


def test_a_last_message_of_the_assistant_is_gone_on_from() -> None:
    found = said([user("hi"), {"role": "assistant", "content": [text("The"), text("end")]}])
    assert (found.messages, found.begun) == ([user("hi")], "The\nend")
    assert said([user("hi")]).begun == ""
    with pytest.raises(RequestError, match="no message before"):
        said([{"role": "assistant", "content": "The"}])


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        (None, ("auto", True)),
        ({"type": "auto", "disable_parallel_tool_use": True}, ("auto", False)),
        ({"type": "any"}, ("required", True)),
        ({"type": "none"}, ("none", True)),
        ({"type": "tool", "name": "a"}, ("a", True)),
    ],
    ids=str,
)
def test_tools(choice: Any, found: tuple[str, bool]) -> None:
    tool = {"name": "a", "description": "b", "input_schema": {"type": "object"}}
    tools = said([user("hi")], tools=[tool], tool_choice=choice).tools
    assert (tools.choice, tools.parallel) == found
    function = {"name": "a", "description": "b", "parameters": {"type": "object"}}
    assert tools.described == [{"type": "function", "function": function}]


def test_a_tool_that_is_wanted_must_be_there() -> None:
    for choice in ({"type": "any"}, {"type": "tool", "name": "a"}, {"type": "tool"}):
        with pytest.raises(RequestError):
            said([user("hi")], tool_choice=choice)
