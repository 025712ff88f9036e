"""Runs one build of ggmlkit for `builds.py`, under that build's interpreter.

A line of JSON on stdin asks for one measurement, a line of JSON on stdout answers with its rate.
Only calls that have long been public are used, so that older builds answer too.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from functools import cache, lru_cache
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ggmlkit as gk

_MOMENT = 0.25  # seconds; a rate is that of the fastest call within it
_N = 4096  # rows and columns of the weights of a product
_PAST_CACHE = 1 << 28  # bytes of weights used in turn, so that none stays in a cache


def main() -> None:
    """Answer until stdin ends."""
    for line in sys.stdin:
        request = json.loads(line)
        rate = _MEASURES[request.pop("work")](**request)
        print(json.dumps(rate), flush=True)


def _dequantize(type: str) -> float:
    """Millions of weights a second on one thread."""
    tensor, out = _tensor(type), np.empty((1024, _N), np.float32)
    return out.size / 1e6 / _shortest(lambda: tensor.dequantize(out=out, threads=1))


def _quantize(type: str) -> float:
    """Millions of weights a second on one thread."""
    x, out = _floats(), np.empty_like(_tensor(type).data)
    return float(x.size) / 1e6 / _shortest(lambda: gk.quantize(x, type, out=out, threads=1))


def _product(type: str, rows: int, threads: int, packed: bool) -> float:
    """Billions of multiply-adds a second of `rows` rows times a matrix."""
    turns = cycle(_packed(type) if packed else _stored(type))
    x = np.random.default_rng(2).standard_normal((rows, _N), np.float32)
    return rows * _N * _N / 1e9 / _shortest(lambda: gk.matmul(x, next(turns), threads=threads))


def _open(model: str) -> float:
    """Openings of a model file a second."""
    return 1.0 / _shortest(lambda: gk.open(model).close())


def _encode(model: str, text: str) -> float:
    """Millions of characters a second."""
    tokenizer, prose = _tokenizer(model), Path(text).read_text(encoding="utf-8")
    return len(prose) / 1e6 / _shortest(lambda: tokenizer.encode(prose))


_MEASURES: dict[str, Callable[..., float]] = {
    "dequantize": _dequantize, "quantize": _quantize, "product": _product, "open": _open,
    "encode": _encode,
}  # fmt: skip


def _shortest(work: Callable[[], object]) -> float:
    """Seconds of a call, the shortest of as many as fit into a moment; at least three."""
    times: list[float] = []
    while len(times) < 3 or sum(times) < _MOMENT:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


@cache
def _floats() -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((1024, _N), np.float32)


@cache
def _tensor(type: str) -> gk.Tensor:
    return gk.quantize(_floats(), type)


@lru_cache(maxsize=1)
def _stored(type: str) -> list[gk.Tensor]:
    square = np.concatenate([_floats()] * (_N // 1024))
    weights = gk.quantize(square, type)
    copies = max(1, _PAST_CACHE // weights.nbytes)
    return [gk.Tensor(type, weights.shape, weights.data.copy()) for _ in range(copies)]


@lru_cache(maxsize=1)
def _packed(type: str) -> list[Any]:
    return [gk.PackedMatrix(weights) for weights in _stored(type)]


@cache
def _tokenizer(model: str) -> Any:
    return gk.Tokenizer.from_file(model)


if __name__ == "__main__":
    main()
