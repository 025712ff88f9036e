"""Grammars that hold an answer to calls of tools, in the form that the model's template has."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from ggmlkit.chat.errors import bad_request
from ggmlkit.chat.form import ChatForm
from ggmlkit.engine.grammar_check import JSON_ESCAPES
from ggmlkit.engine.json_schema import kept_schema
from ggmlkit.errors import ArgumentError

# As most models write JSON themselves; and no model can write white space for ever.
_JSON_STYLE: Final = {
    "whitespace_flexible": False,
    "key_separator": ": ",
    "item_separator": ", ",
    "json_allowed_escapes": JSON_ESCAPES,
}
_LONGEST_GRAMMAR: Final = 60_000  # characters, a little less than the engine takes
_DATA: Final = frozenset({"const", "enum", "default", "examples"})  # of a schema, no schemas
_REFERENCES: Final = frozenset({"$ref", "$dynamicRef"})


class Function(NamedTuple):
    """A function that the model may call.

    Attributes:
        name: of it.
        parameters: JSON Schema of its arguments.
    """

    name: str
    parameters: Mapping[str, Any]


class Forced(NamedTuple):
    """How an answer is held to calls.

    Attributes:
        settings: of `SamplingParams`.
        form: in which the calls then come.
    """

    settings: dict[str, Any]
    form: str


def forced_calls(
    chat: ChatForm,
    functions: Sequence[Function],
    *,
    parallel: bool,
    answer: Mapping[str, Any] | None = None,
) -> Forced:
    """What makes an answer calls of the functions, or, with an answer's schema, such a value.

    Args:
        chat: the form of the model's calls.
        functions: of which at least one is called.
        parallel: whether there may be several calls.
        answer: JSON Schema of what the answer may be instead.

    Raises:
        RequestError: a schema has a part that can't be kept.
    """
    kept = [
        Function(each.name, _kept(each.parameters, f"the parameters of {each.name!r}: ", "tools"))
        for each in functions
    ]
    kept_answer = None if answer is None else _kept(answer, "json_schema: ", "json_schema")
    grammar = _grammar(chat, kept, parallel, kept_answer)
    if len(grammar) <= _LONGEST_GRAMMAR:
        return Forced({"grammar": grammar}, chat.form)
    key = _key(chat.form)
    kinds = [_call(each, key, f"#/anyOf/{place}") for place, each in enumerate(functions)]
    if answer is not None:
        kinds.append(rebased(answer, f"#/anyOf/{len(kinds)}"))
    form = "llama3" if chat.form == "llama3" else "json"
    return Forced({"json_schema": {"anyOf": kinds}}, form)


def _kept(schema: Mapping[str, Any], what: str, field: str) -> dict[str, Any]:
    """A schema as the grammar library can keep it; ``what`` and ``field`` are for errors."""
    try:
        found: dict[str, Any] = json.loads(kept_schema(json.dumps(schema)))
    except ArgumentError as error:
        said = str(error).removeprefix("json_schema: ")
        raise bad_request(f"{what}{said}", field) from None
    return found


def _grammar(
    chat: ChatForm,
    functions: Sequence[Function],
    parallel: bool,
    answer: Mapping[str, Any] | None,
) -> str:
    """In Lark's notation."""

    def mark(text: str) -> str:
        """A mark, which may be a control token."""
        own = [id for id, written in chat.marks.items() if written == text]
        return f"<[{own[0]}]>" if own else json.dumps(text)

    if chat.form == "hermes":
        begin, end = mark("<tool_call>"), mark("</tool_call>")
        call = f'{begin} "\\n" call "\\n" {end}'
        calls = f'{call} ("\\n" {call})*' if parallel else call
    elif chat.form == "phi4":
        calls = f"{mark('<|tool_call|>')} {_list(parallel)} {mark('<|/tool_call|>')}"
    elif chat.form == "mistral":
        calls = f"{mark('[TOOL_CALLS]')} {_list(parallel)}"
    elif chat.form == "functionary":
        calls = "call+" if parallel else "call"
        return _rules(calls, answer, [_function_call(each, mark) for each in functions])
    else:
        calls = "call"
    key = _key(chat.form)
    return _rules(calls, answer, [f"%json {_text(_call(each, key, '#'))}" for each in functions])


def _key(form: str) -> str:
    """What a form calls the arguments."""
    return "parameters" if form == "llama3" else "arguments"


def _list(parallel: bool) -> str:
    return '"[" call (", " call)* "]"' if parallel else '"[" call "]"'


def _function_call(function: Function, mark: Any) -> str:
    """``<function=NAME>{…}</function>``; the arguments are a rule behind the others."""
    end = mark("</function>")
    schema = _text(dict(function.parameters) or {"type": "object"})
    return f"{json.dumps(f'<function={function.name}>')} %json {schema} {end}"


def _rules(calls: str, answer: Mapping[str, Any] | None, kinds: Sequence[str]) -> str:
    lines = ["start: calls" if answer is None else "start: calls | answer", f"calls: {calls}"]
    if answer is not None:
        lines.append(f"answer: %json {_text(answer)}")
    lines.append("call: " + " | ".join(f"call_{place}" for place in range(len(kinds))))
    lines += [f"call_{place}: {kind}" for place, kind in enumerate(kinds)]
    return "\n".join(lines)


def _text(schema: Mapping[str, Any]) -> str:
    return json.dumps({**schema, "x-guidance": _JSON_STYLE})


def _call(function: Function, key: str, place: str) -> dict[str, Any]:
    """JSON Schema of a call, which stands at a place of its document."""
    arguments = rebased(function.parameters, f"{place}/properties/{key}") or {"type": "object"}
    return {
        "type": "object",
        "properties": {"name": {"const": function.name}, key: arguments},
        "required": ["name", key],
        "additionalProperties": False,
    }


def rebased(schema: Any, place: str) -> Any:
    """A schema whose references to its own parts hold where it is moved to a place."""
    if isinstance(schema, Mapping):
        return {
            key: (
                place + value[1:]
                if key in _REFERENCES and isinstance(value, str) and value.startswith("#")
                else value
                if key in _DATA
                else rebased(value, place)
            )
            for key, value in schema.items()
        }
    if isinstance(schema, list):
        return [rebased(each, place) for each in schema]
    return schema
