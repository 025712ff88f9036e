"""Guesses change no token, whatever the settings are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from decoder_models import Memory, random_adapter, random_model, random_of
from ggmlkit.engine import constraint
from ggmlkit.engine.full_context import room_for
from ggmlkit.engine.generation import generated
from ggmlkit.engine.model import Model
from ggmlkit.engine.sampling import SamplingParams
from ggmlkit.engine.scheduler import Scheduler
from ggmlkit.engine.speculation.choice import speculator_of
from ggmlkit.engine.speculation.lookup import PromptLookup
from ggmlkit.engine.speculation.pace import Pace
from ggmlkit.engine.speculation.source import Guesses, Text
from ggmlkit.engine.speculation.speculator import Speculator
from ggmlkit.engine.stats import Stats
from paths import GOLDEN

FILE = GOLDEN / "gguf-v1-f16.bin"
OTHER = GOLDEN / "gguf-v1-q4_0.bin"  # other weights, the same vocabulary
PROMPT = [5, 6, 7, 8, 9, 5, 6, 7]
LONG: dict[str, Any] = {"max_tokens": 60, "ignore_eos": True}
SETTINGS: list[dict[str, Any]] = [
    {"temperature": 0},
    {"temperature": 0.5, "seed": 1},
    {"temperature": 2.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 2},
    {"repeat_penalty": 1.3, "frequency_penalty": 0.2, "presence_penalty": 0.1, "seed": 3},
    {"dry_multiplier": 0.8, "temperature": 0},
    {"mirostat": 2, "seed": 4},
    {"xtc_probability": 0.5, "xtc_threshold": 0.05, "seed": 5},
    {"logprobs": True, "top_logprobs": 3, "temperature": 0},
    {"stop": ["e", "t"], "seed": 6},
    {"allowed_tokens": [5, 6, 7], "seed": 7},
    {"regex": "[abc]{40}", "seed": 8},
    {"max_tokens": 3, "temperature": 0},
    {"max_tokens": 1, "temperature": 0},
]


@pytest.fixture(autouse=True)
def all_guesses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each guess is verified, whether it pays or not."""
    monkeypatch.setattr(Pace, "chosen", lambda _, chances: [len(own) for own in chances])
    monkeypatch.setattr(constraint, "_fault", lambda _: "")


class Oracle:
    """Knows what follows, but is wrong at every fifth token."""

    is_free = False

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids = list(ids)
        self.asked = 0

    def begin(self, ids: list[int]) -> None:
        assert ids == self._ids[: len(ids)]

    def guesses(
        self, texts: Sequence[Text], samplers: Sequence[object], most: Sequence[int]
    ) -> list[Guesses]:
        assert len(texts) == len(samplers)
        self.asked += len(texts)
        return [
            Guesses(self._guess(len(text.ids), count))
            for text, count in zip(texts, most, strict=True)
        ]

    def _guess(self, at: int, count: int) -> list[int]:
        ids = [id if place % 5 else id ^ 1 for place, id in enumerate(self._ids)]
        return ids[at : at + count]

    def end(self, text: Text) -> None:
        pass

    def close(self) -> None:
        pass


def speaking(weights: Memory, **settings: Any) -> Model:
    """A model of random weights, with a vocabulary."""
    model = Model(weights, **settings)
    model._tokenizer = Model(FILE).tokenizer
    return model


def tokens(
    model: Model, speculator: Speculator | None, adapter: Any = None, **settings: Any
) -> list[gk.Token]:
    params = SamplingParams(**{**LONG, **settings})
    limit = room_for(model, PROMPT, params)
    return list(generated(model, PROMPT, params, limit, adapter, Stats(), speculator=speculator))


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_guesses_change_no_token(settings: dict[str, Any]) -> None:
    model = Model(FILE, context=300)
    expected = tokens(model, None, **settings)
    oracle = Oracle(PROMPT + [token.id for token in expected])
    for speculator in (Speculator(PromptLookup()), Speculator(oracle)):
        assert tokens(model, speculator, **settings) == expected
    assert model.free_cache_tokens == model.cache_tokens
    assert bool(oracle.asked) == (len(expected) > 1)


def test_a_window_and_wrong_guesses() -> None:
    model = speaking(random_of("gemma3"), context=300)
    expected = tokens(model, None, temperature=0, max_tokens=200)
    oracle = Oracle(PROMPT + [token.id for token in expected])
    assert tokens(model, Speculator(oracle), temperature=0, max_tokens=200) == expected


