"""Expressions split text into the same words as the tokenizers library's Oniguruma."""

from __future__ import annotations

import random

import pytest
from tokenizers import Regex, pre_tokenizers

from ggmlkit import _core
from ggmlkit.text.splitting import families as pretokenizers
from ggmlkit.text.splitting.words import LibrarySplitter, splitter

POOLS = [
    "abc DEF",
    "'s 't 'LL 'ſ 'Ve'",
    "0123456789",
    " \t\n\r\n  ",
    "éüßÅ",
    "日本語中文ひらカナ",
    "한글при Вет",
    "ε Δעבריתمرحباไทย",
    "\u0301\u0308\u20dd",
    "🦙👩‍👩‍👧🏽",
    "\u00a0\u2003\u3000\u2028\x85\x1c\x0b",
    "!?.,;:()[]{}<>@#$%^&*_-+=/\\|~`'\"।、。「」",
    "½²٣Ⅷ\u200b\u200d\ufeff",
]


def mixtures(count: int, seed: int) -> list[str]:
    """Texts of characters of all kinds, some of them from all of Unicode."""
    chance = random.Random(seed)

    def stretch() -> str:
        if chance.random() < 0.1:
            return chr(chance.choice([*range(0x20, 0xD800, 7), *range(0xE000, 0x20000, 11)]))
        return "".join(chance.choices(chance.choice(POOLS), k=chance.randrange(1, 6)))

    return ["".join(stretch() for _ in range(chance.randrange(1, 12))) for _ in range(count)]


STEPS = {
    f"{family.name} {kind}": steps
    for family in pretokenizers.FAMILIES
    for kind, steps in (("llama.cpp", family.steps), ("own", family.own))
}
# Supported by the library only: scripts, word boundaries, repeated lookaheads, removed words.
OF_THE_LIBRARY = {"kimi-k2 own", "tiny_aya own", "superbpe own", "exaone-moe own"}
OF_THE_LIBRARY |= {"whitespace llama.cpp", "whitespace own"}


@pytest.mark.parametrize("name", STEPS)
def test_families_split_as_the_library(name: str) -> None:
    ours, theirs = splitter(STEPS[name]), LibrarySplitter(STEPS[name])
    assert isinstance(ours, LibrarySplitter) == (name in OF_THE_LIBRARY)
    for text in mixtures(300, seed=1):
        assert ours.words(text, False) == theirs.words(text, False), repr(text)
        assert ours.words(text, True) == theirs.words(text, True)


@pytest.mark.parametrize(
    "expression",
    [
        "a+?b",
        "(?:ab|a)(?:c|bcd)",
        "(?:ab)?c",
        "a{2}",
        "a{2,}b?",
        "[a-c]{1,2}",
        "(?>a+)b",
        "a*+b",
        "(?=a)..",
        "(?<=b)a+",
        "(?<![ab])c",
        "^a|b$",
        r"\Aa|b\z",
        r"[^\s\d]+",
        r"\x61|\x{62}|\u0063",
        r"[\]\-a]+",
        "[a-]+|[-b]+",
        "(?i:[sk]t)",
        "[[a-c]&&[^b]]+|[b&&b]",
        r"[^[a]\n]+|[^a-z&&\S]",
        "(?:ab|c){1,3}d?",
        "(?:a|ab){2}c",
        "(?:ab|a)*+b|(?:c)++",
        "(?:a(?!b))?+[ab]",
        r"(?<![a])\s*[\r\n]+|\s{1,2}(?!\S)",
        r"\p{^L}+",
        r"\P{L}+",
        ".+",
    ],
)
def test_the_language_of_expressions(expression: str) -> None:
    ours = _core.WordSplitter([expression])
    theirs = pre_tokenizers.Split(Regex(expression), "isolated")
    chance = random.Random(3)
    letters = [*"aaabbbcd]- \n1é", "ſT", "Kt", "st"]
    for _ in range(300):
        text = "".join(chance.choices(letters, k=chance.randrange(12)))
        expected = [word for word, _ in theirs.pre_tokenize_str(text)]
        assert ours.words(text, letters=False) == expected, (expression, text)


@pytest.mark.parametrize(
    "expression",
    ["(", ")", "[a", "(ab)*", r"\1", r"\g", "*", "a**", r"\p{Martian}", "[b-a]",
     r"\p{L", "a{2,1}", "(?<=ab)c", "a{99999999}", "(?#x)", "(" * 50, r"\x{110000}", "\\"],
)  # fmt: skip
def test_other_expressions_are_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="the expression has"):
        _core.WordSplitter([expression])


def test_words_in_letters() -> None:
    assert _core.WordSplitter([r"\s"]).words("a \xe9\x00", letters=True) == ["a", "Ġ", "Ã©Ā"]
    assert _core.WordSplitter([]).words("a b", letters=False) == ["a b"]
    assert _core.WordSplitter(["a"]).words("", letters=False) == []
