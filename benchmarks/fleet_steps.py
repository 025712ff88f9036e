"""How long a step of one replica takes: measured with the engine, and interpolated."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

import ggmlkit as gk
from machine import commit, facts

_SEQUENCES = (1, 2, 4, 8, 16)
_PROMPT = 256  # tokens before the decoded ones, and of the prompt whose speed is measured
_STEPS = 12  # of which the fastest counts


@dataclass(frozen=True)
class Steps:
    """Seconds of a step.

    Attributes:
        decode: by the number of sequences that get a token each; the first is of none, 0.
        prefill: more for each token of a prompt.
        cores: that it was measured on.
    """

    decode: tuple[float, ...]
    prefill: float
    cores: int = 1

    @property
    def parallel(self) -> int:
        """The most sequences."""
        return len(self.decode) - 1

    @property
    def tokens_per_second(self) -> float:
        """Of a core that decodes as many sequences as it can."""
        return self.parallel / self.decode[-1] / self.cores

    def on(self, cores: int) -> Steps:
        """The same on more cores, as if they shared the work without loss."""
        decode = tuple(each * self.cores / cores for each in self.decode)
        return Steps(decode, self.prefill * self.cores / cores, cores)

    def scaled(self, tokens_per_second: float) -> Steps:
        """The same at another speed of a core, as of another model or processor."""
        factor = self.tokens_per_second / tokens_per_second
        decode = tuple(factor * each for each in self.decode)
        return Steps(decode, factor * self.prefill, self.cores)


def steps_of(sequences: Sequence[int], seconds: Sequence[float], prefill: float) -> Steps:
    """Steps by all numbers of sequences, of those by some."""
    counts = range(sequences[-1] + 1)
    decode = np.interp(counts, [0, *sequences], [0.0, *seconds])
    return Steps(tuple(map(float, decode)), prefill)


def read(path: Path) -> Steps:
    """The steps that :func:`measured` has stored."""
    found = json.loads(path.read_text("utf-8"))
    return steps_of(found["sequences"], found["decode_seconds"], found["prefill_seconds"])


def measured(path: Path) -> dict[str, Any]:
    """The steps of a model on one core, the fastest of some."""
    found: dict[str, Any] = {"model": path.name, "date": f"{date.today()}"}
    found |= {"commit": commit(), "machine": facts({})}
    with gk.Model(
        path, context=1024, contexts=_SEQUENCES[-1], threads=1, prefix_cache=False
    ) as model:
        prompt = [5 + n % 1000 for n in range(_PROMPT)]
        sequences, prefill = [], []
        for _ in range(_SEQUENCES[-1]):
            sequences.append(model.sequence())
            prefill.append(_seconds(model, [gk.Chunk(sequences[-1], prompt, logits="last")]))
        decode = [
            min(_seconds(model, _next_tokens(sequences[:count])) for _ in range(_STEPS))
            for count in _SEQUENCES
        ]
    return found | {
        "sequences": list(_SEQUENCES), "decode_seconds": decode,
        "prefill_seconds": min(prefill) / _PROMPT,
    }  # fmt: skip


def _seconds(model: gk.Model, chunks: list[gk.Chunk]) -> float:
    start = time.perf_counter()
    model.step(chunks)
    return time.perf_counter() - start


def _next_tokens(sequences: list[gk.Sequence]) -> list[gk.Chunk]:
    return [gk.Chunk(each, [5], logits="last") for each in sequences]


def told(path: Path) -> str:
    """What the steps that :func:`measured` has stored were measured with."""
    found = json.loads(path.read_text("utf-8"))
    return (
        f"Steps of {Path(found['model']).stem} on one core of {found['machine']['cpu']} "
        f"({found['machine']['flags']}), measured on {found['date']}."
    )
