"""Arrays in memory on one thread: quantize and dequantize, beside the peers' libggml."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

import ggmlkit as gk
from bench import Bench, Outcome, Step, compared
from ggmlkit.types import TensorType
from libggml import Libggml, find
from measure import OURS, Comparison, Measure, Roof, best

_ROWS, _COLUMNS = 16384, 4096  # 256 MiB of float32
_READ_BOUND = ("q4_0", "q4_1", "q5_0", "q5_1", "q8_0")  # their arithmetic takes less than reading
_ROUNDED = (*_READ_BOUND, "tq1_0", "tq2_0", "q2_0", "mxfp4")
# Peers quantize only some million weights a second of these, so only some of the rows are used.
_SEARCHED = ("q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "iq4_nl", "iq4_xs")
_SEARCHED_ROWS = _ROWS // 16
_NOT_STORED = ("q8_1", "q8_K")  # for products only; no file has them


def steps(bench: Bench) -> list[Step]:
    """Every type that both we and llama.cpp's libggml have a kernel for."""
    libraries = _libraries(bench)
    shared = [
        type.name
        for type in gk.types.ALL
        if (_theirs(type, *libraries.values()) if libraries else type.can_quantize)
    ]
    return [
        *(Step(f"memory dequantize {t}", partial(_dequantize, bench, t)) for t in shared),
        *(Step(f"memory quantize {t}", partial(_quantize, bench, t, _ROWS)) for t in _ROUNDED),
        *(
            Step(f"memory quantize {t}", partial(_quantize, bench, t, _SEARCHED_ROWS))
            for t in _SEARCHED
        ),
    ]


def _libraries(bench: Bench) -> dict[str, Libggml]:
    return {system: Libggml(find(folder)) for system, folder in bench.peers.folders.items()}


def _theirs(type: TensorType, *libraries: Libggml) -> bool:
    if type.generation != "gguf" or type.name in _NOT_STORED:
        return False
    return any(lib.reads(type.name) for lib in libraries)


def _dequantize(bench: Bench, type: str) -> Outcome:
    """Into a given array."""
    libraries = {s: lib for s, lib in _libraries(bench).items() if lib.reads(type)}
    tensor = _sample(type, libraries)
    data, values = tensor.data, np.empty((_ROWS, _COLUMNS), np.float32)
    works: dict[str, Callable[[], object]] = {
        OURS: lambda: tensor.dequantize(out=values, threads=1)
    }
    for system, library in libraries.items():
        works[system] = partial(library.dequantize, type, data, values)

    def line(_: str, samples: dict[str, list[float]]) -> Comparison:
        return Comparison(
            "Dequantize in memory", type, "M weights/s", 1, samples, goal=1.5,
            roof=Roof("write", 4e6, goal=0.8),
        )  # fmt: skip

    outcome = compared({s: _rate(work) for s, work in works.items()}, bench.rounds, line)
    expected = tensor.dequantize(threads=1).view(np.uint32)
    for system in libraries:
        works[system]()
        if not np.array_equal(values.view(np.uint32), expected):
            outcome.notes.append(f"{system} gave other floats")
    return outcome


def _quantize(bench: Bench, type: str, rows: int) -> Outcome:
    """Into a given array. Ours refuses values that aren't finite; libggml doesn't check."""
    x = _floats()[:rows]
    expected = gk.quantize(x, type).data
    out = np.empty_like(expected)
    works: dict[str, Callable[[], object]] = {
        OURS: lambda: gk.quantize(x, type, out=out, threads=1)
    }
    libraries = {s: lib for s, lib in _libraries(bench).items() if lib.reads(type)}
    for system, library in libraries.items():
        works[system] = partial(library.quantize, type, x, out)

    def line(_: str, samples: dict[str, list[float]]) -> Comparison:
        share = 0.6 if type in _READ_BOUND else None
        return Comparison(
            "Quantize in memory", type, "M weights/s", 1, samples, goal=3.0,
            roof=Roof("read", 4e6, goal=share),
        )  # fmt: skip

    outcome = compared({s: _rate(work, rows) for s, work in works.items()}, bench.rounds, line)
    for system in libraries:
        works[system]()
        if not np.array_equal(out, expected):
            outcome.notes.append(f"{system} wrote other bytes")
    return outcome


def _rate(work: Callable[[], object], rows: int = _ROWS) -> Measure:
    return lambda _: {"rate": rows * _COLUMNS / 1e6 / best(work)}


def _floats() -> NDArray[np.float32]:
    return np.random.default_rng(1).standard_normal((_ROWS, _COLUMNS), np.float32)


def _sample(type: str, libraries: dict[str, Libggml]) -> gk.Tensor:
    """Normally distributed values in `type`, by our quantizer or a peer's; a few rows, repeated."""
    kind = gk.types.get(type)
    repeated = 64 if kind.can_quantize else 1024  # peers write the i-quants slowly
    rows = _floats()[: _ROWS // repeated]
    if kind.can_quantize:
        data = gk.quantize(rows, type).data
    else:
        data = np.empty(rows.shape[0] * kind.row_bytes(_COLUMNS), np.uint8)
        next(iter(libraries.values())).quantize(type, rows, data)
    return gk.Tensor(type, (_ROWS, _COLUMNS), np.tile(data, repeated))
