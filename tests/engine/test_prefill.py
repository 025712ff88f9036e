"""Prompts that begin alike, and come at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ggmlkit.engine.llama import Llama
from ggmlkit.engine.model import Model
from ggmlkit.engine.scheduler import Scheduler
from paths import GOLDEN

FILE = GOLDEN / "gguf-v1-f16.bin"


def prompts(count: int, shared: int) -> list[list[int]]:
    random = np.random.default_rng(1)
    beginning = random.integers(3, 64, shared).tolist()
    return [beginning + random.integers(3, 64, 20).tolist() for _ in range(count)]


@pytest.fixture
def appended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many tokens each step appended."""
    found: list[int] = []
    append = Model.append

    def counted(self: Model, sequences: Any, ids: Any, *rest: Any, **named: Any) -> None:
        append(self, sequences, ids, *rest, **named)
        found.append(sum(own.size for own in ids))

    monkeypatch.setattr(Model, "append", counted)
    return found


def test_a_shared_beginning_is_computed_once(appended: list[int]) -> None:
    texts = prompts(6, 320)
    model = Model(FILE, context=400, contexts=8)
    with Scheduler(model) as scheduler:
        block = scheduler.submit([5] * 300, max_tokens=1)  # all others come while this one runs
        streams = [scheduler.submit(text, max_tokens=8, temperature=0) for text in texts]
        found = [stream.text() for stream in streams]
        block.text()
    alone = Llama(FILE, context=400)
    assert found == [alone.complete(text, max_tokens=8, temperature=0).text for text in texts]
    assert [stream.stats.cached_tokens for stream in streams][1:] == [320] * 5
    total = sum(len(text) for text in texts)
    assert sum(appended) < total + 400 + 300  # of the alone ones, 340 + 5 · 20 and the decoded


def test_where_the_first_is_given_up_another_computes_it() -> None:
    texts = prompts(3, 320)
    model = Model(FILE, context=400, contexts=8)
    with Scheduler(model) as scheduler:
        streams = [scheduler.submit(text, max_tokens=8, temperature=0) for text in texts]
        streams[0].close()
        found = [stream.text() for stream in streams[1:]]
    alone = Llama(FILE, context=400)
    assert found == [alone.complete(text, max_tokens=8, temperature=0).text for text in texts[1:]]


def test_without_kept_prefixes_each_computes_its_own() -> None:
    texts = prompts(3, 320)
    model = Model(FILE, context=400, contexts=8, prefix_cache=False)
    with Scheduler(model) as scheduler:
        streams = [scheduler.submit(text, max_tokens=8, temperature=0) for text in texts]
        found = [stream.text() for stream in streams]
    alone = Llama(FILE, context=400)
    assert found == [alone.complete(text, max_tokens=8, temperature=0).text for text in texts]
