"""Answers are taken apart the same however they are cut."""

from __future__ import annotations

import pytest

from ggmlkit.chat.answer_reader import AnswerReader, Reading
from ggmlkit.engine.completion import Token
from ggmlkit.text.reasoning import THINK

CALL = '<tool_call>{"name": "f", "arguments": {}}</tool_call>'


def read(text: str, reading: Reading, size: int = 1) -> tuple[str, str, list[str], bool]:
    reader = AnswerReader(reading)
    found = [
        reader.push(Token(1, text[start : start + size])) for start in range(0, len(text), size)
    ]
    found.append(reader.flush())
    content = "".join(part.content for part in found)
    reasoning = "".join(part.reasoning for part in found)
    return content, reasoning, [call.name for part in found for call in part.calls], reader.is_full


@pytest.mark.parametrize("size", [1, 3, 100])
def test_thoughts_calls_and_content(size: int) -> None:
    text = f"<think>\nwhy?</think>\n\nI look. {CALL}{CALL}"
    both = Reading(tags=THINK, form="hermes")
    assert read(text, both, size) == ("I look. ", "why?", ["f", "f"], False)
    one = Reading(tags=THINK, form="hermes", most_calls=1)
    assert read(text, one, size) == ("I look. ", "why?", ["f"], True)
    assert read(text, Reading(tags=THINK), size) == (f"I look. {CALL}{CALL}", "why?", [], False)
    assert read(text, Reading(), size) == (text, "", [], False)


def test_an_answer_that_begins_in_thoughts() -> None:
    begun = Reading(tags=THINK, thinking=True)
    assert read("so</think>yes", begun) == ("yes", "so", [], False)
    assert read("so, and so", begun) == ("", "so, and so", [], False)


def test_content_keeps_its_white_space() -> None:
    assert read("  a\n", Reading(tags=THINK)) == ("  a\n", "", [], False)


def test_marks_that_are_control_tokens() -> None:
    reading = Reading(form="mistral", marks={7: "[TOOL_CALLS]"})
    reader = AnswerReader(reading)
    assert reader.push(Token(7, "")).calls == ()
    found = reader.push(Token(1, '[{"name": "f", "arguments": {"a": 1}}]'))
    assert [call.arguments for call in found.calls] == [{"a": 1}]
    assert found.content == ""
