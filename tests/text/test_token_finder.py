"""Tokens in text are found as by llama.cpp: compared with a simple version of its steps."""

from __future__ import annotations

import random

import pytest

from ggmlkit import _core
from limits import bounded

Pattern = tuple[str, int, bool, bool, bool, bool]
SPACES = " \t\n\v\f\r"


def plain(text: str, special: bool = False, left: bool = False, right: bool = False) -> Pattern:
    return (text, 0, special, left, right, False)


def longest_first(patterns: list[Pattern], text: str, special: bool) -> list[str | int]:
    """One token after the other, the longest first, in every part that is still text."""
    parts: list[str | int] = [text] if text else []
    for content, number, is_special, left, right, _ in sorted(
        patterns, key=lambda p: (-len(p[0].encode()), p[1])
    ):
        if is_special and not special:
            continue
        found: list[str | int] = []
        for part in parts:
            if isinstance(part, int):
                found.append(part)
                continue
            while (at := part.find(content)) >= 0:
                before, part = part[:at], part[at + len(content) :]
                found += [before.rstrip(SPACES) if left else before, number]
                part = part.lstrip(SPACES) if right else part
            found.append(part)
        parts = [part for part in found if part != ""]
    return parts


@pytest.mark.parametrize("seed", range(30))
def test_longest_first(seed: int) -> None:
    chance = random.Random(seed)
    alphabet = chance.choice(["ab", "ab \n", "abcé "])
    count = chance.randrange(1, 9)
    texts = {"".join(chance.choices(alphabet, k=chance.randrange(1, 6))) for _ in range(count)}
    patterns: list[Pattern] = [
        (text, number, *(chance.random() < 0.3 for _ in range(3)), False)  # type: ignore[misc]
        for number, text in enumerate(sorted(texts))
    ]
    finder = _core.TokenFinder(patterns)
    for _ in range(200):
        text = "".join(chance.choices(alphabet, k=chance.randrange(25)))
        for special in (True, False):
            expected = longest_first(patterns, text, special)
            assert finder.split(text, special, longest_first=True) == expected, (patterns, text)


def test_a_text_of_one_token_over_and_over() -> None:
    """Each place is scanned once, whatever the text."""
    texts = {1: "\n", **{count: " " * count for count in range(2, 32)}}
    finder = _core.TokenFinder(
        [(text, number, False, False, False, False) for number, text in texts.items()]
    )
    with bounded():
        assert finder.split(" " * 200_000, False, longest_first=True) == [31] * 6451 + [19]
        assert finder.split("\n " * 100_000, False, longest_first=True) == [1, " "] * 100_000
        assert finder.split(" " * 200_000, False, longest_first=False) == [31] * 6451 + [19]


def test_tokens_within_white_space_that_each_includes() -> None:
    """The white space after them is scanned once."""
    finder = _core.TokenFinder([("\n", 1, False, False, True, False)])
    with bounded():
        found = finder.split("\n" * 200_000 + "a", False, longest_first=False)
    assert found == [1] * 200_000 + ["a"]


def test_no_tokens_and_empty_ones() -> None:
    assert _core.TokenFinder([]).split("ab", True, True) == ["ab"]
    assert _core.TokenFinder([plain("")]).split("ab", True, False) == ["ab"]
    assert _core.TokenFinder([plain("ab")]).split("", True, False) == []
