"""The tables of types.md that follow from the code and the benchmarks' results:
`.venv/bin/python docs/tables.py` rewrites them.

A test makes them again and compares.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import ggmlkit as gk
from ggmlkit import types

if TYPE_CHECKING:
    from measure import Comparison

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
PAGE = Path(__file__).with_name("types.md")
RESULTS = BENCHMARKS / "results.json"
START, END = "<!-- table: {} -->\n", "<!-- end -->\n"
_GENERATIONS = {"gguf": "gguf, ggjt v3", "ggjt-v2": "ggjt v2", "ggjt-v1": "ggml, ggmf, ggjt v1"}
_ROWS, _COLUMNS = 64, 4096


def relative_error(kind: types.TensorType) -> float | None:
    """RMS of rounding normally distributed weights, of their own RMS; None if it isn't written."""
    if not kind.can_quantize:
        return None
    values = np.random.default_rng(0).standard_normal((_ROWS, _COLUMNS), np.float32)
    wrong = gk.quantize(values, kind).dequantize().astype(np.float64) - values
    return float(np.sqrt(np.mean(wrong**2) / np.mean(values.astype(np.float64) ** 2)))


def multiplied_bits(kind: types.TensorType) -> float:
    """Bits of memory that a weight of a large matrix takes while the decoder has it."""
    zeros = np.zeros(_ROWS * kind.row_bytes(_COLUMNS), np.uint8)
    packed = gk.PackedMatrix(gk.Tensor(kind, (_ROWS, _COLUMNS), zeros))
    return 8 * (packed.nbytes or zeros.nbytes) / (_ROWS * _COLUMNS)


def all_types() -> str:
    """A line for each type."""
    lines = [
        "| type | number | weights a block | bytes | bits a weight | error | read | written "
        "| importance | multiplied | packed | in |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in sorted(types.ALL, key=lambda t: (t.generation != "gguf", t.bits_per_weight)):
        error = relative_error(kind)
        marks = (kind.can_dequantize, kind.can_quantize, kind.takes_importance, kind.has_product)
        cells = (
            kind.name,
            kind.ggml_id,
            kind.block_size,
            kind.block_bytes,
            f"{kind.bits_per_weight:g}",
            "" if error is None else f"{100 * error:.2g} %" if error > 1e-9 else "0",
            *("yes" if mark else "" for mark in marks),
            f"{multiplied_bits(kind):g}" if kind.can_dequantize else "",
            _GENERATIONS[kind.generation],
        )
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines) + "\n"


def all_speeds() -> str:
    """A line for each type that `make bench` measured, on one thread."""
    sys.path.append(str(BENCHMARKS))
    import store

    results = store.read(RESULTS)
    groups = ("Dequantize in memory", "Quantize in memory")
    found = {(c.group, c.work): c for c in results.comparisons}
    cpu, version = results.machine["cpu"], results.machine["ggmlkit"]
    lines = [
        f"In millions of weights a second, on one thread of {cpu}, ggmlkit {version}:",
        "",
        "| type | read | × libggml | written | × libggml |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind in sorted(types.ALL, key=lambda t: t.bits_per_weight):
        measured = [found.get((group, kind.name)) for group in groups]
        if any(measured):
            cells = [cell for comparison in measured for cell in _speed(comparison)]
            lines.append(f"| {kind.name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _speed(comparison: Comparison | None) -> tuple[str, str]:
    """Ours, and how often that of the better of the two libggmls; medians, as on that page."""
    if comparison is None:
        return "", ""
    return f"{comparison.median('ggmlkit'):.0f}", f"{statistics.median(comparison.ratios()):.1f}"


TABLES = {"types": all_types, "speeds": all_speeds}


def filled(text: str) -> str:
    """A page with its tables made anew."""
    for name, table in TABLES.items():
        before, mark, rest = text.partition(START.format(name))
        _, end, after = rest.partition(END)
        text = before + mark + table() + end + after
    return text


def main() -> int:
    """Rewrite the page."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
