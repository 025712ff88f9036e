"""What whole answers consist of: thoughts, content, calls of tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from chat_model import dictated
from ggmlkit import io
from ggmlkit.chat.form import chat_form
from ggmlkit.chat.model import ChatModel
from ggmlkit.chat.prompts import Conversation, Tools, chat_prompt
from ggmlkit.chat.whole import Whole, read
from ggmlkit.engine.completion import Token
from ggmlkit.engine.llama import Llama
from ggmlkit.text.tool_calls import ToolCall

CALL = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'
USER = [{"role": "user", "content": "Hi"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


@pytest.fixture(scope="module")
def llama(chat_gguf: Path) -> Llama:
    return Llama(chat_gguf, context=256)


def said(llama: Llama, text: str) -> list[Token]:
    """The tokens of a model that says a text."""
    *tokens, last = dictated(llama, text)
    return [*(Token(token.id, letter) for token, letter in zip(tokens, text, strict=True)), last]


def whole(llama: Llama, template: str, tokens: str | list[Token], *, tools: bool = False) -> Whole:
    chat = chat_form(llama.tokenizer, template)
    served = ChatModel("m", llama.model, None, chat)
    prompt = chat_prompt(served, Conversation(USER, Tools(TOOLS if tools else ())))
    return read(said(llama, tokens) if isinstance(tokens, str) else tokens, prompt.reading)


def parts(llama: Llama, template: str, tokens: str | list[Token]) -> tuple[str, str]:
    found = whole(llama, template, tokens)
    return found.content, found.reasoning


def test_thoughts_are_split_off_where_the_template_has_them(llama: Llama) -> None:
    text = "<think>\nso\n</think>\n\nYes"
    plain, thinking = "{{ messages[0].content }}", "{{ messages[0].content }}{# </think> #}"
    assert parts(llama, plain, text) == (text, "")
    assert parts(llama, thinking, text) == ("Yes", "so\n")
    assert parts(llama, thinking, "Yes") == ("Yes", "")
    assert parts(llama, thinking, "<think>\n\n</think>\n\nYes")[0].strip() == "Yes"
    begun = thinking + "<think>\n"
    assert parts(llama, begun, "so\n</think>\n\nYes") == ("Yes", "so\n")
    found = whole(llama, begun, "no end")
    assert (found.content, found.reasoning, found.reasoning_tokens) == ("", "no end", 6)


def test_calls_are_found_where_there_are_tools(llama: Llama) -> None:
    template = "{{ messages[0].content }}{# <tool_call> </think> #}"
    text = f"<think>{CALL}</think>I call.{CALL}"
    assert parts(llama, template, text)[0] == f"I call.{CALL}"
    found = whole(llama, template, text, tools=True)
    assert (found.content, found.reasoning) == ("I call.", CALL)
    assert found.calls == [ToolCall("f", {"a": 1})]
    assert found.reason == "tool_calls"


def test_marks_that_are_control_tokens_count(chat_gguf: Path, tmp_path: Path) -> None:
    path = tmp_path / "marks.gguf"
    with io.open(chat_gguf) as file:
        metadata = dict(file.metadata)
        tokens, types = (metadata[f"tokenizer.ggml.{key}"] for key in ("tokens", "token_type"))
        metadata["tokenizer.ggml.tokens"] = [*tokens[:-2], "<think>", "</think>"]
        metadata["tokenizer.ggml.token_type"] = types.copy()
        metadata["tokenizer.ggml.token_type"][-2:] = 3
        io.save(path, file.tensors, metadata)
    llama = Llama(path, context=256)
    start, end = llama.tokenizer.token_id("<think>"), llama.tokenizer.token_id("</think>")
    assert start is not None
    assert end is not None
    assert llama.tokenizer.decode([start, end]) == ""
    tokens = said(llama, "so Yes no")
    tokens[2:2] = [Token(end, "")]
    tokens[0:0] = [Token(start, "")]
    thinking = "{{ messages[0].content }}{# </think> #}"
    assert parts(llama, thinking, tokens) == ("Yes no", "so")
    # A stop string cut " no" off, which the token before has begun.
    cut = [*tokens[:8], Token(tokens[8].id, "", finish_reason="stop")]
    assert parts(llama, thinking, cut) == ("Yes", "so")
