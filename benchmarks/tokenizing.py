"""Tokenizers: opening a vocabulary and encoding text, beside the tokenizers library.

Vocabularies: the real model's, and one of 256 000 SentencePiece pieces, 6 400 of them user-defined,
which is Gemma's size; its words are made by a seeded generator.
"""

from __future__ import annotations

import itertools
import json
import random
from functools import partial
from typing import Any

import tokenizers

import ggmlkit as gk
from bench import Bench, Outcome, Step, compared
from ggmlkit.conversion.vocabulary import to_tokenizer_json
from inputs import REAL
from measure import OURS, Comparison, Measure, seconds

_LIBRARY = "tokenizers"
_CHARACTERS = 200_000
_OPEN = "open"
_SYLLABLES = [
    a + b for a in "bcdfghklmnprstvz" for b in ("a", "e", "i", "o", "u", "an", "er", "is")
]


def steps(bench: Bench) -> list[Step]:
    """Each vocabulary."""
    return [
        Step("tokenizer byte-level", partial(_real, bench)),
        Step("tokenizer SentencePiece", partial(_large, bench)),
    ]


def _real(bench: Bench) -> Outcome:
    with gk.open(bench.inputs.f16(REAL)) as file:
        keys = {k: v for k, v in file.metadata.items() if k.startswith("tokenizer.")}
    return _measured(bench, "49,152 tokens, byte-level", keys, _prose(random.Random(1)))


def _large(bench: Bench) -> Outcome:
    rng = random.Random(2)
    return _measured(bench, "256,000 pieces, SentencePiece", _large_keys(), _prose(rng))


def _measured(bench: Bench, name: str, keys: dict[str, Any], prose: str) -> Outcome:
    path, json_path = bench.folder / "tokenizer.gguf", bench.folder / "tokenizer.json"
    gk.save(path, {}, {"general.architecture": "llama", **keys})
    json_path.write_text(json.dumps(to_tokenizer_json(keys)))
    mine = gk.Tokenizer.from_file(path)
    library = tokenizers.Tokenizer.from_file(str(json_path))
    texts = {"prose": prose, "line breaks and spaces": "\n " * (_CHARACTERS // 2)}
    notes = [
        f"{name}, {kind}: ids differ"
        for kind, text in texts.items()
        if mine.encode(text, add_special=False)
        != library.encode(text, add_special_tokens=False).ids
    ]

    def speeds(open_one: Any, encode: Any) -> Measure:
        def measure(_: int) -> dict[str, float]:
            found = {_OPEN: 1e3 * seconds(open_one)}
            for kind, text in texts.items():
                found[kind] = len(text) / 1e6 / seconds(partial(encode, text))
            return found

        return measure

    def line(kind: str, samples: dict[str, list[float]]) -> Comparison:
        if kind == _OPEN:
            return Comparison("Tokenizers", f"{name}: open", "ms", 1, samples, less=True)
        work = f"{name}: {len(texts[kind]):,} characters of {kind}"
        return Comparison("Tokenizers", work, "M characters/s", 1, samples, goal=1.0)

    systems = {
        OURS: speeds(partial(gk.Tokenizer.from_file, path), mine.encode),
        _LIBRARY: speeds(
            partial(tokenizers.Tokenizer.from_file, str(json_path)), partial(library.encode)
        ),
    }
    outcome = compared(systems, bench.rounds, line)
    outcome.notes += notes
    for made in (path, json_path):
        made.unlink()
    return outcome


def _prose(rng: random.Random) -> str:
    """Words of a generated language, with numbers, punctuation, lines and indents."""
    parts: list[str] = []
    length = 0
    while length < _CHARACTERS:
        word = "".join(rng.choices(_SYLLABLES, k=rng.randrange(1, 5)))
        end = rng.choices([" ", ", ", ". ", "\n", "\n    ", " 12 "], [20, 3, 2, 1, 1, 1])[0]
        parts += [word, end]
        length += len(word) + len(end)
    return "".join(parts)[:_CHARACTERS]


def _large_keys() -> dict[str, Any]:
    """The keys of a vocabulary of words and their beginnings, with falling scores."""
    defined = [" " * n for n in range(2, 32)] + [f"<unused{n}>" for n in range(6370)]
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    letters = sorted({*"".join(_SYLLABLES), *"▁,.0123456789"})
    words: dict[str, None] = {}
    count = 256_000 - len(defined) - len(special) - len(letters)
    for size in itertools.count(1):
        for syllables in itertools.product(_SYLLABLES, repeat=size):
            word = "".join(syllables)
            for text in (word, "▁" + word):
                words |= dict.fromkeys(text[:end] for end in range(2, len(text) + 1))
            if len(words) >= count:
                pieces = [*special, *letters, *list(words)[:count], *defined]
                kinds = [2, 3, 3, *[6] * 256, *[1] * (len(letters) + count), *[4] * len(defined)]
                return {
                    "tokenizer.ggml.model": "llama",
                    "tokenizer.ggml.tokens": pieces,
                    "tokenizer.ggml.scores": [-float(n) for n in range(len(pieces))],
                    "tokenizer.ggml.token_type": kinds,
                    "tokenizer.ggml.add_bos_token": False,
                    "tokenizer.ggml.add_space_prefix": False,
                }
    raise AssertionError("the generator makes words without end")
