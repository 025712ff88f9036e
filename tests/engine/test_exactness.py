"""A sequence's logits depend on its own tokens alone, to the last bit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from decoder_models import Memory, random_adapter, random_model, random_of
from ggmlkit.engine.model import Model
from ggmlkit.engine.sequence import Adapter, Chunk, LogitsOf, Sequence

CONTEXT = 700


@dataclass
class Trial:
    """A sequence under test, and what is wanted of it later: logits after its first n tokens."""

    sequence: Sequence
    adapter: Adapter | None
    tokens: list[int]
    found: list[tuple[tuple[int, ...], np.ndarray]] = field(default_factory=list)


class Engine:
    """Random steps on one model, compared with each text evaluated at once and alone."""

    def __init__(self, model: Model, adapters: list[Adapter | None], seed: int) -> None:
        self.model = model
        self.random = np.random.default_rng(seed)
        self.texts = [self.random.integers(0, 101, CONTEXT).tolist() for _ in range(2)]
        self.adapters = adapters
        self.trials: list[Trial] = []
        self.found: dict[tuple[int, tuple[int, ...]], list[np.ndarray]] = {}

    def start(self) -> None:
        adapter = self.adapters[self.random.integers(len(self.adapters))]
        text = self.texts[self.random.integers(len(self.texts))]
        sequence = self.model.sequence(text[: self.random.integers(0, CONTEXT)], adapter)
        held = list(sequence.tokens)
        assert held == text[: len(held)]
        self.trials.append(Trial(sequence, adapter, held))

    def fork(self) -> None:
        trial = self.trials[self.random.integers(len(self.trials))]
        self.trials.append(Trial(trial.sequence.fork(), trial.adapter, list(trial.tokens)))

    def truncate(self) -> None:
        trial = self.trials[self.random.integers(len(self.trials))]
        n = int(self.random.integers(0, len(trial.tokens) + 1))
        left = trial.sequence.truncate(n)
        assert left in (0, n)
        del trial.tokens[left:]

    def end(self) -> None:
        if len(self.trials) > 1:
            self.trials.pop(self.random.integers(len(self.trials))).sequence.close()

    def step(self) -> None:
        chosen = [t for t in self.trials if self.random.random() < 0.7 and len(t.tokens) < CONTEXT]
        batch = [self.chunk(trial) for trial in chosen]
        for trial, chunk, logits in zip(chosen, batch, self.model.step(batch), strict=True):
            before = len(trial.tokens)
            trial.tokens += chunk.tokens
            assert trial.sequence.tokens == tuple(trial.tokens)
            rows = [logits] if logits.ndim == 1 else list(logits)
            for i, row in enumerate(rows, len(trial.tokens) - len(rows)):
                assert i >= before
                key = (self.adapters.index(trial.adapter), tuple(trial.tokens[: i + 1]))
                self.found.setdefault(key, []).append(row.copy())

    def chunk(self, trial: Trial) -> Chunk:
        most = min(CONTEXT - len(trial.tokens), int(self.random.choice([1, 1, 5, 20, 100, 300])))
        n = int(self.random.integers(1, most + 1))
        begin = len(trial.tokens)
        text = self.texts[self.random.integers(len(self.texts))]
        wanted: list[LogitsOf] = ["none", "last", "all"]
        return Chunk(trial.sequence, text[begin : begin + n], wanted[self.random.integers(3)])

    def check(self, alone: Model, adapters: list[Adapter | None]) -> None:
        """Each row, against a sequence that has its tokens at once."""
        beginnings = {(a, text[:n]) for a, text in self.found for n in range(len(text))}
        for a, text in self.found.keys() - beginnings:
            (logits,) = alone.step([Chunk(alone.sequence(adapter=adapters[a]), text, "all")])
            for n in range(1, len(text) + 1):
                for row in self.found.get((a, text[:n]), ()):
                    np.testing.assert_array_equal(row, logits[n - 1])


def run(
    model: Memory, seed: int, paths: tuple[Any, ...] = (), steps: int = 25, **settings: Any
) -> None:
    settings = {"context": CONTEXT, "batch_invariant": True, **settings}
    busy = Model(model, contexts=12, threads=2, **settings)
    alone = Model(model, threads=1, prefix_cache=False, **settings)
    adapters = [None, *map(busy.load_adapter, paths)]
    engine = Engine(busy, adapters, seed)
    engine.start()
    for _ in range(steps):
        for work, chance in ((engine.start, 0.3), (engine.fork, 0.2), (engine.truncate, 0.3)):
            if engine.random.random() < chance and len(engine.trials) < 6:
                work()
        if engine.random.random() < 0.2:
            engine.end()
        engine.step()
    assert len(engine.found) > 4 * steps
    engine.check(alone, [None, *map(alone.load_adapter, paths)])


@pytest.mark.parametrize("kind", ["f32", "q4_0", "q8_0"])
@pytest.mark.parametrize("seed", range(2))
def test_any_batches_cuts_forks_and_truncations(kind: str, seed: int) -> None:
    run(random_model(kind, context_length=CONTEXT), seed)


@pytest.mark.parametrize(
    ("architecture", "keys"),
    [
        ("llama", {"attention.sliding_window": 40}),
        ("gemma2", {"attention.sliding_window": 100}),
        ("gemma3", {"attention.sliding_window": 30, "attention.sliding_window_pattern": 2}),
    ],
)
def test_layers_with_a_window(architecture: str, keys: dict[str, Any]) -> None:
    run(random_of(architecture, **keys), 5)


@pytest.mark.parametrize(
    "settings",
    [{"kv_type": "q8_0"}, {"kv_type": "q4_0"}, {"kv_type": "q8_0/q4_0"}, {"activation_bits": 16}],
)
def test_other_settings(settings: dict[str, Any]) -> None:
    run(random_model("q4_0", context_length=CONTEXT), 3, **settings)


def test_adapters_of_each_sequence(tmp_path: Any) -> None:
    model = random_model("f32", context_length=CONTEXT, tied=False)
    paths = tuple(random_adapter(tmp_path / f"{i}.gguf", model, seed=i) for i in range(2))
    run(model, 4, paths)


@pytest.mark.parametrize(("kind", "ffn"), [("f32", 160), ("q4_0", 160), ("q4_0", 2080)])
def test_few_steps(kind: str, ffn: int) -> None:
    """Enough for sets of instructions that are emulated (tests/kernels/test_isa.py).

    2080 columns are more than a product of many tokens expands at a time.
    """
    run(random_model(kind, context_length=CONTEXT, ffn=ffn), 7, steps=6)
