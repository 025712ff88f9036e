"""Answers as they are generated: side by side, cut off, out of time."""

from __future__ import annotations

import gc
import json
import threading
import time
import weakref
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from ggmlkit.chat.form import ChatForm
from ggmlkit.server import generating
from ggmlkit.text.reasoning import THINK
from running_server import RunningServer, dictate, events, running, settings_for, until

LONG: dict[str, Any] = {"max_tokens": 400, "ignore_eos": True, "temperature": 0}
MESSAGES = [{"role": "user", "content": "hi"}]


def stream(server: RunningServer, client: httpx.Client, **fields: Any) -> Any:
    body = {"messages": MESSAGES, "stream": True, **LONG, **fields}
    return client.stream("POST", f"{server.url}/v1/chat/completions", json=body)


@pytest.fixture
def slow(chat_gguf: Path) -> Any:
    """A server of one model, each of whose steps takes a moment."""
    with running(settings_for(chat_gguf)) as server:
        model = server.served.model
        append = model.append

        def slowly(*arguments: Any, **more: Any) -> None:
            time.sleep(0.01)
            append(*arguments, **more)

        model.append = slowly  # type: ignore[method-assign]
        yield server


def test_a_stream_that_is_cut_off_frees_its_pages(slow: RunningServer) -> None:
    with httpx.Client() as client, stream(slow, client) as response:
        lines = response.iter_lines()
        while "content" not in next(lines):
            pass
        assert not slow.is_free()
    until(slow.is_free, 1)
    assert slow.serving.admission.answers == 0


def test_a_stream_that_is_cut_off_leaves_nothing_to_collect(slow: RunningServer) -> None:
    gc.disable()
    try:
        with httpx.Client() as client, stream(slow, client) as response:
            lines = response.iter_lines()
            while "content" not in next(lines):
                pass
            (generation,) = slow.serving.generations(slow.served.name)
            left = weakref.ref(generation)
            del generation
        until(lambda: left() is None, 2)
    finally:
        gc.enable()


def test_a_response_that_nobody_waits_for_is_not_generated(slow: RunningServer) -> None:
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(
            f"{slow.url}/v1/chat/completions",
            json={"messages": MESSAGES, "n": 3, **LONG},
            timeout=0.3,
        )
    until(lambda: slow.is_free() and slow.serving.admission.answers == 0, 1)


def test_two_streams_advance_together(slow: RunningServer) -> None:
    seen: list[str] = []

    def read(name: str) -> None:
        with httpx.Client() as client, stream(slow, client, max_tokens=40) as response:
            seen.extend(name for line in response.iter_lines() if "content" in line)

    threads = [threading.Thread(target=read, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    middle = seen[len(seen) // 4 : -len(seen) // 4]
    assert middle.count("a") > len(middle) / 4
    assert middle.count("b") > len(middle) / 4


def test_a_shared_prefix_is_computed_once(server: RunningServer) -> None:
    system = {"role": "system", "content": "Be brief. " * 12}
    used = []
    for text in ("one", "two"):
        messages = [system, {"role": "user", "content": text}]
        found = server.post("/v1/chat/completions", {"messages": messages, "max_tokens": 1})
        used.append(found.json()["usage"])
    assert used[0]["prompt_tokens_details"]["cached_tokens"] == 0
    cached = used[1]["prompt_tokens_details"]["cached_tokens"]
    assert cached >= 64
    assert cached % 64 == 0


def test_the_choices_of_a_prompt_compute_it_once(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    streams: list[Any] = []
    submitted = generating._submitted

    def kept(*arguments: Any) -> Any:
        streams.append(submitted(*arguments))
        return streams[-1]

    monkeypatch.setattr(generating, "_submitted", kept)
    assert server.chat("a long question " * 10, n=3, max_tokens=4).status_code == 200
    assert [stream.stats.cached_tokens >= 64 for stream in streams] == [False, True, True]
    assert server.is_free()


def test_an_answer_out_of_time_ends_with_what_there_is(
    chat_gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dictate(monkeypatch, "x" * 1000, pause=0.02)
    with running(settings_for(chat_gguf, limits={"seconds": 0.3})) as server:
        start = time.monotonic()
        for n in (1, 2):
            choice = server.chat(n=n).json()["choices"][n - 1]
            assert choice["finish_reason"] == "length"
            assert 0 < len(choice["message"]["content"]) < 100
        *_, end, done = events(server.chat(stream=True))
        assert json.loads(end)["choices"][0]["finish_reason"] == "length"
        assert done == "[DONE]"
        assert time.monotonic() - start < 5


def test_an_answer_that_waits_too_long_is_refused(chat_gguf: Path) -> None:
    settings = settings_for(chat_gguf, engine={"parallel": 1}, limits={"seconds": 0.3})
    with running(settings) as server:
        never = server.served.scheduler.submit(
            "a", logits_processor=lambda *_: time.sleep(0.01), **LONG
        )
        for fields in ({}, {"n": 2}):
            found = server.chat(**fields)
            assert found.status_code == 503
            assert found.headers["Retry-After"]
        (only,) = events(server.chat(stream=True))
        assert json.loads(only)["error"]["code"] == "timeout"
        never.close()
        until(server.is_free)
        assert server.chat().status_code == 200


def test_a_slow_reader_holds_up_nobody(slow: RunningServer) -> None:
    with closing(httpx.Client()) as client, stream(slow, client, max_tokens=300) as response:
        lines = response.iter_lines()
        next(lines)  # and then reads nothing
        start = time.monotonic()
        assert slow.chat(max_tokens=3).status_code == 200
        assert time.monotonic() - start < 2


def test_max_tokens_beyond_the_context_ends_there(server: RunningServer) -> None:
    found = server.chat(max_tokens=10**9, ignore_eos=True, temperature=0).json()
    usage = found["usage"]
    assert found["choices"][0]["finish_reason"] == "length"
    assert usage["total_tokens"] == 513  # the last token needs no place in the context of 512


def test_the_servers_own_limit_of_tokens(chat_gguf: Path) -> None:
    with running(settings_for(chat_gguf, limits={"max_tokens": 3})) as server:
        for asked in (None, 10, -1):
            found = server.chat(max_tokens=asked, ignore_eos=True)
            assert found.json()["usage"]["completion_tokens"] == 3
        assert server.chat(max_tokens=2, ignore_eos=True).json()["usage"]["completion_tokens"] == 2


def test_stop_strings_end_an_answer(server: RunningServer) -> None:
    whole = server.chat(temperature=0, max_tokens=30, ignore_eos=True).json()
    text = whole["choices"][0]["message"]["content"]
    stop = text[5:8]
    for given in (stop, [stop, "never"]):
        found = server.chat(temperature=0, max_tokens=30, ignore_eos=True, stop=given).json()
        assert found["choices"][0]["message"]["content"] == text[: text.index(stop)]
        assert found["choices"][0]["finish_reason"] == "stop"


def test_a_scheduler_that_failed_is_replaced(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = server.served
    with monkeypatch.context() as patch:
        patch.setattr(served.scheduler._decoding, "step", lambda _: 1 / 0)
        patch.setattr(threading, "excepthook", lambda _: None)
        assert server.chat().status_code == 503
    until(lambda: not served._scheduler.is_working)
    assert server.chat().status_code == 200


def test_thoughts_are_streamed_apart(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        server.served, "chat", ChatForm("<think>{# </think> #}", (), False, "json", THINK, {})
    )
    dictate(monkeypatch, "so</think>yes")
    message = server.chat().json()["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("so", "yes")
    usage = server.chat().json()["usage"]["completion_tokens_details"]
    assert usage["reasoning_tokens"] == 2
    parts = [part for part in events(server.chat(stream=True)) if "reasoning_content" in part]
    assert len(parts) == 2
    kept = server.chat(reasoning_format="none").json()["choices"][0]["message"]
    assert kept["content"] == "so</think>yes"


def test_a_prompt_is_computed_anew_where_the_request_wants_that(server: RunningServer) -> None:
    def cached(**fields: Any) -> int:
        usage = server.chat("again " * 60, **fields).json()["usage"]
        found: int = usage["prompt_tokens_details"]["cached_tokens"]
        return found

    cached()
    assert cached() > 0
    assert cached(cache_prompt=False) == 0
    assert cached(cache_prompt=True) > 0
    assert cached(cache_prompt=False, n=2) == 0


def test_an_answer_goes_on_where_the_context_is_full(chat_gguf: Path) -> None:
    long = {**LONG, "max_tokens": 700}
    with running(settings_for(chat_gguf)) as server:
        stops = server.chat(**long).json()["usage"]
        goes_on = server.chat(**long, context_shift=True, n_keep=8).json()["usage"]
        refused = server.chat("a" * 496, **long, context_shift=True, n_keep=-1)
    assert stops["completion_tokens"] < 512 < goes_on["completion_tokens"] == 700
    assert refused.status_code == 400
    assert "can be kept" in refused.json()["error"]["message"]
    with running(settings_for(chat_gguf, context_shift=True)) as server:
        assert server.chat(**long).json()["usage"] == goes_on | {
            "prompt_tokens_details": {"cached_tokens": 0}
        }
        off = server.chat(**long, context_shift=False).json()["usage"]
    assert off["completion_tokens"] == stops["completion_tokens"]


def test_vectors_leave_time_to_answers(slow: RunningServer) -> None:
    model = slow.served.model
    hidden_states, sizes = model.hidden_states, []

    def counted(batch: Any) -> Any:
        sizes.append(sum(len(chunk.tokens) for chunk in batch))
        return hidden_states(batch)

    model.hidden_states = counted  # type: ignore[method-assign]
    body = {"input": ["a" * 200, "b" * 200, "c" * 200]}
    with httpx.Client() as client, stream(slow, client) as response:
        lines = response.iter_lines()
        while "content" not in next(lines):
            pass
        assert slow.post("/v1/embeddings", body).status_code == 200
    assert max(sizes) <= 256
    sizes.clear()
    until(slow.is_free)
    assert slow.post("/v1/embeddings", body).status_code == 200
    assert len(sizes) == 1
