"""What followed the last tokens where they occurred before."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from ggmlkit.engine.speculation.ngrams import Ngrams


@pytest.mark.parametrize(
    ("ids", "text", "expected"),
    [
        ([1, 2, 3, 4, 5], [1, 2, 3], (3, [4, 5, 4, 5])),
        ([1, 2, 3, 4, 5], [9, 1, 2, 3], (3, [4, 5, 4, 5])),
        ([1, 2, 3, 4, 5], [3], (0, [])),  # too short
        ([1, 2, 3], [1, 2, 3], (0, [])),  # nothing follows
        ([], [1, 2, 3], (0, [])),
        # The longest match counts, then the latest.
        ([8, 1, 2, 3, 4, 9, 1, 2, 3, 5, 0, 0], [8, 1, 2, 3], (4, [4, 9, 1, 2])),
        ([1, 2, 3, 4, 9, 1, 2, 3, 5, 6, 7, 8], [1, 2, 3], (3, [5, 6, 7, 8])),
        ([7, 7, 7, 7], [7, 7, 7], (3, [7, 7, 7, 7])),
    ],
)
def test_followers(ids: list[int], text: list[int], expected: tuple[int, list[int]]) -> None:
    assert Ngrams(ids).followers(text, 4) == expected


def test_pieces_give_what_the_whole_gives() -> None:
    random = np.random.default_rng(3)
    ids = random.integers(0, 4, 300).tolist()
    pieces = Ngrams()
    for begin in range(0, 300, 7):
        pieces.extend(ids[begin : begin + 7])
    for end in range(2, 300):
        assert pieces.followers(ids[:end], 5) == Ngrams(ids).followers(ids[:end], 5)


def test_what_follows_is_what_followed() -> None:
    random = np.random.default_rng(4)
    ids = random.integers(0, 5, 400).tolist()
    found = Ngrams(ids)
    for end in range(10, 390):
        length, after = found.followers(ids[:end], 3)
        assert length >= 2
        tail = ids[end - length : end]
        followed = [ids[at : at + 3] for at in range(length, 400) if ids[at - length : at] == tail]
        assert any(known and after[: len(known)] == known for known in followed)


def test_what_is_cut_off_is_as_if_it_had_not_come() -> None:
    random = np.random.default_rng(5)
    ids = random.integers(0, 40, 1500).tolist()
    whole = Ngrams(ids)
    for length in (0, 1, 2, 3, 600, 1499, 1500):
        found = Ngrams(ids)
        found.truncate(length)
        assert len(found) == length
        fresh = Ngrams(ids[:length])
        for end in range(2, 1500, 7):
            assert found.followers(ids[:end], 5) == fresh.followers(ids[:end], 5)
        found.extend(ids[length:])
        for end in range(2, 1500, 7):
            assert found.followers(ids[:end], 5) == whole.followers(ids[:end], 5)


def test_what_two_texts_begin_with_alike() -> None:
    ids = list(range(1300))
    for length in (0, 1, 511, 512, 513, 1299, 1300):
        assert Ngrams(ids).common(ids[:length]) == length
        assert Ngrams(ids[:length]).common(ids) == length
        assert Ngrams(ids).common([*ids[:length], -5, *ids[length:]]) == length


def test_memory_does_not_grow_by_objects() -> None:
    # A server keeps the texts of many requests.
    ids = np.random.default_rng(6).integers(0, 49_000, 1 << 16).tolist()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        found = Ngrams(ids)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert len(found) == 1 << 16
    assert grown < 20 << 16
