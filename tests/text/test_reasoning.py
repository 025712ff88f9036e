"""Thoughts split off answers that come in pieces."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ggmlkit.text.reasoning import (
    THINK,
    ReasoningSplitter,
    Split,
    Tags,
    is_thinking,
    reasoning_tags,
    split_reasoning,
)

CASES = [
    ("<think>a</think>b", False, ("a", "b")),
    ("\n <think>\na\n</think>\n\nb", False, ("\na\n", "\n \n\nb")),
    ("a</think>b", True, ("a", "b")),
    ("<think>a</think>b", True, ("a", "b")),  # said again after the prompt's own
    ("a</think>b", False, ("", "a</think>b")),
    ("no <think>a</think>", False, ("", "no <think>a</think>")),
    ("<think>a", False, ("a", "")),
    ("<think>a</thin", False, ("a</thin", "")),
    ("<thin", False, ("", "<thin")),
    ("<thin", True, ("<thin", "")),
    ("", True, ("", "")),
    (" \n", False, ("", " \n")),
    ("<think></think>", False, ("", "")),
    ("<think>a</think>b<think>c</think>", False, ("a", "b<think>c</think>")),
    ("<think><think>a</</think>b", False, ("<think>a</", "b")),
]


def in_pieces(pieces: list[str], thinking: bool) -> Split:
    splitter = ReasoningSplitter(thinking=thinking)
    parts = [*map(splitter.push, pieces), splitter.flush()]
    return Split("".join(part.reasoning for part in parts), "".join(p.content for p in parts))


@pytest.mark.parametrize(("text", "thinking", "expected"), CASES)
def test_what_is_thought(text: str, thinking: bool, expected: tuple[str, str]) -> None:
    assert split_reasoning(text, thinking=thinking) == expected
    assert in_pieces(list(text), thinking) == expected
    for place in range(len(text)):
        assert in_pieces([text[:place], text[place:]], thinking) == expected


PARTS = st.sampled_from(["<think>", "</think>", "<", "think>", "</", "a", " ", "\n", "é"])


@settings(deadline=None)
@given(st.lists(PARTS, max_size=12).map("".join), st.booleans(), st.data())
def test_cuts_change_nothing_and_nothing_is_lost(
    text: str, thinking: bool, data: st.DataObject
) -> None:
    whole = split_reasoning(text, thinking=thinking)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=5)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert in_pieces(pieces, thinking) == whole
    rest = text.replace("<think>", "", 1) if text.lstrip().startswith("<think>") else text
    lengths = {len(rest), len(rest) - len("</think>")}
    assert len(whole.reasoning) + len(whole.content) in lengths


def test_pieces_come_at_once() -> None:
    splitter = ReasoningSplitter()
    assert splitter.push("<think>a") == ("a", "")
    assert splitter.push("b<") == ("b", "")
    assert splitter.push("c</thi") == ("<c", "")
    assert splitter.push("nk>d") == ("", "d")
    assert splitter.push("</think>") == ("", "</think>")


def test_tags_of_templates_and_prompts() -> None:
    assert reasoning_tags("… {{ content.split('</think>')[-1] }}") == THINK
    assert reasoning_tags("[THINK]{{ a }}[/THINK]") == Tags("[THINK]", "[/THINK]")
    assert reasoning_tags("{{ messages }}") is None
    assert is_thinking("<|im_start|>assistant\n<think>\n")
    assert not is_thinking("<|im_start|>assistant\n<think>\n\n</think>\n\n")
    assert not is_thinking("What is <think>?<|im_end|>\n<|im_start|>assistant\n")
    magistral = Tags("[THINK]", "[/THINK]")
    assert split_reasoning("[THINK]a[/THINK]b", tags=magistral) == ("a", "b")


def test_hostile_text_takes_linear_time() -> None:
    start = time.process_time()
    hostile = ["<" * 20_000, "<think>" + "</think" * 4_000, " " * 20_000, "<think>" * 4_000]
    for text in hostile:
        split = in_pieces(list(text), thinking=False)
        assert len(split.reasoning) + len(split.content) >= len(text) - len("<think>")
    assert time.process_time() - start < 10
