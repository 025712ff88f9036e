"""A text whose pages sequences beside the scheduler hold for a while."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

import ggmlkit as gk
from ggmlkit.engine import scheduler as module
from ggmlkit.engine.model import Model
from ggmlkit.engine.scheduler import Scheduler
from ggmlkit.engine.sequence import Chunk
from paths import GOLDEN

PROMPT = list(range(3, 63))
SETTINGS: dict[str, Any] = {"max_tokens": 120, "temperature": 0, "ignore_eos": True}


@pytest.fixture
def model() -> Model:
    return Model(GOLDEN / "gguf-v1-f16.bin", context=256, cache_tokens=256)


def held(model: Model, tokens: int) -> gk.Sequence:
    """A sequence that has pages."""
    sequence = model.sequence()
    model.step([Chunk(sequence, [5] * tokens, "none")])
    return sequence


@pytest.mark.parametrize("tokens", [192, 150])  # no page is left for the prompt, or one
def test_it_waits_until_they_go_back(model: Model, tokens: int) -> None:
    with Scheduler(model) as scheduler:
        wanted = [token.id for token in scheduler.submit(PROMPT, **SETTINGS)]
        sequence = held(model, tokens if tokens == 150 else 256)
        stream = scheduler.submit(PROMPT, **SETTINGS)
        timer = threading.Timer(0.3, sequence.close)
        timer.start()
        found = [token.id for token in stream]
        timer.join()
    assert found == wanted
    assert len(found) == 120


def test_it_does_not_wait_for_ever(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    with held(model, 256), Scheduler(model) as scheduler:
        stream = scheduler.submit(PROMPT, **SETTINGS)
        with pytest.raises(gk.CacheFullError):
            list(stream)


def test_it_is_given_up_while_it_waits(model: Model) -> None:
    with held(model, 256) as sequence, Scheduler(model) as scheduler:
        scheduler.submit(PROMPT, **SETTINGS).close()
        end = time.monotonic() + 5
        while scheduler.running or scheduler.waiting:
            assert time.monotonic() < end
            time.sleep(0.01)
        sequence.close()
        assert len(list(scheduler.submit(PROMPT, **SETTINGS))) == 120
