"""How a text goes on where the context is full."""

from __future__ import annotations

from typing import Any

import pytest

import ggmlkit as gk
from ggmlkit.engine.full_context import shifted
from ggmlkit.engine.llama import Llama
from ggmlkit.engine.model import Model
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.engine.scheduler import Scheduler
from paths import GOLDEN

FILE = GOLDEN / "gguf-v1-f16.bin"
PROMPT = [1, 5, 6, 7, 8, 9]
ON: dict[str, Any] = {"temperature": 0, "ignore_eos": True, "context_shift": True}


def test_the_default_is_to_stop() -> None:
    result = Llama(FILE, context=40).complete(PROMPT, temperature=0, ignore_eos=True)
    assert result.finish_reason == "length"
    assert len(result.tokens) == 35


@pytest.mark.parametrize("keep", [0, 4, -1])
def test_a_shifted_text_goes_on_as_one_that_begins_so(keep: int) -> None:
    llama = Llama(FILE, context=40)
    ids = list(PROMPT)
    expected: list[int] = []
    params = SamplingParams(**ON, keep=keep)
    while len(expected) < 100:  # recomputed by hand, whenever the context is full
        part = llama.complete(ids, temperature=0, ignore_eos=True, max_tokens=41 - len(ids))
        new = [token.id for token in part.tokens]
        expected += new
        ids = shifted([*ids, *new], len(PROMPT), params, 40)
        assert ids[: (1, 4, 6)[(0, 4, -1).index(keep)]] == PROMPT[: {0: 1, 4: 4, -1: 6}[keep]]
    found = llama.complete(PROMPT, max_tokens=100, keep=keep, **ON)
    assert [token.id for token in found.tokens] == expected[:100]
    assert found.finish_reason == "length"


def test_streams_shift_as_one_alone_does() -> None:
    model = Model(FILE, context=70, contexts=3)
    alone = Llama(FILE, context=70).complete(PROMPT, max_tokens=200, **ON)
    for speculation in (None, "lookup"):
        with Scheduler(model, speculation=speculation) as scheduler:
            streams = [scheduler.submit(PROMPT, max_tokens=200, **ON) for _ in range(4)]
            assert all(list(stream) == list(alone.tokens) for stream in streams)
    assert model.free_cache_tokens == model.cache_tokens


def test_what_is_kept_must_leave_room() -> None:
    llama = Llama(FILE, context=40)
    long = [5] * 38
    with pytest.raises(gk.ArgumentError, match="keep: 38 tokens leave too little of the context"):
        llama.complete(long, keep=-1, **ON)
    assert llama.complete(long, max_tokens=10, keep=3, **ON).text
    with pytest.raises(gk.ArgumentError, match="keep"):
        SamplingParams(keep=-2)
