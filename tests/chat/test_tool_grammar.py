"""Grammars of calls, in the form of each template."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ggmlkit.chat.errors import RequestError
from ggmlkit.chat.form import ChatForm
from ggmlkit.chat.tool_grammar import Function, forced_calls, rebased
from ggmlkit.engine.constraint import Constraint
from ggmlkit.engine.grammar import Grammar
from ggmlkit.engine.llama import Llama
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.errors import ArgumentError
from ggmlkit.text.tool_calls import parse_tool_calls
from ggmlkit.text.tool_forms import FORMS
from paths import GOLDEN

REFERRING = {
    "type": "object",
    "properties": {"a": {"$ref": "#/$defs/A"}},
    "required": ["a"],
    "additionalProperties": False,
    "$defs": {"A": {"enum": [1, 2]}},
}
FUNCTIONS = [Function("one", REFERRING), Function("two", {})]


@pytest.fixture(scope="module")
def llama() -> Llama:
    return Llama(GOLDEN / "gguf-v1-f16.bin", context=600)


@pytest.mark.parametrize(
    ("form", "longest"), [*((form, 60_000) for form in FORMS), ("hermes", 0), ("llama3", 0)]
)
def test_what_is_written_is_read_again(
    llama: Llama, form: str, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ggmlkit.chat.tool_grammar._LONGEST_GRAMMAR", longest)
    chat = ChatForm("", (), True, form, None, {})
    forced = forced_calls(chat, FUNCTIONS[:1], parallel=False)
    for seed in range(2):
        result = llama.complete("a", seed=seed, max_tokens=500, **forced.settings)
        assert result.finish_reason == "stop"
        content, calls = parse_tool_calls(result.text, forced.form)
        assert content == ""
        assert [call.name for call in calls] == ["one"]
        assert calls[0].arguments in ({"a": 1}, {"a": 2})


def test_one_of_several_functions(llama: Llama) -> None:
    forced = forced_calls(ChatForm("", (), True, "hermes", None, {}), FUNCTIONS, parallel=True)
    texts = [llama.complete("a", seed=n, max_tokens=80, **forced.settings).text for n in range(4)]
    calls = [call for text in texts for call in parse_tool_calls(text, "hermes").calls]
    assert {call.name for call in calls} <= {"one", "two"}
    assert len(calls) >= 2


def test_a_call_or_an_answer(llama: Llama) -> None:
    answer = {"const": "x"}
    chat = ChatForm("", (), True, "json", None, {})
    forced = forced_calls(chat, FUNCTIONS[:1], parallel=True, answer=answer)
    texts = {
        llama.complete("a", seed=seed, max_tokens=60, **forced.settings).text for seed in range(6)
    }
    assert '"x"' in texts
    assert any(text.startswith('{"name": "one"') for text in texts)


def test_marks_that_are_control_tokens_are_named_by_id() -> None:
    chat = ChatForm("", (), True, "mistral", None, {7: "[TOOL_CALLS]"})
    grammar = forced_calls(chat, FUNCTIONS, parallel=True).settings["grammar"]
    assert 'calls: <[7]> "[" call (", " call)* "]"' in grammar


def test_references_follow_their_schema() -> None:
    schema: Any = {
        "properties": {"$ref": {"$ref": "#"}, "b": [{"$ref": "#/$defs/A"}]},
        "const": {"$ref": "#/kept"},
        "other": {"$ref": "https://a/b"},
    }
    assert rebased(schema, "#/x") == {
        "properties": {"$ref": {"$ref": "#/x"}, "b": [{"$ref": "#/x/$defs/A"}]},
        "const": {"$ref": "#/kept"},
        "other": {"$ref": "https://a/b"},
    }


def constraint(chat: ChatForm, schema: dict[str, Any], **more: Any) -> Grammar:
    forced = forced_calls(chat, [Function("f", schema)], parallel=False, **more)
    found = SamplingParams(**forced.settings).wanted_grammar()
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"minProperties": 3}, "minProperties 3 is not supported"),
        ({"format": "regex"}, "the format 'regex' is not supported"),
        ({"$schema": "http://json-schema.org/draft-03/schema#"}, "http://json-schema.org/draft-03"),
        ({"x-guidance": {"lenient": True}}, "x-guidance is not supported"),
    ],
)
def test_what_a_schema_alone_can_not_have_tools_can_not_have(
    schema: dict[str, Any], said: str
) -> None:
    with pytest.raises(ArgumentError, match=re.escape(said)):
        SamplingParams(json_schema=schema)
    chat = ChatForm("", (), True, "hermes", None, {})
    with pytest.raises(RequestError, match=re.escape(f"the parameters of 'f': {said}")):
        constraint(chat, {**schema})
    with pytest.raises(RequestError, match=re.escape(said)) as caught:
        constraint(chat, {}, answer=schema)
    assert caught.value.param == "json_schema"


@pytest.mark.parametrize("form", FORMS)
def test_what_asks_for_nothing_is_no_reason_to_refuse_tools(llama: Llama, form: str) -> None:
    idle = {"type": "object", "properties": {"a": {"type": "string", "format": "of-mine"}}}
    idle |= {"dependencies": {}, "if": {"required": ["a"]}, "unevaluatedProperties": True}
    grammar = constraint(ChatForm("", (), True, form, None, {}), idle)
    assert Constraint(grammar, llama.tokenizer, llama.config.vocab).allowed().any()


def test_a_date_is_one_that_there_is_and_a_name_has_one_spelling(llama: Llama) -> None:
    date = {"type": "object", "properties": {"a": {"format": "date", "type": "string"}}}
    grammar = constraint(ChatForm("", (), True, "json", None, {}), date)
    pieces = {id: llama.tokenizer.token_bytes(id) for id in range(llama.config.vocab)}

    def fits(arguments: str) -> bool:
        left = f'{{"name": "f", "arguments": {arguments}'.encode()
        found = Constraint(grammar, llama.tokenizer, llama.config.vocab)
        while left:
            bits = found.allowed()
            fitting = [
                id
                for id, piece in pieces.items()
                if piece and left.startswith(piece) and bits[id // 32] >> id % 32 & 1
            ]
            if not fitting:
                return False
            found.take(fitting[0])
            left = left[len(pieces[fitting[0]]) :]
        return True

    assert fits('{"a": "2024-02-29"}')
    assert not fits('{"a": "2023-02-29"}')
    assert not fits('{"\\u0061": 5}')
