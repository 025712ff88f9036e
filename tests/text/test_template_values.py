"""The values that a chat template can get, and errors about others."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
import seeds
from ggmlkit.errors import ModelError
from ggmlkit.text.chat import render
from ggmlkit.text.template.values import plain


class Role(str, enum.Enum):
    USER = "user"


class Text(str):
    def __str__(self) -> str:
        return "something else"


class Size(enum.IntEnum):
    BIG = 3


class Message(collections.UserDict):  # type: ignore[type-arg]
    """Like the messages of servers' clients."""


Pair = collections.namedtuple("Pair", "a b")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Role.USER, "user"),
        (Text("a"), "a"),
        (Size.BIG, 3),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.int8(-3), -3),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.array(7), 7),
        (Message(role="user"), {"role": "user"}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (collections.OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (collections.UserList([1, (2,)]), [1, (2,)]),
        (range(3), [0, 1, 2]),
        ({1: "a", None: "b", 2.5: "c", Role.USER: "d"}, {1: "a", None: "b", 2.5: "c", "user": "d"}),
        (float("inf"), float("inf")),
        (10**4000, 10**4000),
    ],
)
def test_values_of_other_types(value: Any, expected: Any) -> None:
    for given, wanted in ((value, expected), ([{"a": value}], [{"a": expected}])):
        found = plain(given, "tools")
        assert found == wanted
        assert repr(type(found)) == repr(type(wanted))
    if isinstance(value, Mapping):
        assert list(plain(value, "a")) == list(expected)


@pytest.mark.parametrize(
    "value",
    [
        b"a",
        bytearray(b"a"),
        datetime.datetime(2024, 1, 1),
        decimal.Decimal(1),
        1j,
        {1, 2},
        object(),
        len,
        types.SimpleNamespace(role="user"),
        Pair(1, 2),
        np.zeros(2),
        np.datetime64("2024-01-01"),
        (n for n in range(3)),
        Role,
    ],
)
def test_values_that_templates_cannot_get(value: object) -> None:
    tokenizer = gk.Tokenizer.from_metadata(seeds.spm_vocabulary())
    messages = [{"role": "user", "content": ["x", {"image": value}]}]
    with pytest.raises(ModelError) as caught:
        render("a", messages, tokenizer)
    kind = type(value).__qualname__
    assert str(caught.value) == (
        f"messages[0]['content'][1]['image'] is of type {kind}, which a chat template can't "
        "get: make it text, a number, a list or a dict"
    )
    with pytest.raises(ModelError, match=r"^tools"):
        render("a", [], tokenizer, tools=value)


def test_a_key_that_templates_cannot_get() -> None:
    with pytest.raises(ModelError, match=r"^tools\[0\], a key of it, is of type tuple"):
        plain([{(1, 2): 3}], "tools")


class Model:
    """Like pydantic's models."""

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter([("role", "user"), ("content", "a")])


def test_messages_of_other_classes() -> None:
    tokenizer = gk.Tokenizer.from_metadata(seeds.spm_vocabulary())
    messages: list[Any] = [Model(), Message(role="b", content="c")]
    template = "{% for m in messages %}{{ m.role }}{{ m['content'] }}{% endfor %}"
    assert render(template, messages, tokenizer) == "userabc"


def test_messages_that_are_not_mappings() -> None:
    tokenizer = gk.Tokenizer.from_metadata(seeds.spm_vocabulary())
    with pytest.raises(ModelError, match="failed"):
        render("{{ messages[0].role + 'x' }}", ["user"], tokenizer)  # type: ignore[list-item]


def test_a_value_that_contains_itself() -> None:
    itself: list[Any] = []
    itself.append(itself)
    with pytest.raises(ModelError, match=r"^tools is nested too deeply"):
        plain(itself, "tools")
    shared: list[Any] = []
    for _ in range(60):
        shared = [shared, shared]
    with pytest.raises(ModelError, match=r"^tools has more than 500000 parts"):
        plain(shared, "tools")


def test_values_of_real_conversations() -> None:
    """Parts of content, tool calls, documents: in order; None differs from undefined."""
    tokenizer = gk.Tokenizer.from_metadata(seeds.spm_vocabulary())
    call = {"type": "function", "function": {"name": "f", "arguments": {"z": 1, "a": [1.5, None]}}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]},
        {"role": "assistant", "content": None, "tool_calls": [call]},
    ]
    template = (
        "{% for part in messages[0].content %}{{ part.type }}{{ part.text }};{% endfor %}"
        "{{ messages[1].content is none }}{{ messages[1].name is undefined }}"
        "{{ messages[1].tool_calls | tojson }}{{ tools is none }}{{ custom }}"
    )
    assert render(template, messages, tokenizer, custom=(1, "b")) == (
        "texta;image;TrueTrue"
        '[{"type": "function", "function": {"name": "f", "arguments": {"z": 1, "a": [1.5, null]}}}]'
        "True(1, 'b')"
    )
