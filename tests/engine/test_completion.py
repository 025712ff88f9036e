"""Tokens that are drawn: their text, and where they end."""

from __future__ import annotations

import numpy as np
import pytest

from decoder_models import fresh
from ggmlkit.engine.completion import Completion, StopStrings
from ggmlkit.engine.sampling import SamplingParams

LOGITS = np.zeros(8, np.float32)


@pytest.mark.parametrize(
    ("pieces", "stops", "text"),
    [
        (["ab", "c", "d"], ("bc",), "a"),
        (["a", "b", "x"], ("bc",), "abx"),
        (["a", "b"], ("bc",), "ab"),
        (["aab", "aac"], ("aac",), "aab"),
        (["abcd"], ("cd", "bc"), "a"),
        (["stop"], ("stop",), ""),
        (["a", "b"], (), "ab"),
    ],
)
def test_stop_strings_across_pieces(pieces: list[str], stops: tuple[str, ...], text: str) -> None:
    until = StopStrings(stops)
    given = "".join(until.push(piece) for piece in pieces)
    assert given + until.rest() == text


def test_the_stop_string_that_came_is_told() -> None:
    for stops, found in (
        (("bc", "d"), "bc"),
        (("d", "bc"), "bc"),  # the first in the text
        (("b", "bcd"), "bcd"),  # at one place, the longest
        (("x",), None),
    ):
        until = StopStrings(stops)
        until.push("abcd")
        assert until.found == found
    stopped = completion(SamplingParams(stop=["a", "q"]), 9)
    letters = fresh().tokenize("abc", add_special=False)
    tokens = [stopped.take(id, LOGITS) for id in letters]
    assert "a" in [token.stop for token in tokens if token.finish_reason == "stop"]


def test_text_that_cannot_begin_a_stop_string_is_not_held_back() -> None:
    assert StopStrings(("xyz",)).push("abx") == "ab"


def completion(params: SamplingParams, limit: int) -> Completion:
    llama = fresh()
    return Completion([1], params, llama.tokenizer, limit, llama.config.vocab)


def test_the_last_token_says_why_it_is_the_last() -> None:
    llama = fresh()
    letters = llama.tokenize("abc", add_special=False)
    end = min(llama.tokenizer.eog_ids)
    tokens = completion(SamplingParams(), 2)
    assert tokens.take(letters[0], LOGITS).finish_reason is None
    assert tokens.take(letters[1], LOGITS).finish_reason == "length"
    assert completion(SamplingParams(), 9).take(end, LOGITS).finish_reason == "stop"
    stopped = completion(SamplingParams(stop="a"), 9)
    reasons = [stopped.take(id, LOGITS).finish_reason for id in letters]
    assert "stop" in reasons


def test_log_probabilities_are_given_where_asked_for() -> None:
    assert completion(SamplingParams(), 3).take(5, LOGITS).logprob is None
    asked = completion(SamplingParams(logprobs=True), 3).take(5, LOGITS)
    assert asked.logprob == pytest.approx(-np.log(8))
