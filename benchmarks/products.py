"""`gk.matmul(x, W)` with quantized weights, beside PyTorch's float products."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ggmlkit as gk
from bench import Bench, Outcome, Step, compared, in_words
from measure import OURS, Comparison, Measure, Roof, best, seconds

_N = 4096  # rows and columns of the weights
_ROWS = (1, 8, 64, 512)
_PAST_CACHE = 1 << 28  # bytes of weights used in turn, so that none stays in a cache
_TRIAL = 0.3  # seconds
_STORED, _PACKED = "as stored", "packed"
Work = Callable[[], object]
_SPIN = 0.3  # seconds for which another library's waiting threads can still use the cores


def steps(bench: Bench) -> list[Step]:
    """Each type, thread count and number of rows."""
    return [
        Step(
            f"product {rows} {type} {in_words(threads)}",
            partial(_product, bench, rows, type, threads),
        )
        for threads in bench.threads
        for type in bench.types
        for rows in _ROWS
    ]


def _product(bench: Bench, rows: int, type: str, threads: int) -> Outcome:
    weights = _weights(type)
    packed = [gk.PackedMatrix(w) for w in weights]
    x = np.random.default_rng(2).standard_normal((rows, _N), np.float32)
    notes = []
    works = {OURS: {_STORED: _ours(x, weights, threads), _PACKED: _ours(x, packed, threads)}}
    try:
        for system, work in _torch_works(x, threads).items():
            works[system] = {_STORED: work}
    except ImportError as error:
        notes.append(f"torch: {error}")
    macs = rows * _N * _N

    def rates(by_form: dict[str, Work]) -> Measure:
        def measure(_: int) -> dict[str, float]:
            found = {}
            for form, work in by_form.items():
                time.sleep(_SPIN)
                found[form] = macs / 1e9 / _shortest(work)
            # Another library has one form: both of ours are compared with it.
            return {form: found.get(form, found[_STORED]) for form in (_STORED, _PACKED)}

        return measure

    def line(form: str, samples: dict[str, list[float]]) -> Comparison:
        size = weights[0].nbytes
        roof = Roof("read", size / macs * 1e9, goal=0.8) if rows == 1 else None
        return Comparison(
            "Matrix products in memory", f"{rows} rows × {_N}² {type}, {form}",
            "G multiply-adds/s", threads, samples, roof=roof or Roof("multiply_add", 1e9),
        )  # fmt: skip

    outcome = compared({s: rates(forms) for s, forms in works.items()}, bench.rounds, line)
    return Outcome(outcome.comparisons, outcome.notes + notes)


def _ours(
    x: NDArray[np.float32], weights: Sequence[gk.Tensor | gk.PackedMatrix], threads: int
) -> Work:
    turns = cycle(weights)
    return lambda: gk.matmul(x, next(turns), threads=threads)


def _shortest(work: Work) -> float:
    """Seconds of the fastest call, of as many as fit into 0.3 s.

    Cores that were idle need some 50 ms to return to full speed.
    """
    first = seconds(work)
    return min(first, best(work, max(1, int(_TRIAL / first)))) if first < 1 else first


def _weights(type: str) -> list[gk.Tensor]:
    """Copies of one matrix, each in its own memory."""
    first = gk.quantize(_floats(), type)
    count = -(-_PAST_CACHE // first.nbytes)
    copies = [gk.Tensor(type, first.shape, first.data.copy()) for _ in range(count - 1)]
    return [first, *copies]


def _torch_works(x: NDArray[np.float32], threads: int) -> dict[str, Work]:
    import torch

    torch.set_num_threads(threads)

    def product(dtype: Any) -> Work:
        rows = torch.from_numpy(x).to(dtype)
        matrix = torch.from_numpy(_floats()).to(dtype)
        count = -(-_PAST_CACHE // matrix.nbytes)
        turns = cycle([matrix.clone() for _ in range(count)])
        return lambda: rows @ next(turns).T

    return {"torch float32": product(torch.float32), "torch bfloat16": product(torch.bfloat16)}


def _floats() -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((_N, _N), np.float32)