def test_guesses_make_steps_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Model(FILE, context=300)
    expected = tokens(model, None, temperature=0)
    steps = 0
    append = Model.append

    def counted(self: Model, *arguments: Any, **named: Any) -> None:
        nonlocal steps
        steps += 1
        append(self, *arguments, **named)

    monkeypatch.setattr(Model, "append", counted)
    oracle = Oracle(PROMPT + [token.id for token in expected])
    assert tokens(model, Speculator(oracle), temperature=0) == expected
    assert steps <= 1 + len(expected) / 4


def test_a_scheduler_guesses_for_each_stream(tmp_path: Path) -> None:
    weights = random_model(tied=False)
    model = speaking(weights, context=200, contexts=8)
    adapter = model.load_adapter(random_adapter(tmp_path / "a.gguf", weights))
    random = np.random.default_rng(2)
    prompts = [random.integers(3, 20, random.integers(1, 90)).tolist() for _ in range(9)]
    found = []
    for speculation in (None, "lookup"):
        with Scheduler(model, max_sequences=5, speculation=speculation) as scheduler:
            streams = [
                scheduler.submit(
                    prompt,
                    max_tokens=50,
                    ignore_eos=True,
                    temperature=0.3 * (i % 3),
                    seed=i,
                    adapter=adapter if i % 2 else None,
                )
                for i, prompt in enumerate(prompts)
            ]
            found.append([[token.id for token in stream] for stream in streams])
    assert found[0] == found[1]
    assert model.free_cache_tokens == model.cache_tokens


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("draft", ["the same weights", "others"])
def test_a_draft_model_changes_no_token(settings: dict[str, Any], draft: str) -> None:
    model = Model(FILE, context=300)
    other = Model(FILE if draft == "the same weights" else OTHER, context=300)
    expected = tokens(model, None, **settings)
    assert tokens(model, speculator_of(other, model), **settings) == expected
    assert other.free_cache_tokens == other.cache_tokens


def test_a_draft_model_of_the_same_weights_is_always_right(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, draft = Model(FILE, context=300), Model(FILE, context=300)
    compared: list[bool] = []
    learn = Speculator._learn

    def noted(self: Speculator, text: Text, is_right: bool) -> None:
        compared.append(is_right)
        learn(self, text, is_right)

    monkeypatch.setattr(Speculator, "_learn", noted)
    tokens(model, speculator_of(draft, model), temperature=1.0, seed=3)
    assert len(compared) > 40
    assert all(compared)


def test_a_draft_model_with_a_short_context_or_cache_guesses_as_long_as_it_can() -> None:
    model = Model(FILE, context=300)
    expected = tokens(model, None, temperature=0)
    for settings in ({"context": 30}, {"context": 300, "cache_tokens": 64}):
        draft = Model(FILE, **settings)  # type: ignore[arg-type]
        with Scheduler(model, speculation=draft) as scheduler:
            streams = [scheduler.submit(PROMPT, **LONG, temperature=0) for _ in range(3)]
            for stream in streams:
                assert list(stream) == expected


def test_guesses_need_no_room_of_the_cache() -> None:
    expected = tokens(Model(FILE, context=300), None, temperature=0)
    oracle = Oracle(PROMPT + [token.id for token in expected])
    model = Model(FILE, context=300, cache_tokens=64)
    fitting = 64 - len(PROMPT) + 1  # the last one is not computed
    params = SamplingParams(**{**LONG, "temperature": 0})
    for speculator in (None, Speculator(PromptLookup()), Speculator(oracle)):
        found = generated(model, PROMPT, params, 60, None, Stats(), speculator=speculator)
        assert [next(found) for _ in range(fitting)] == expected[:fitting]
        with pytest.raises(gk.CacheFullError):
            next(found)


def test_what_is_no_speculation_is_refused() -> None:
    model = Model(FILE, context=100)
    with pytest.raises(gk.ArgumentError, match="'lookup', a draft model"):
        Scheduler(model, speculation="guess")  # type: ignore[arg-type]
    with pytest.raises(gk.ArgumentError, match="own draft"):
        Scheduler(model, speculation=model)


def test_texts_that_ended_are_looked_in() -> None:
    model = Model(FILE, context=300)
    lookup = PromptLookup()
    first = tokens(model, Speculator(lookup), temperature=0)
    text = Text([*PROMPT, *(token.id for token in first[:3])], lookup.begin(PROMPT), 0.5)
    (found,) = lookup.guesses([text], [], [10])
    assert found.ids == [token.id for token in first[3:13]]
