"""Texts on which tokenizers often differ."""

from __future__ import annotations

import random
from collections.abc import Sequence

AWKWARD = [
    "",
    " ",
    "  ",
    "\n",
    "\n\n  \n",
    "\t",
    "hello",
    " hello",
    "  two  spaces  ",
    "number 1024 and 3.14, ٣٤٥ Ⅷ ½",
    "naïve café",
    "e\u0301 \u00e9",
    "你好，世界",
    "😀 👩‍👩‍👧 🏳️‍🌈",
    "a\r\nb\tc",
    "it's WE'LL they'd I'M HelloWorld'S",
    "<s>not special</s> <unk> <0x41> <|im_end|> <|user|>  x<tool> ",
    " \n<|mask|> <|user|>\u3000\u00a0\x1c <|mask|><|user|> ",
    "\x00\x01\x7f",
    "\ufeffBOM \u200b\u200d\u2028\u00a0\u3000x",
    "مرحبا שלום नमस्ते",
    "\U0010ffff\ue000",
    "=" * 33 + "-" * 17 + " " * 41 + "a" * 29,
    "path/to/file.py\n//comment",
]
_LETTERS = [
    *"aaab  -=<>to lé你😀1\n\t\rzQ'.9/",
    "  ",
    "<tool>",
    "<|user|>",
    "<|mask|>",
    "the",
    "'ll",
    "123",
]


def mixed(letters: Sequence[str], count: int, seed: int = 5) -> list[str]:
    """Random strings of characters in odd combinations."""
    chance = random.Random(seed)
    return ["".join(chance.choices(letters, k=chance.randrange(30))) for _ in range(count)]


def texts(count: int = 300) -> list[str]:
    """The awkward texts, and random strings."""
    return AWKWARD + mixed(_LETTERS, count)
