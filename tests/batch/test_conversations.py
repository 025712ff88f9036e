"""What the answers of conversations consist of: thoughts, content, calls of tools."""

from __future__ import annotations

from pathlib import Path

import pytest

from chat_model import dictated
from ggmlkit import io
from ggmlkit.batch.conversations import AnswerParts, Conversations
from ggmlkit.engine.completion import Token
from ggmlkit.engine.llama import Llama
from ggmlkit.engine.result import GenerationResult, result_of
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.engine.stats import Stats
from ggmlkit.text.named_templates import NamedTemplate
from ggmlkit.text.tool_calls import ToolCall

CALL = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'
USER = [{"role": "user", "content": "Hi"}]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {}}}]


@pytest.fixture(scope="module")
def llama(chat_gguf: Path) -> Llama:
    return Llama(chat_gguf, context=256)


def said(llama: Llama, text: str) -> GenerationResult:
    """The result of a model that says a text."""
    *tokens, last = dictated(llama, text)
    named = [Token(token.id, letter) for token, letter in zip(tokens, text, strict=True)]
    return result_of([*named, last], Stats())


def parts(llama: Llama, template: str, text: str, *, tools: bool = False) -> AnswerParts:
    conversations = Conversations(llama.model, NamedTemplate(template), {})
    prompt = conversations.prompt(USER, TOOLS if tools else None, None)
    return prompt.parts(said(llama, text), SamplingParams())


def test_thoughts_are_split_off_where_the_template_has_them(llama: Llama) -> None:
    text = "<think>\nso\n</think>\n\nYes"
    plain, thinking = "{{ messages[0].content }}", "{{ messages[0].content }}{# </think> #}"
    assert parts(llama, plain, text) == AnswerParts(text)
    assert parts(llama, thinking, text) == AnswerParts("Yes", "so")
    assert parts(llama, thinking, "Yes") == AnswerParts("Yes")
    assert parts(llama, thinking, "<think>\n\n</think>\n\nYes") == AnswerParts("Yes")
    begun = thinking + "<think>\n"
    assert parts(llama, begun, "so\n</think>\n\nYes") == AnswerParts("Yes", "so")
    assert parts(llama, begun, "no end") == AnswerParts("", "no end")
    prompt = Conversations(llama.model, NamedTemplate(begun), {}).prompt(USER, TOOLS, None)
    bound = SamplingParams(json_schema={})  # whose text has no marks
    assert prompt.parts(said(llama, "[1]"), bound) == AnswerParts("[1]")


def test_calls_are_found_where_there_are_tools(llama: Llama) -> None:
    template = "{{ messages[0].content }}{# <tool_call> </think> #}"
    text = f"<think>{CALL}</think>I call.{CALL}"
    assert parts(llama, template, text).content == f"I call.{CALL}"
    found = parts(llama, template, text, tools=True)
    assert found == AnswerParts("I call.", CALL, [ToolCall("f", {"a": 1})])
    (call,) = found.calls_as_json("call_x")
    assert call["id"] == "call_x_0"
    assert call["function"] == {"name": "f", "arguments": '{"a": 1}'}


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
    tokens = list(said(llama, "so Yes no").tokens)
    tokens[2:2] = [Token(end, "")]
    tokens[0:0] = [Token(start, "")]
    conversations = Conversations(
        llama.model, NamedTemplate("{{ messages[0].content }}{# </think> #}"), {}
    )
    prompt = conversations.prompt(USER, None, None)
    assert prompt.parts(result_of(tokens, Stats()), SamplingParams()) == AnswerParts(
        " Yes no", "so"
    )
    # A stop string cut " no" off, which the token before has begun.
    cut = [*tokens[:8], Token(tokens[8].id, "", finish_reason="stop")]
    assert prompt.parts(result_of(cut, Stats()), SamplingParams()) == AnswerParts(" Yes", "so")
