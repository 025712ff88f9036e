"""Generated text: where it ends, and how it is interrupted."""

from __future__ import annotations

import signal
from collections.abc import Generator
from typing import Any

import numpy as np
import pytest

from decoder_models import TOKENS, fresh, random_model
from ggmlkit.engine.generation import until
from ggmlkit.engine.llama import Llama


def test_greedy_text_is_what_eval_chooses() -> None:
    llama = fresh(context=64)
    expected = []
    logits = llama.eval([1, 3, 5])
    for _ in range(12):
        expected.append(int(logits.argmax()))
        logits = llama.eval([expected[-1]])
    llama.reset()
    text = "".join(llama.generate([1, 3, 5], max_tokens=12, temperature=0, ignore_eos=True))
    assert list(llama.tokens[3:]) == expected[:11]
    assert text == llama.detokenize([1, 3, 5, *expected])[len(llama.detokenize([1, 3, 5])) :]
    assert llama.stats.prompt_tokens == 3
    assert llama.stats.decode_tokens == 12
    assert llama.stats.prompt_tps > 0
    assert llama.stats.decode_tps > 0


def test_same_seed_same_text() -> None:
    llama = fresh()
    a, b, c = (
        "".join(llama.generate("hello", max_tokens=30, seed=seed, ignore_eos=True))
        for seed in (3, 3, 4)
    )
    assert a == b != c


def test_text_comes_in_pieces() -> None:
    pieces = list(fresh().generate("hello", max_tokens=20, seed=1, ignore_eos=True))
    assert len(pieces) > 3
    assert all(pieces)


def test_generation_ends_with_the_context() -> None:
    llama = fresh(context=10)
    list(llama.generate([1, 3, 5], temperature=0, ignore_eos=True))
    assert llama.stats.decode_tokens == 8
    assert len(llama.tokens) == 10


def test_known_beginning_of_a_prompt_is_not_read_again() -> None:
    llama = fresh(context=64)
    list(llama.generate(TOKENS[:10], max_tokens=1, temperature=0, ignore_eos=True))
    again = list(llama.generate(TOKENS[:15], max_tokens=8, temperature=0, ignore_eos=True))
    assert llama.stats.prompt_tokens == 5
    llama.reset()
    assert list(llama.generate(TOKENS[:15], max_tokens=8, temperature=0, ignore_eos=True)) == again


def test_stop_string_ends_the_text_before_it() -> None:
    llama = fresh()
    settings: dict[str, Any] = {"max_tokens": 40, "temperature": 0, "ignore_eos": True}
    whole = "".join(llama.generate("hello", **settings))
    middle = len(whole) // 2
    stop = whole[middle : middle + 3]
    assert "".join(llama.generate("hello", stop=stop, **settings)) == whole[: whole.index(stop)]


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
    assert "".join(until(stops, pieces)) == text


def test_text_that_cannot_begin_a_stop_string_is_not_held_back() -> None:
    assert next(until(("xyz",), iter(["abx", "q"]))) == "ab"


@pytest.mark.parametrize(
    "settings",
    [{"stop": ("",)}, {"max_tokens": -1}, {"top_k": -1}, {"top_p": 2.0}],
)
def test_generate_refuses_impossible_settings_at_once(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"stop|max_tokens|top_k|top_p"):
        fresh().generate("hello", **settings)


def test_interrupt_leaves_the_model_usable() -> None:
    llama = fresh()
    pieces = llama.generate("hello", max_tokens=200, seed=1, ignore_eos=True)
    for _ in range(4):
        next(pieces)
    assert isinstance(pieces, Generator)
    with pytest.raises(KeyboardInterrupt):
        pieces.throw(KeyboardInterrupt)
    assert "".join(llama.generate("hello", max_tokens=5, temperature=0, ignore_eos=True))


def test_signal_stops_a_prompt_between_tiles() -> None:
    llama = Llama(random_model())
    llama.eval([1, 2, 3])
    old = signal.signal(signal.SIGALRM, _interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            read_until_interrupted(llama)
    finally:
        signal.signal(signal.SIGALRM, old)
    assert llama.tokens[:3] == (1, 2, 3)
    assert len(llama.tokens) in (3, 403)
    llama.truncate(3)
    assert np.isfinite(llama.eval([4])).all()


def read_until_interrupted(llama: Llama) -> None:
    # Set here, so that the alarm comes once while this function runs, however slow the machine is.
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    while True:
        llama.eval([5] * 400)
        llama.truncate(3)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt
