"""Tokens and results for coroutines."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

import ggmlkit as gk
from decoder_models import fresh
from ggmlkit.engine.inbox import Inbox

GREEDY: dict[str, Any] = {"max_tokens": 12, "temperature": 0, "ignore_eos": True}
ENDLESS: dict[str, Any] = {"temperature": 0, "ignore_eos": True}
PROMPTS = ["hello", "good day", "a", "one two three"]


async def until_all_pages_are_free(model: gk.Model) -> None:
    end = time.monotonic() + 10
    while model.free_cache_tokens < model.cache_tokens:
        assert time.monotonic() < end
        await asyncio.sleep(0.002)


def test_tokens_and_results_are_those_of_the_callers_thread() -> None:
    llama = fresh()
    alone = [llama.complete(prompt, **GREEDY) for prompt in PROMPTS]

    async def tokens(prompt: str) -> list[gk.Token]:
        return [token async for token in llama.agenerate_tokens(prompt, **GREEDY)]

    async def all_at_once() -> None:
        assert await asyncio.gather(*map(tokens, PROMPTS)) == [list(r.tokens) for r in alone]
        found = await asyncio.gather(*(llama.acomplete(p, **GREEDY) for p in PROMPTS))
        assert list(found) == alone
        assert found[0].stats.decode_tokens == 12

    asyncio.run(all_at_once())


def test_a_chat(chat_gguf: Path) -> None:
    llama = gk.Llama(chat_gguf)
    messages = [{"role": "user", "content": "hi"}]
    found = asyncio.run(llama.achat_complete(messages, **GREEDY))
    assert found.text == llama.chat_complete(messages, **GREEDY).text


def test_the_loop_is_free_and_streams_have_no_threads() -> None:
    llama = fresh(context=512)
    asyncio.run(llama.acomplete("hello", **GREEDY))
    before = threading.active_count()
    most = ticks = 0

    async def ticking() -> None:
        nonlocal most, ticks
        while True:
            most = max(most, threading.active_count())
            ticks += 1
            await asyncio.sleep(0.001)

    async def all_at_once() -> None:
        with gk.Scheduler(llama.model) as scheduler:
            streams = [
                scheduler.submit("hello", max_tokens=200, ignore_eos=True) for _ in range(20)
            ]
            clock = asyncio.create_task(ticking())
            lengths = await asyncio.gather(*map(length, streams))
            clock.cancel()
            assert lengths == [200] * 20

    async def length(stream: gk.Stream) -> int:
        return len([token async for token in stream])

    asyncio.run(all_at_once())
    assert ticks > 5
    assert most <= before + 1  # the scheduler's


def test_a_cancelled_task_gives_its_stream_up() -> None:
    llama = fresh(context=4096)

    async def program() -> None:
        got = asyncio.Event()

        async def reading() -> None:
            async for _ in llama.agenerate_tokens("hello", **ENDLESS):
                got.set()

        tasks = [
            asyncio.create_task(reading()),
            asyncio.create_task(llama.acomplete("good day", **ENDLESS)),
        ]
        await got.wait()
        assert llama.model.free_cache_tokens < llama.model.cache_tokens
        for task in tasks:
            task.cancel()
        for task in tasks:
            with pytest.raises(asyncio.CancelledError):
                await task
        await until_all_pages_are_free(llama.model)

    asyncio.run(program())


def test_a_stream_of_a_cancelled_task_ends() -> None:
    with gk.Scheduler(fresh(context=4096).model) as scheduler:
        stream = scheduler.submit("hello", **ENDLESS)  # which outlives the task

        async def reading() -> None:
            async for _ in stream:
                pass

        async def program() -> None:
            task = asyncio.create_task(reading())
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            tokens = [token async for token in stream]  # those that were there; then its end
            assert all(token.finish_reason is None for token in tokens)

        asyncio.run(program())


def test_leaving_the_loop_gives_the_stream_up() -> None:
    llama = fresh(context=4096)

    async def program() -> None:
        async with aclosing(llama.agenerate_tokens("hello", **ENDLESS)) as tokens:
            async for _ in tokens:
                break
        await until_all_pages_are_free(llama.model)
        async for _ in llama.agenerate_tokens("hello", **ENDLESS):
            break
        gc.collect()
        await until_all_pages_are_free(llama.model)

    asyncio.run(program())


def test_errors_are_those_of_the_callers_thread() -> None:
    llama = fresh(context=16)

    async def program() -> None:
        with pytest.raises(gk.ArgumentError, match="top_p"):
            await llama.acomplete("hello", top_p=7)
        with pytest.raises(gk.ModelError, match="does not fit the context of 16"):
            async for _ in llama.agenerate_tokens([5] * 17):
                pass
        stream = llama.agenerate_tokens("hello", max_tokens=12)
        await anext(stream)
        llama.close()
        with pytest.raises(gk.ClosedError):
            async for _ in stream:
                pass
        with pytest.raises(gk.ClosedError, match="open it again"):
            await llama.acomplete("hello")

    asyncio.run(program())


def test_one_loop_after_the_other() -> None:
    llama = fresh()
    texts = {asyncio.run(llama.acomplete("hello", **GREEDY)).text for _ in range(3)}
    assert len(texts) == 1


def test_an_unreferenced_llama_ends_its_thread() -> None:
    llama = fresh()
    asyncio.run(llama.acomplete("hello", **GREEDY))
    mine = [t for t in threading.enumerate() if t is llama._shared.get()._thread]
    assert len(mine) == 1
    del llama
    gc.collect()
    mine[0].join(10)
    assert not mine[0].is_alive()


def test_an_inbox_keeps_order_and_loses_nothing_to_those_that_gave_up() -> None:
    inbox: Inbox[int] = Inbox()

    async def program() -> None:
        for _ in range(3):  # wait in vain
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(inbox.get_async(), 0.001)
        thread = threading.Thread(target=lambda: [inbox.put(n) for n in range(1000)])
        thread.start()
        assert [await inbox.get_async() for _ in range(1000)] == list(range(1000))
        thread.join()

    asyncio.run(program())


def test_an_inbox_outlives_an_event_loop() -> None:
    inbox: Inbox[int] = Inbox()
    loop = asyncio.new_event_loop()
    waiting = inbox.get_async()
    left = loop.create_task(waiting)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()  # while the task waits
    inbox.put(1)
    assert inbox.get() == 1
    left._log_destroy_pending = False  # type: ignore[attr-defined]
