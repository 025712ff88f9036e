"""The types of cached keys and values: what each loses beside float16, and its speed and memory.

The columns are the types of one build, `kv_type`, not systems.
"""

from __future__ import annotations

import time
from functools import partial

import numpy as np
from numpy.typing import NDArray

import ggmlkit as gk
from bench import Bench, Outcome, Step, compared
from inputs import REAL
from measure import Comparison
from quality import english, log_softmax

_EXACT = "f16"
_TYPES = (_EXACT, "q8_0", "q8_0/q4_0", "q4_0")
_TOKENS = 4096  # of English, each predicted from all before it
_CHUNK = 256  # whose logits are in memory at once
_DEPTH = 7900  # of the model's 8192
_DECODED = 32
_PAGE = 64  # positions
_WARM = 512  # tokens after which only the cache grows


def steps(bench: Bench) -> list[Step]:
    """With most threads and the first type of weights."""
    return [
        Step("kv quality", partial(_quality, bench)),
        Step("kv depth", partial(_depth, bench)),
    ]


def _model(bench: Bench, kv_type: str, context: int) -> gk.Model:
    path = bench.inputs.model(REAL, bench.types[0])
    return gk.Model(path, context=context, threads=max(bench.threads), kv_type=kv_type)


def _line(bench: Bench, what: str, work: str, unit: str, *, less: bool) -> partial[Comparison]:
    group, name = f"KV cache types: {what}", f"{REAL} {bench.types[0]}, {work}"
    return partial(Comparison, group, name, unit, max(bench.threads), less=less)


def _quality(bench: Bench) -> Outcome:
    """Divergence of each type's logits from float16's; all go through the text side by side."""
    models = {kind: _model(bench, kind, _TOKENS) for kind in _TYPES}
    tokens = models[_EXACT].tokenizer.encode(english())[:_TOKENS]
    sequences = {kind: model.sequence() for kind, model in models.items()}
    divergence: dict[str, list[NDArray[np.float64]]] = {kind: [] for kind in _TYPES[1:]}
    same: dict[str, list[NDArray[np.bool_]]] = {kind: [] for kind in _TYPES[1:]}
    for begin in range(0, len(tokens), _CHUNK):
        chunk = tokens[begin : begin + _CHUNK]
        logits = {
            kind: model.step([gk.Chunk(sequences[kind], chunk, "all")])[0]
            for kind, model in models.items()
        }
        exact = log_softmax(logits.pop(_EXACT))
        for kind, rows in logits.items():
            other = log_softmax(rows)
            divergence[kind].append(np.sum(np.exp(exact) * (exact - other), axis=-1))
            same[kind].append(exact.argmax(-1) == other.argmax(-1))
    whole = {kind: 1e3 * np.concatenate(parts) for kind, parts in divergence.items()}
    line = partial(_line, bench, "divergence from f16")
    text, unit = f"{len(tokens)} tokens of English", "KL divergence, ‰ of a nat"
    mean = {kind: [float(rows.mean())] for kind, rows in whole.items()}
    high = {kind: [float(np.quantile(rows, 0.99))] for kind, rows in whole.items()}
    kept = {kind: [100 * float(np.concatenate(parts).mean())] for kind, parts in same.items()}
    return Outcome(
        [
            line(f"{text}, mean", unit, less=True)(samples=mean),
            line(f"{text}, 99th percentile", unit, less=True)(samples=high),
            _line(bench, "likeliest token as with f16", text, "%", less=False)(samples=kept),
        ]
    )


def _depth(bench: Bench) -> Outcome:
    """Speed behind a long text, and the memory that it takes."""
    tokens = np.random.default_rng(1).integers(1000, 40000, _DEPTH).tolist()
    models = {kind: _model(bench, kind, _DEPTH + 2 * _PAGE) for kind in _TYPES}
    held: dict[str, gk.Sequence] = {}
    memory: dict[str, list[float]] = {}
    for kind, model in models.items():
        held[kind] = model.sequence()
        model.step([gk.Chunk(held[kind], tokens[:_WARM], "none")])
        before = model.nbytes
        model.step([gk.Chunk(held[kind], tokens[_WARM:], "none")])
        grown = -(-_DEPTH // _PAGE) * _PAGE - _WARM
        memory[kind] = [(model.nbytes - before) / grown]

    def measure(kind: str, _: int) -> dict[str, float]:
        model = models[kind]
        with held[kind].fork() as fork:
            model.step([gk.Chunk(fork, [5])])  # a copy of the page begun
            start = time.perf_counter()
            for i in range(_DECODED):
                model.step([gk.Chunk(fork, [1000 + i])])
            return {"": _DECODED / (time.perf_counter() - start)}

    speed = _line(bench, "decoding", f"{_DECODED} tokens after {_DEPTH}", "tokens/s", less=False)
    outcome = compared(
        {kind: partial(measure, kind) for kind in _TYPES},
        bench.rounds,
        lambda _, samples: speed(samples=samples),
    )
    taken = _line(bench, "memory", "keys and values", "bytes a token", less=True)
    outcome.comparisons.append(taken(samples=memory))
    return outcome
