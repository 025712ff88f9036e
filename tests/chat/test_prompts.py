"""Conversations as the model's template gets them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ggmlkit.chat.errors import RequestError
from ggmlkit.chat.prompts import ChatPrompt, Conversation, Tools, chat_prompt, plain_message
from ggmlkit.server.loading import ServedModel, loaded
from running_server import settings_for

PLAIN = (
    "{% for m in messages %}[{{ m.role }}|{{ m.name }}|{{ m.content }}|"
    "{% for c in m.tool_calls %}{{ c.function.arguments.a }}{% endfor %}]{% endfor %}"
)
THINKING = PLAIN + "{% if enable_thinking is not defined or enable_thinking %}<think>{% endif %}"
THINKING += "{# </think> #}"
TOOLS = PLAIN + "{% for t in tools %}{{ t.function.name }}{% endfor %}<tool_call>"


def served_with(model: Path, template: str) -> Iterator[ServedModel]:
    settings = settings_for(model, chat_template=template)
    with loaded(settings.models[0], settings, is_first=True) as served:
        yield served


@pytest.fixture(scope="module")
def plain(chat_gguf: Path) -> Iterator[ServedModel]:
    yield from served_with(chat_gguf, PLAIN)


@pytest.fixture(scope="module")
def thinking(chat_gguf: Path) -> Iterator[ServedModel]:
    yield from served_with(chat_gguf, THINKING)


@pytest.fixture(scope="module")
def with_tools(chat_gguf: Path) -> Iterator[ServedModel]:
    yield from served_with(chat_gguf, TOOLS)


def text(served: ServedModel, prompt: ChatPrompt) -> str:
    return served.tokenizer.decode(prompt.ids)


def tool(name: str = "f") -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


def test_roles_and_calls(plain: ServedModel) -> None:
    call = {"id": "c1", "function": {"name": "f", "arguments": '{"a": 5}'}}
    messages = [
        {"role": "developer", "content": "be"},
        {"role": "user", "content": [{"type": "text", "text": "x"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "21"},
        {"role": "user", "content": None},
    ]
    found = text(plain, chat_prompt(plain, Conversation(messages)))
    assert found == "[system||be|][user||x|][assistant|||5][tool|f|21|][user|||]"


def test_calls_of_functions_are_calls_of_tools(plain: ServedModel) -> None:
    messages = [
        {"role": "assistant", "function_call": {"name": "f", "arguments": '{"a": 5}'}},
        {"role": "function", "name": "f", "content": "21"},
    ]
    with pytest.raises(RequestError, match="messages\\[0\\] has no content"):
        chat_prompt(plain, Conversation([{"role": "user"}]))
    found = plain_message(messages[0])
    assert found["tool_calls"][0]["id"] == plain_message(messages[1])["tool_call_id"]
    assert text(plain, chat_prompt(plain, Conversation(messages))) == "[assistant|||5][tool|f|21|]"


def test_arguments_that_are_no_json_stay_text(plain: ServedModel) -> None:
    call = {"id": "c1", "function": {"name": "f", "arguments": "{"}}
    messages = [{"role": "assistant", "content": "x", "tool_calls": [call]}]
    assert text(plain, chat_prompt(plain, Conversation(messages))) == "[assistant||x|]"


def test_tools_without_a_place_are_said_in_words(plain: ServedModel) -> None:
    asked = Conversation([{"role": "system", "content": "Be brief."}], Tools([tool()]))
    prompt = chat_prompt(plain, asked)
    assert text(plain, prompt).startswith("[system||Be brief.\n\nYou can call these functions:")
    assert prompt.reading.form == "json"
    alone = Conversation([{"role": "user", "content": "x"}], Tools([tool()], "none"))
    assert text(plain, chat_prompt(plain, alone)) == "[user||x|]"


def test_tools_in_the_templates_own_form(with_tools: ServedModel) -> None:
    asked = Conversation([{"role": "user", "content": "x"}], Tools([tool("one"), tool("two")]))
    prompt = chat_prompt(with_tools, asked)
    assert text(with_tools, prompt) == "[user||x|]onetwo<tool_call>"
    assert prompt.reading.form == "hermes"
    assert prompt.settings == {}


@pytest.mark.parametrize("choice", ["required", "two"])
def test_a_forced_call_is_a_grammar(with_tools: ServedModel, choice: str) -> None:
    tools = Tools([tool("one"), tool("two")], choice)
    prompt = chat_prompt(with_tools, Conversation([{"role": "user", "content": "x"}], tools))
    grammar = prompt.settings["grammar"]
    assert ('"one"' in grammar) == (choice == "required")
    assert '"two"' in grammar
    with pytest.raises(RequestError, match="which is no tool"):
        chat_prompt(
            with_tools,
            Conversation([{"role": "user", "content": "x"}], Tools([tool()], "other")),
        )


def test_thoughts_begin_in_the_prompt(thinking: ServedModel) -> None:
    messages = [{"role": "user", "content": "x"}]
    prompt = chat_prompt(thinking, Conversation(messages))
    assert text(thinking, prompt).endswith("<think>")
    assert prompt.reading.thinking
    off = chat_prompt(thinking, Conversation(messages, variables={"enable_thinking": False}))
    assert text(thinking, off) == "[user||x|]"
    assert not off.reading.thinking


def test_what_is_held_to_a_form_has_no_thoughts(thinking: ServedModel) -> None:
    messages = [{"role": "user", "content": "x"}]
    bound = chat_prompt(thinking, Conversation(messages, schema={}))
    assert text(thinking, bound) == "[user||x|]"
    asked = Conversation(messages, schema={}, variables={"enable_thinking": True})
    forced = chat_prompt(thinking, asked)
    assert text(thinking, forced).endswith("<think></think>\n\n")
    assert forced.reading.tags is None


def test_a_model_without_a_template(golden: Path) -> None:
    settings = settings_for(golden / "gguf-v1-f16.bin")
    with (
        loaded(settings.models[0], settings, is_first=True) as served,
        pytest.raises(RequestError, match="has no chat template: give one with --chat-template"),
    ):
        chat_prompt(served, Conversation([{"role": "user", "content": "x"}]))
