"""Compiled merging gives the same ids as the tokenizers library's."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import tokenizers

from ggmlkit import _core


def library(pieces: list[str], merges: list[str], whole_words: bool) -> Any:
    """The library's model of the same vocabulary."""
    ids: dict[str, int] = {}
    for number, piece in enumerate(pieces):
        ids.setdefault(piece, number)
    pairs = [(merge[: (cut := merge.find(" ", 1))], merge[cut + 1 :]) for merge in merges]
    return tokenizers.models.BPE(vocab=ids, merges=pairs, ignore_merges=whole_words)


def made_up(chance: random.Random) -> tuple[list[str], list[str]]:
    """A vocabulary made by random merges, in random order, some of them twice."""
    pieces = chance.sample("abcé你😀Ġ", 5)
    merges: list[str] = []
    for _ in range(chance.randrange(60)):
        left, right = chance.choices(pieces, k=2)
        merges.append(f"{left} {right}")
        pieces.append(left + right)  # can exist already: the first counts
    chance.shuffle(merges)
    return pieces, merges + chance.choices(merges, k=3) if merges else merges


@pytest.mark.parametrize("whole_words", [False, True])
def test_random_vocabularies_merge_as_the_library(whole_words: bool) -> None:
    chance = random.Random(11)
    for _ in range(300):
        pieces, merges = made_up(chance)
        ours = _core.Bpe(pieces, merges, whole_words)
        theirs = library(pieces, merges, whole_words)
        for length in [*range(12), 60, 300]:
            word = "".join(chance.choices("abcé你😀Ġ", k=length))
            expected = [token.id for token in theirs.tokenize(word)]
            assert ours.encode([word]) == expected, (pieces, merges, word)


def test_smollm2_merges_as_the_library(smollm2_gguf: Path) -> None:
    import ggmlkit as gk

    with gk.open(smollm2_gguf) as file:
        pieces = file.metadata["tokenizer.ggml.tokens"]
        merges = file.metadata["tokenizer.ggml.merges"]
    ours, theirs = _core.Bpe(pieces, merges, False), library(pieces, merges, False)
    chance = random.Random(12)
    letters = [piece for piece in pieces if len(piece) == 1]
    words = list(pieces)  # each piece as a word, whether merges can form it or not
    words += ["".join(chance.choices(pieces, k=chance.randrange(1, 6))) for _ in range(20_000)]
    words += ["".join(chance.choices(letters, k=chance.randrange(1, 40))) for _ in range(20_000)]
    words += [letter * 1000 for letter in letters]
    for word in words:
        assert ours.encode([word]) == [token.id for token in theirs.tokenize(word)], word


def test_words_follow_one_another() -> None:
    bpe = _core.Bpe(["a", "b", "ab", b"\xff"], ["a b"], False)
    assert bpe.encode(["ab", "", "xax", "ba"]) == [2, 0, 1, 0]
    assert bpe.encode([]) == []


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        (["a b", "a c"], "merges entry 1: 'c' is no token"),
        (["b a"], "merges entry 0: 'ba' is no token"),
        (["ab"], "merges entry 0 is no pair of pieces"),
        ([" "], "merges entry 0 is no pair of pieces"),
        ([""], "merges entry 0 is no pair of pieces"),
        ([b"a b"], "merges entry 0 is no pair of pieces"),
    ],
    ids=str,
)
def test_merges_that_do_not_fit_are_named(merges: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _core.Bpe(["a", "b", "ab"], merges, False)
