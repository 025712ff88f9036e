"""Decoding under a grammar beside decoding without: what the masks of eight streams cost."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import ggmlkit as gk
from bench import Bench, Outcome, Step, compared
from inputs import REAL
from measure import OURS, Comparison

_PLAIN = "without"
_SEQUENCES, _TOKENS = 8, 128
_PROMPT = "Write a long story about a king and his daughter."
# No token is forced in either: a forced one takes no step, and would hide what masks cost.
_GRAMMARS: dict[str, dict[str, Any]] = {
    "regular expression": {"regex": r"[A-Za-z0-9 ,.;:'!?\n-]+"},
    "JSON Schema": {"json_schema": {"type": "object", "additionalProperties": {"type": "string"}}},
}


def steps(bench: Bench) -> list[Step]:
    """Each kind of grammar."""
    return [Step(f"constraint {kind}", partial(_decoded, bench, kind)) for kind in _GRAMMARS]


def _decoded(bench: Bench, kind: str) -> Outcome:
    """Steps a second while all streams decode, each under a grammar of its own."""
    path = bench.inputs.model(REAL, bench.types[0])
    model = gk.Model(path, context=512, contexts=_SEQUENCES, threads=max(bench.threads))
    prompt = model.chat_prompt([{"role": "user", "content": _PROMPT}])

    def measure(turn: int, *, is_plain: bool) -> dict[str, float]:
        grammar = {} if is_plain else _GRAMMARS[kind]
        with gk.Scheduler(model) as scheduler:
            streams = [
                scheduler.submit(
                    prompt, max_tokens=_TOKENS, ignore_eos=True, seed=8 * turn + number, **grammar
                )
                for number in range(_SEQUENCES)
            ]
            for stream in streams:
                next(stream)
            start = time.perf_counter()
            decoded = sum(1 for stream in streams for _ in stream)
            return {"": decoded / (time.perf_counter() - start)}

    work = f"{REAL} {bench.types[0]}, {_SEQUENCES} at once, {kind}"

    def line(_: str, samples: dict[str, list[float]]) -> Comparison:
        return Comparison(
            "Constrained output", work, "tokens/s", max(bench.threads), samples, 0.98,
            against=_PLAIN,
        )  # fmt: skip

    systems = {OURS: partial(measure, is_plain=False), _PLAIN: partial(measure, is_plain=True)}
    return compared(systems, bench.rounds, line)
