"""Chat messages: contents that are None or parts, and refused messages."""

from __future__ import annotations

from typing import Any

import pytest

import ggmlkit as gk
from ggmlkit.text.messages import chat_text, text_messages
from ggmlkit.text.named_templates import CHATML, PLAIN

TAKES_PARTS = """{% for m in messages %}{{ m.role }}:\
{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}{% endif %}{% endfor %}\
{% endfor %}"""
TAKES_BOTH = """{% for m in messages %}\
{% if m.content is string %}{{ m.content }}{% else %}{{ m.content[0].text }}{% endif %}\
{% endfor %}"""


@pytest.fixture(scope="module")
def tokenizer() -> gk.Tokenizer:
    return gk.Tokenizer.from_metadata(
        {
            "tokenizer.ggml.model": "llama",
            "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "a"],
            "tokenizer.ggml.token_type": [2, 3, 3, 1],
            "tokenizer.ggml.scores": [0.0] * 4,
        }
    )


PARTS = [{"type": "text", "text": "a"}, "b", {"type": "input_text", "text": "c"}]


@pytest.mark.parametrize("template", [CHATML, PLAIN, TAKES_BOTH])
def test_parts_are_joined_for_templates_that_take_text(
    tokenizer: gk.Tokenizer, template: str
) -> None:
    given = [{"role": "user", "content": PARTS}, {"role": "user", "content": "d"}]
    found = text_messages(given, template, tokenizer)
    assert [message["content"] for message in found] == ["a\nb\nc", "d"]
    assert given[0]["content"] is PARTS  # the caller's are not changed


def test_parts_stay_parts_for_templates_that_take_these(tokenizer: gk.Tokenizer) -> None:
    (found,) = text_messages([{"role": "user", "content": PARTS}], TAKES_PARTS, tokenizer)
    assert found["content"] == [{"type": "text", "text": text} for text in "abc"]


def test_no_content_is_an_empty_text(tokenizer: gk.Tokenizer) -> None:
    calls: list[Any] = []
    given = [{"role": "assistant", "content": None}, {"role": "assistant", "tool_calls": calls}]
    assert text_messages(given, CHATML, tokenizer) == [
        {"role": "assistant", "content": ""},
        {"role": "assistant", "tool_calls": calls},
    ]


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ("hello", "must be a list of mappings with role and content, not 'hello'"),
        ({"role": "user", "content": "a"}, "must be a list of mappings"),
        (5, "must be a list of mappings"),
        (["hello"], r"messages\[0\] must be a mapping with role and content, not 'hello'"),
        ([None], r"messages\[0\] must be a mapping"),
        ([], "there are no messages"),
        ([{"role": "user"}], r"messages\[0\] has no content"),
        (
            [{"role": "user", "content": ["a", {"type": "image_url", "image_url": {}}]}],
            r"messages\[0\]\['content'\]\[1\] is a part of type 'image_url'",
        ),
        ([{"content": [5]}], r"\['content'\]\[0\] is 5; this model takes parts of type 'text'"),
        ([{"content": [{"type": "text"}]}], r"\[0\]\['text'\] must be a str, not None"),
        ([{"content": [{"type": "text", "text": b"a"}]}], r"must be a str, not bytes b'a'"),
    ],
)
def test_invalid_messages_are_refused(tokenizer: gk.Tokenizer, messages: Any, message: str) -> None:
    with pytest.raises(gk.ArgumentError, match=message):
        text_messages(messages, CHATML, tokenizer)


SHOWS = """{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}\
{% if tools %}{{ tools | map(attribute='name') | join(',') }};{% endif %}\
{{ enable_thinking }}{{ tokenizer }}{% if add_generation_prompt %}>{% endif %}"""
USER = [{"role": "user", "content": "a"}]


def test_a_template_gets_tools_and_variables(tokenizer: gk.Tokenizer) -> None:
    assert chat_text(USER, tokenizer, SHOWS) == "user=a;>"
    found = chat_text(
        USER,
        tokenizer,
        SHOWS,
        tools=iter([{"name": "f"}, {"name": "g"}]),
        add_generation_prompt=False,
        variables={"enable_thinking": False, "tokenizer": 5},
    )
    assert found == "user=a;f,g;False5"
    assert chat_text(USER, tokenizer, SHOWS, tools=[]) == "user=a;>"


def test_wrong_tools_and_variables_get_one_sentence(tokenizer: gk.Tokenizer) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"tools": {"name": "f"}}, "tools must be a list of mappings, each .*, not a dict"),
        ({"tools": ["f"]}, "not 'f'"),
        ({"tools": 5}, "not 5"),
        ({"variables": {"tokenize": True}}, "tokenize is not an argument of a template: .* text"),
        ({"variables": {"chat_template": "x"}}, "given as template=…, not chat_template"),
        ({"template": 5}, "template must be a str, not 5"),
    ]
    for arguments, message in wrong:
        with pytest.raises(gk.ArgumentTypeError, match=message):
            chat_text(USER, tokenizer, **{"template": SHOWS, **arguments})
    with pytest.raises(gk.ModelError, match="enable_thinking"):
        chat_text(USER, tokenizer, SHOWS, variables={"enable_thinking": object()})
