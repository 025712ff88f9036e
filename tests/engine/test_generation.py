"""Generated text: where it ends, and how it is interrupted."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from decoder_models import TOKENS, fresh, random_model
from ggmlkit.engine.llama import Llama
from ggmlkit.errors import ArgumentTypeError, ModelError


def test_greedy_text_is_what_eval_chooses() -> None:
    llama = fresh(context=64)
    expected = []
    logits = llama.eval([1, 3, 5])
    for _ in range(12):
        expected.append(int(logits.argmax()))
        logits = llama.eval([expected[-1]])
    held = llama.tokens
    text = "".join(llama.generate([1, 3, 5], max_tokens=12, temperature=0, ignore_eos=True))
    assert llama.tokens == held
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


def test_known_pages_of_a_prompt_are_not_computed_again() -> None:
    llama = fresh(context=400)
    prompt = TOKENS * 20
    settings: dict[str, Any] = {"max_tokens": 8, "temperature": 0, "ignore_eos": True}
    whole = list(llama.generate(prompt[:300], **settings))
    assert (llama.stats.cached_tokens, llama.stats.prompt_tokens) == (0, 300)
    assert list(llama.generate(prompt[:300], **settings)) == whole
    assert (llama.stats.cached_tokens, llama.stats.prompt_tokens) == (256, 44)
    # The last token is computed, as its logits are wanted.
    list(llama.generate(prompt[:256], **settings))
    assert llama.stats.cached_tokens == 192


def test_two_generations_at_once_do_not_disturb_each_other() -> None:
    settings: dict[str, Any] = {"max_tokens": 20, "temperature": 0, "ignore_eos": True}
    alone = [list(fresh().generate(prompt, **settings)) for prompt in ("hello", "good day")]
    llama = fresh()
    first, second = llama.generate("hello", **settings), llama.generate("good day", **settings)
    both: list[list[str]] = [[], []]
    for _ in range(30):
        for texts, pieces in zip(both, (first, second), strict=True):
            texts += [text for text in [next(pieces, None)] if text is not None]
    assert both == alone


def test_threads_generate_at_once_and_all_advance() -> None:
    settings: dict[str, Any] = {"max_tokens": 60, "temperature": 0, "ignore_eos": True}
    prompts = ("hello", "good day")
    alone = ["".join(fresh().generate(prompt, **settings)) for prompt in prompts]
    llama = fresh()
    texts = ["", ""]
    order: list[int] = []
    together = threading.Barrier(2)

    def work(i: int) -> None:
        together.wait()
        for text in llama.generate(prompts[i], **settings):
            texts[i] += text
            order.append(i)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == alone
    # Neither waits for the other's end.
    assert order.index(1) < len(order) - 1 - order[::-1].index(0)
    assert order.index(0) < len(order) - 1 - order[::-1].index(1)


def test_a_dropped_generator_gives_its_pages_back() -> None:
    llama = fresh(context=200)
    free = llama.model.free_cache_tokens
    texts = llama.generate(TOKENS * 8, temperature=0, ignore_eos=True)
    next(texts)
    assert llama.model.free_cache_tokens < free
    del texts
    assert llama.model.free_cache_tokens == free


def test_tokens_are_those_of_the_text_with_their_probabilities() -> None:
    llama = fresh(context=64)
    settings: dict[str, Any] = {"max_tokens": 6, "temperature": 0, "ignore_eos": True}
    text = "".join(llama.generate([1, 3, 5], **settings))
    tokens = list(llama.generate_tokens([1, 3, 5], logprobs=True, **settings))
    assert "".join(token.text for token in tokens) == text
    assert [token.finish_reason for token in tokens] == [None] * 5 + ["length"]
    rows = llama.logits([1, 3, 5, *(token.id for token in tokens)])[2:-1].astype(np.float64)
    expected = (rows - np.log(np.exp(rows).sum(1, keepdims=True))).max(1)
    np.testing.assert_allclose([token.logprob for token in tokens], expected, atol=1e-4)


def test_the_prompt_of_a_chat_is_what_chat_continues(chat_gguf: Path) -> None:
    llama = Llama(chat_gguf, context=128)
    messages = [{"role": "user", "content": "Hi"}]
    ids = llama.model.chat_prompt(messages)
    assert llama.detokenize(ids) == "user: Hi\nassistant: "
    settings: dict[str, Any] = {"max_tokens": 6, "temperature": 0, "ignore_eos": True}
    assert list(llama.chat(messages, **settings)) == list(llama.generate(ids, **settings))
    plain = fresh().model
    with pytest.raises(ModelError, match="no chat template"):
        plain.chat_prompt(messages)
    own = "{{ messages[0].content }}!"
    assert plain.chat_prompt(messages, template=own) == plain.tokenizer.encode("Hi!", False)
    with pytest.raises(ArgumentTypeError, match="template must be a str, not 5"):
        plain.chat_prompt(messages, template=5)  # type: ignore[arg-type]


def test_stop_string_ends_the_text_before_it() -> None:
    llama = fresh()
    settings: dict[str, Any] = {"max_tokens": 40, "temperature": 0, "ignore_eos": True}
    whole = "".join(llama.generate("hello", **settings))
    middle = len(whole) // 2
    stop = whole[middle : middle + 3]
    assert "".join(llama.generate("hello", stop=stop, **settings)) == whole[: whole.index(stop)]


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


def test_no_bound_of_tokens_is_none_as_the_error_for_llama_cpps_word_says() -> None:
    with pytest.raises(ValueError, match="not -1; None sets no bound"):
        fresh().generate("hello", max_tokens=-1)
