"""What is remembered of texts, and how much of them is indexed."""

from __future__ import annotations

import numpy as np
import pytest

from ggmlkit.engine.speculation import lookup as module
from ggmlkit.engine.speculation.lookup import PromptLookup
from ggmlkit.engine.speculation.ngrams import Ngrams
from ggmlkit.engine.speculation.source import Text


@pytest.fixture
def indexed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many ids were indexed, each time."""
    found: list[int] = []
    extend = Ngrams.extend

    def counted(self: Ngrams, ids: list[int]) -> None:
        found.append(len(ids))
        extend(self, ids)

    monkeypatch.setattr(Ngrams, "extend", counted)
    return found


def turn(lookup: PromptLookup, prompt: list[int], answer: list[int]) -> None:
    """A text that begins, goes on and ends."""
    text = Text(list(prompt), lookup.begin(prompt), 0.7)
    for id in answer:
        lookup.guesses([text], [], [5])
        text.ids.append(id)
    lookup.end(text)


def ids_of(seed: int, count: int) -> list[int]:
    return np.random.default_rng(seed).integers(0, 1000, count).tolist()  # type: ignore[no-any-return]


def test_later_turns_index_only_what_is_new(indexed: list[int]) -> None:
    lookup, said = PromptLookup(), ids_of(0, 5000)
    turn(lookup, said, ids_of(1, 20))
    said += ids_of(1, 19)  # the template writes the end of the answer otherwise
    for number in range(2, 8):
        said += ids_of(number, 30)
        indexed.clear()
        turn(lookup, said, ids_of(50 + number, 20))
        said += ids_of(50 + number, 20)
        assert sum(indexed) < 2 * (30 + 20 + 20 + 16)


def test_guesses_are_as_if_all_was_indexed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SHARED_TOKENS", 400)
    kept, anew = PromptLookup(), PromptLookup()
    monkeypatch.setattr(module, "_KEPT_TOKENS", 1000)
    anew._keep = lambda _: None  # type: ignore[method-assign]
    said = ids_of(0, 100)
    for number in range(1, 30):
        said += ids_of(number, 12)
        states = [Text(list(said), lookup.begin(said), 0.7) for lookup in (kept, anew)]
        # What was said before comes again.
        for id in said[number * 3 : number * 3 + 25]:
            one, other = (
                lookup.guesses([text], [], [4])[0].ids
                for lookup, text in zip((kept, anew), states, strict=True)
            )
            assert one == other
            for text in states:
                text.ids.append(id)
        for lookup, text in zip((kept, anew), states, strict=True):
            lookup.end(text)
        said = list(states[0].ids)


def test_a_text_that_ended_is_found_from_another(indexed: list[int]) -> None:
    lookup, said = PromptLookup(), ids_of(0, 300)
    turn(lookup, said, ids_of(1, 40))
    said += ids_of(1, 40)
    turn(lookup, said + ids_of(2, 10), ids_of(3, 40))
    known = said + ids_of(2, 10) + ids_of(3, 40)
    for at in (50, 330, 345, 360):  # in both turns, and where they meet
        text = Text(known[at : at + 8], lookup.begin(known[at : at + 8]), 0.7)
        assert lookup.guesses([text], [], [6])[0].ids == known[at + 8 : at + 14]
    del indexed


def test_few_indexes_are_kept() -> None:
    lookup = PromptLookup()
    for seed in range(40):
        turn(lookup, ids_of(seed, 100), [])
    assert len(lookup._kept) == module._MOST_KEPT
    turn(lookup, ids_of(0, module._KEPT_TOKENS), [])
    assert len(lookup._kept) == 1
    turn(lookup, ids_of(0, module._KEPT_TOKENS + 1), [])
    assert not lookup._kept
