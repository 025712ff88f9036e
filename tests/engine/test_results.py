"""Whole results: of one prompt, and of many at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ggmlkit as gk
from decoder_models import TOKENS, fresh, random_adapter
from paths import GOLDEN

GREEDY: dict[str, Any] = {"max_tokens": 12, "temperature": 0, "ignore_eos": True}
PROMPTS = ["hello", "good day", [1, 3, 5], "a", TOKENS * 3]


def test_a_result_is_what_the_stream_gives() -> None:
    llama = fresh(context=400)
    tokens = list(llama.generate_tokens("hello", logprobs=True, **GREEDY))
    found = llama.complete("hello", gk.SamplingParams(logprobs=True, **GREEDY))
    assert found.tokens == tuple(tokens)
    assert found.text == "".join(token.text for token in tokens)
    assert found.finish_reason == "length"
    prompt = len(llama.tokenize("hello"))
    assert found.usage == gk.Usage(prompt, 0, 12)
    assert found.usage.total_tokens == prompt + 12
    assert found.stats == llama.stats
    assert found.stats is not llama.stats
    assert found.stats.decode_seconds > 0


def test_known_pages_are_counted() -> None:
    llama = fresh(context=400)
    prompt = (TOKENS * 20)[:200]
    first, again = llama.complete(prompt, **GREEDY), llama.complete(prompt, **GREEDY)
    assert first.usage == gk.Usage(200, 0, 12)
    assert again.usage == gk.Usage(200, 192, 12)
    assert (first.text, first.tokens) == (again.text, again.tokens)


def test_why_it_ended() -> None:
    llama = fresh()
    text = llama.complete("hello", **GREEDY).text
    stopped = llama.complete("hello", **GREEDY, stop=text[3:5])
    assert stopped.finish_reason == "stop"
    assert stopped.text == text[:3]
    nothing = llama.complete("hello", max_tokens=0)
    assert (nothing.text, nothing.tokens, nothing.finish_reason) == ("", (), "length")
    assert nothing.usage.completion_tokens == 0


def test_results_do_not_change() -> None:
    found = fresh().complete("hello", max_tokens=2)
    with pytest.raises(AttributeError):
        found.text = "other"  # type: ignore[misc]
    assert hash(found) == hash(found)


def test_a_whole_answer(chat_gguf: Path) -> None:
    llama = gk.Llama(chat_gguf)
    messages = [{"role": "user", "content": "hi"}]
    found = llama.chat_complete(messages, **GREEDY)
    assert found.text == "".join(llama.chat(messages, **GREEDY))
    assert found.usage.prompt_tokens == len(llama.model.chat_prompt(messages))


def test_a_batch_is_what_its_prompts_are_alone() -> None:
    llama = fresh(context=100)
    alone = [llama.complete(prompt, **GREEDY, seed=1) for prompt in PROMPTS]
    done: list[tuple[int, int]] = []
    found = llama.generate_batch(
        iter(PROMPTS), progress=lambda *counts: done.append(counts), **GREEDY, seed=1
    )
    assert [each.tokens for each in found] == [each.tokens for each in alone]
    assert [each.usage.prompt_tokens for each in found] == [
        each.usage.prompt_tokens for each in alone
    ]
    assert done == [(n, len(PROMPTS)) for n in range(1, len(PROMPTS) + 1)]
    assert llama.generate_batch([]) == []


def test_more_prompts_than_the_cache_holds() -> None:
    llama = fresh(context=128)
    llama.eval((TOKENS * 20)[:120])  # takes one of the two contexts
    texts = [[3 + i, *(TOKENS * 9)[:90]] for i in range(7)]
    found = llama.generate_batch(texts, **GREEDY)
    assert [r.tokens for r in found] == [llama.complete(t, **GREEDY).tokens for t in texts]


def test_each_prompt_may_have_params() -> None:
    llama = fresh()
    params = [gk.SamplingParams(max_tokens=n, seed=n, ignore_eos=True) for n in (2, 5)]
    found = llama.generate_batch(["hello", "hello"], params)
    assert [len(each.tokens) for each in found] == [2, 5]
    assert found == [llama.complete("hello", each) for each in params]


def test_a_batch_has_the_adapter(tmp_path: Path) -> None:
    path = GOLDEN / "gguf-v1-f16.bin"
    with gk.open(path) as file:
        lora = random_adapter(tmp_path / "a.gguf", file)
    llama = gk.Llama(path, lora=[lora])
    (found,) = llama.generate_batch(["hello"], **GREEDY)
    assert found == llama.complete("hello", **GREEDY)
    assert found != fresh().complete("hello", **GREEDY)


def test_a_wrong_prompt_is_named_and_nothing_is_computed() -> None:
    llama = fresh(context=32)
    free = llama.model.free_cache_tokens
    wrong: list[tuple[Any, type[Exception], str]] = [
        ("text", gk.ArgumentTypeError, "prompts must be a list of prompts, not 'text'"),
        (5, gk.ArgumentTypeError, "prompts must be a list of prompts, not 5"),
        (["a", 5], gk.ArgumentTypeError, r"prompts\[1\] must be a str or token ids, not 5"),
        (["a", []], gk.ArgumentError, r"prompts\[1\] has no tokens"),
        (["a", [5] * 33], gk.ModelError, r"prompts\[1\] of 33 tokens does not fit .* of 32"),
    ]
    for prompts, kind, message in wrong:
        with pytest.raises(kind, match=message):
            llama.generate_batch(prompts)
    with pytest.raises(gk.ArgumentError, match="1 params for 2 prompts: give one for all, or one"):
        llama.generate_batch(["a", "b"], [gk.SamplingParams()])
    with pytest.raises(gk.ArgumentError, match="either params or settings"):
        llama.generate_batch(["a"], [gk.SamplingParams()], top_k=3)
    with pytest.raises(gk.ArgumentTypeError, match=r"params must be a gk\.SamplingParams, not 3"):
        llama.generate_batch(["a"], 3)  # type: ignore[arg-type]
    with pytest.raises(gk.ArgumentTypeError, match="progress must be a function, not 5"):
        llama.generate_batch(["a"], progress=5)  # type: ignore[arg-type]
    assert llama.model.free_cache_tokens == free


def test_where_one_fails_the_others_are_given_up() -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("no")

    llama = fresh()
    params = [gk.SamplingParams(logits_processor=fails), gk.SamplingParams(ignore_eos=True)]
    with pytest.raises(gk.ModelError, match="logits_processor failed"):
        llama.generate_batch(["a", "b"], params)
    assert len(llama.generate_batch(["hello"], **GREEDY)[0].tokens) == 12


def test_a_closed_one_says_so() -> None:
    llama = fresh()
    llama.generate_batch(["hello"], **GREEDY)
    llama.close()
    llama.close()
    for work in (llama.complete, lambda text: llama.generate_batch([text])):
        with pytest.raises(gk.ClosedError, match="is closed; open it again"):
            work("hello")


def test_the_text_of_a_conversation(chat_gguf: Path) -> None:
    llama = gk.Llama(chat_gguf)
    messages = [{"role": "user", "content": "hi"}]
    text = llama.apply_template(messages, tools=[{"name": "f"}], enable_thinking=False)
    assert text == "user: hi\nassistant: "
    ids = llama.tokenize(text, add_special=False, parse_special=True)
    assert ids == llama.model.chat_prompt(messages)
    assert llama.apply_template(messages, add_generation_prompt=False) == "user: hi\n"
    template = "{{ messages[0].content }}{{ mood }}"
    assert llama.apply_template(messages, template=template, mood="!") == "hi!"
    with pytest.raises(gk.ModelError, match="the file has no chat template"):
        fresh().apply_template(messages)
