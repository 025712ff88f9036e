"""Many prompts at once, through the scheduler."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from decoder_models import random_adapter, random_model
from ggmlkit.engine.full_context import room_for
from ggmlkit.engine.generation import generated
from ggmlkit.engine.model import Model
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.engine.scheduler import Scheduler
from ggmlkit.engine.stats import Stats
from paths import GOLDEN

GREEDY: dict[str, Any] = {"max_tokens": 20, "temperature": 0, "ignore_eos": True}
VOCAB = 64


def model(**settings: Any) -> Model:
    return Model(GOLDEN / "gguf-v1-f16.bin", **{"context": 400, "contexts": 8, **settings})


def prompts(count: int, longest: int = 300) -> list[list[int]]:
    random = np.random.default_rng(4)
    return [random.integers(3, VOCAB, random.integers(1, longest)).tolist() for _ in range(count)]


def alone(prompt: list[int], **settings: Any) -> list[int]:
    params = SamplingParams(**{**GREEDY, **settings})
    engine = model()
    limit = room_for(engine, prompt, params)
    return [token.id for token in generated(engine, prompt, params, limit, None, Stats())]


def test_each_stream_is_what_it_would_be_alone() -> None:
    texts = prompts(12)
    with Scheduler(model(), max_sequences=5) as scheduler:
        streams = [scheduler.submit(text, seed=i, max_tokens=20) for i, text in enumerate(texts)]
        found = [[token.id for token in stream] for stream in streams]
    for i, (text, ids) in enumerate(zip(texts, found, strict=True)):
        expected = alone(text, seed=i, temperature=0.8, ignore_eos=False)
        assert ids == expected
        assert streams[i].stats.decode_tokens == len(ids)


def test_a_cache_that_is_too_small_only_takes_longer() -> None:
    texts = prompts(6, 200)
    small = model(cache_tokens=448)
    with Scheduler(small, prefill_time=10) as scheduler:
        streams = [scheduler.submit(text, **GREEDY) for text in texts]
        found = [[token.id for token in stream] for stream in streams]
    assert found == [alone(text) for text in texts]
    assert small.free_cache_tokens == small.cache_tokens


def test_what_never_fits_is_refused() -> None:
    small = model(cache_tokens=64, context=400)
    with Scheduler(small) as scheduler:
        with pytest.raises(gk.CacheFullError, match="prompt of 100 tokens"):
            scheduler.submit([5] * 100)
        with pytest.raises(gk.ModelError, match="context of 400"):
            scheduler.submit([5] * 401)
        stream = scheduler.submit([5] * 60, temperature=0, ignore_eos=True)
        with pytest.raises(gk.CacheFullError, match="cache is full"):
            list(stream)
        assert scheduler.submit([5] * 10, **GREEDY).text()


def test_streams_join_while_others_run() -> None:
    with Scheduler(model()) as scheduler:
        first = scheduler.submit([5, 6, 7], max_tokens=300, ignore_eos=True)
        next(first)
        assert len(list(scheduler.submit([8, 9], **GREEDY))) == 20
        assert scheduler.running == 1
        first.close()
        while scheduler.running:
            time.sleep(0.001)


def test_a_dropped_stream_gives_its_pages_back() -> None:
    engine = model()
    with Scheduler(engine) as scheduler:
        stream = scheduler.submit([5] * 200, max_tokens=200, ignore_eos=True)
        next(stream)
        assert engine.free_cache_tokens < engine.cache_tokens
        del stream
        while scheduler.running:
            time.sleep(0.001)
        assert engine.free_cache_tokens == engine.cache_tokens


def test_closing_ends_all_streams() -> None:
    scheduler = Scheduler(model())
    stream = scheduler.submit([5], max_tokens=390, ignore_eos=True)
    next(stream)
    scheduler.close()
    scheduler.close()
    with pytest.raises(gk.ClosedError, match="closed before this stream ended; read it before"):
        list(stream)
    with pytest.raises(gk.ClosedError):
        scheduler.submit([5])


def test_threads_may_share_one() -> None:
    texts = prompts(8, 60)
    expected = [alone(text) for text in texts]
    found: dict[int, list[int]] = {}
    with Scheduler(model()) as scheduler:

        def ask(i: int) -> None:
            found[i] = [token.id for token in scheduler.submit(texts[i], **GREEDY)]

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(len(texts))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [found[i] for i in range(len(texts))] == expected


def test_it_takes_a_model() -> None:
    with pytest.raises(gk.ArgumentTypeError, match=r"not a Llama; a Llama's is its \.model"):
        Scheduler(gk.Llama(GOLDEN / "gguf-v1-f16.bin", context=16))  # type: ignore[arg-type]
    with pytest.raises(gk.ArgumentTypeError, match=r"not 'm\.gguf'$"):
        Scheduler("m.gguf")  # type: ignore[arg-type]


def test_no_tokens_asked_for() -> None:
    with Scheduler(model()) as scheduler:
        assert list(scheduler.submit([5, 6], max_tokens=0)) == []


def test_each_prompt_has_its_adapter(tmp_path: Any) -> None:
    weights = random_model("f32", tied=False)
    paths = [random_adapter(tmp_path / f"{seed}.gguf", weights, seed) for seed in range(2)]
    engine = Model(GOLDEN / "gguf-v1-f16.bin")
    with pytest.raises(gk.ModelError):
        engine.load_adapter(paths[0])
    other = Model(weights)
    adapter = other.load_adapter(paths[0])
    with Scheduler(engine) as scheduler, pytest.raises(gk.ArgumentError, match="another model"):
        scheduler.submit([5], adapter=adapter)
    with Scheduler(engine) as scheduler, pytest.raises(gk.ArgumentTypeError, match="load_adapter"):
        scheduler.submit([5], adapter=str(paths[0]))  # type: ignore[arg-type]


def test_a_stream_that_is_closed_before_its_turn_ends_for_who_reads_it() -> None:
    with Scheduler(model(), max_sequences=1) as scheduler:
        first = scheduler.submit([5], ignore_eos=True)
        second = scheduler.submit([6], ignore_eos=True)
        reader = threading.Thread(target=list, args=(second,), daemon=True)
        reader.start()
        second.close()
        first.close()
        reader.join(10)
        assert not reader.is_alive()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_scheduler_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = model()

    def fail(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(engine, "append", fail)
    with Scheduler(engine) as scheduler:
        with pytest.raises(gk.ClosedError, match="failed: MemoryError"):
            scheduler.submit([5]).text()
        scheduler._thread.join(10)
        with pytest.raises(gk.ClosedError, match="thread is gone"):
            scheduler.submit([5])


def test_a_scheduler_that_nobody_refers_to_ends() -> None:
    engine = model()
    assert Scheduler(engine).submit([5], **GREEDY).text()
    scheduler = Scheduler(engine)
    thread = scheduler._thread
    stream = scheduler.submit([5], max_tokens=300, ignore_eos=True)
    del scheduler
    assert len(list(stream)) == 300
    assert thread.is_alive()
    del stream
    thread.join(10)
    assert not thread.is_alive()
    assert engine.free_cache_tokens == engine.cache_tokens


def test_a_prompt_that_the_model_fails_at_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = model()

    def failed(*_: object) -> None:
        raise gk.ClosedError("the model is closed")

    with Scheduler(engine) as scheduler:
        monkeypatch.setattr(engine, "sequence", failed)
        stream = scheduler.submit([5, 6], **GREEDY)
        answer = threading.Thread(target=lambda: list(stream), daemon=True)
        monkeypatch.setattr(threading, "excepthook", lambda _: None)
        answer.start()
        answer.join(5)
        assert not answer.is_alive()
        with pytest.raises(gk.ClosedError, match="the model is closed"):
            list(stream)
