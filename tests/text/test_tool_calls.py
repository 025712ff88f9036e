"""Calls of tools found in answers that come in pieces."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ggmlkit.errors import ArgumentError
from ggmlkit.text.tool_calls import Found, ToolCall, ToolCallParser, parse_tool_calls
from ggmlkit.text.tool_forms import FORMS, form_name

CALL = '{"name": "f", "arguments": {"a": "}\\"é", "b": [1, {"c": null}]}}'
F = ToolCall("f", {"a": '}"é', "b": [1, {"c": None}]})
G = ToolCall("g", {})
NAME_G = '{"name": "g", "parameters": {}}'
HERMES = f"<tool_call>\n{CALL}\n</tool_call>"

CASES: list[tuple[str, str, str, list[ToolCall]]] = [
    ("hermes", HERMES, "", [F]),
    ("hermes", f"Look.\n{HERMES}\n<tool_call>{NAME_G}</tool_call>\n", "Look.\n", [F, G]),
    ("hermes", f"<tool_call>{CALL}", "", [F]),  # the end mark is often a token that ends the text
    ("hermes", f"{HERMES} and so on", " and so on", [F]),
    ("hermes", f"<tool_call>[{CALL}, {NAME_G}]</tool_call>", "", [F, G]),
    ("hermes", f'<tool_call>{{"function": {NAME_G}, "id": "7"}}', "", [G._replace(id="7")]),
    ("hermes", '<tool_call>{"name": "g", "arguments": "{}"}</tool_call>', "", [G]),
    ("hermes", CALL, CALL, []),
    ("hermes", "a < b <tool <tool_call", "a < b <tool <tool_call", []),
    ("hermes", "<tool_call> none </tool_call>", "<tool_call> none </tool_call>", []),
    ("hermes", '<tool_call>{"name": ' + HERMES, '<tool_call>{"name": ', [F]),
    ("hermes", '<tool_call>{"name": "g"}</tool_call>', '<tool_call>{"name": "g"}</tool_call>', []),
    ("hermes", '<tool_call>{"name": 1}', '<tool_call>{"name": 1}', []),
    ("hermes", "<tool_call>{a: 1}</tool_call>", "<tool_call>{a: 1}</tool_call>", []),
    ("hermes", '<tool_call>{"a": 1e}x', '<tool_call>{"a": 1e}x', []),
    ("hermes", "<tool_call><tool_call>" + CALL, "<tool_call>", [F]),
    ("llama3", NAME_G, "", [G]),
    ("llama3", f"\n<|python_tag|>{NAME_G}; {CALL}", "\n", [G, F]),
    ("llama3", f"{NAME_G};\n{CALL} done", " done", [G, F]),
    ("llama3", f"It is {NAME_G}", f"It is {NAME_G}", []),
    ("llama3", '<|python_tag|>web.call(query="a")', '<|python_tag|>web.call(query="a")', []),
    ("llama3", '{"name": "Bob", "age": 5}', '{"name": "Bob", "age": 5}', []),
    ("mistral", f"[TOOL_CALLS] [{CALL}, {NAME_G}]", "", [F, G]),
    ("mistral", f"[{CALL}]", "", [F]),  # the mark is not in decoded text
    ("mistral", "[TOOL_CALLS]g[ARGS]{}[TOOL_CALLS]g {}", "", [G, G]),
    ("mistral", "[TOOL_CALLS]g[CALL_ID]a1[ARGS]{}", "", [G._replace(id="a1")]),
    ("mistral", f'[TOOL_CALLS][{NAME_G[:-1]}, "id": "a"}}]', "", [G._replace(id="a")]),
    ("mistral", "Well [TOOL_CALLS]a b{}", "Well [TOOL_CALLS]a b{}", []),
    ("mistral", "[TOOL_CALLS]" + "a" * 300 + "{}", "[TOOL_CALLS]" + "a" * 300 + "{}", []),
    ("mistral", "[TOOL_CALLS]a[ARGS", "[TOOL_CALLS]a[ARGS", []),
    ("mistral", "[1, 2]", "[1, 2]", []),
    ("phi4", f"<|tool_call|>[{CALL}]<|/tool_call|>", "", [F]),
    ("functionary", 'Now <function=g>{}</function><function=f.x>{"a": 1}', "Now ",
     [G, ToolCall("f.x", {"a": 1})]),
    ("functionary", "<function=g>[]</function>", "<function=g>[]</function>", []),
    ("json", f" [{NAME_G}, {CALL}]\n", "", [G, F]),
    ("json", f"{NAME_G}\n{CALL}", "", [G, F]),
    ("json", "[]", "[]", []),
    ("json", "{}", "{}", []),
    ("json", "[" * 5000, "[" * 5000, []),
    ("json", '{"name": "g", "arguments": {"a": ' + "9" * 5000 + "}}",
     '{"name": "g", "arguments": {"a": ' + "9" * 5000 + "}}", []),
    ("json", "", "", []),
]  # fmt: skip


def in_pieces(form: str, pieces: list[str]) -> Found:
    parser = ToolCallParser(form)
    found = [*map(parser.push, pieces), parser.flush()]
    return Found("".join(f.content for f in found), [call for f in found for call in f.calls])


@pytest.mark.parametrize(("form", "text", "content", "calls"), CASES)
def test_content_and_calls(form: str, text: str, content: str, calls: list[ToolCall]) -> None:
    expected = (content, calls)
    assert parse_tool_calls(text, form) == expected
    assert in_pieces(form, list(text)) == expected
    for place in range(min(len(text), 100)):
        assert in_pieces(form, [text[:place], text[place:]]) == expected


PARTS = st.sampled_from([
    CALL, NAME_G, HERMES, "<tool_call>", "</tool_call>", "[TOOL_CALLS]", "[ARGS]", "g", "{", "}",
    "[", "]", '"', "\\", ":", ",", ";", " ", "\n", "1", "<function=", ">", "</function>", "é", "{}",
    "<|python_tag|>", "<|tool_call|>", "<|/tool_call|>", '"name"', '"arguments"', "null",
])  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from(sorted(FORMS)), st.lists(PARTS, max_size=14).map("".join), st.data())
def test_cuts_change_nothing(form: str, text: str, data: st.DataObject) -> None:
    whole = parse_tool_calls(text, form)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert in_pieces(form, pieces) == whole
    assert in_pieces(form, list(text)) == whole
    if not whole.calls:
        assert whole.content == text  # nothing is lost


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@settings(deadline=None)
@given(
    st.sampled_from(["hermes", "llama3", "mistral", "phi4", "json"]),
    st.dictionaries(st.text(max_size=5), VALUES, max_size=3),
    st.sampled_from([None, 1, "\t"]),
    st.booleans(),
)
def test_any_arguments_come_back(
    form: str, arguments: dict[str, Any], indent: Any, ascii: bool
) -> None:
    said = {"name": "tool", "arguments": arguments}
    text = "".join(FORMS[form].starts) + json.dumps(said, indent=indent, ensure_ascii=ascii)
    assert in_pieces(form, list(text)) == ("", [ToolCall("tool", arguments)])


@pytest.mark.parametrize(("levels", "is_call"), [(50, True), (150, False)])
def test_arguments_nested_too_deeply_are_content(levels: int, is_call: bool) -> None:
    text = '{"name": "g", "arguments": {"a": ' + "[" * levels + "]" * levels + "}}"
    found = parse_tool_calls(text, "json")
    assert [len(found.calls), found.content] == ([1, ""] if is_call else [0, text])


def test_content_comes_at_once_and_a_call_when_it_is_whole() -> None:
    parser = ToolCallParser("hermes")
    assert parser.push("Hello <") == ("Hello ", [])
    assert parser.push("b> <tool_ca") == ("<b> ", [])
    assert parser.push(f"ll>{CALL[:-1]}") == ("", [])
    assert parser.push("}") == ("", [F])
    assert parser.push("\n</tool_call>\n") == ("", [])
    assert parser.push("a") == ("\na", [])
    assert parser.flush() == ("", [])


@pytest.mark.parametrize("form", FORMS)
def test_hostile_text_takes_linear_time(form: str) -> None:
    start = "".join(FORMS[form].starts)
    head = "f[ARGS]" if form == "mistral" else "f>" if form == "functionary" else ""
    texts = [
        start * 1_000,
        f'{start}{head}{{"a":' * 500,
        start + head + '{"a": "' + "x" * 8_000,
        start + head + "[" * 8_000,
        (start + head + "{}") * 700,
        start[:-1] * 1_000,
        start + " " * 8_000,
        start + "a" * 8_000,
        start + head + '{"a": ' + "1" * 8_000,
    ]
    begun = time.process_time()
    for text in texts:
        found = parse_tool_calls(text, form)
        assert in_pieces(form, list(text)) == found
        if not found.calls:
            assert found.content == text
    assert time.process_time() - begun < 20


def test_the_form_of_a_template() -> None:
    assert form_name("… '<tool_call>\\n' …") == "hermes"
    assert form_name("'<tool_call><function=' + name + '><parameter='") is None  # XML
    assert form_name("'<tool_call><invoke name=' + name") is None
    assert form_name("'[TOOL_CALLS]'") == "mistral"
    assert form_name("{{ '<|python_tag|>' }}") == "llama3"
    assert form_name("""'"parameters": ' … role == 'ipython'""") == "llama3"
    assert form_name("'<|tool_call|>'") == "phi4"
    assert form_name("'<function='") == "functionary"
    assert form_name("{{ messages[0].content }}") is None
    with pytest.raises(ArgumentError, match="form is 'other', not one of functionary, hermes"):
        ToolCallParser("other")
