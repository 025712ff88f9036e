"""Awkward blocks, and one instruction set's results for them; a script, given their number."""

from __future__ import annotations

import functools
import hashlib
import json
import sys

import numpy as np
from numpy.typing import NDArray

import alternative_core  # noqa: F401
import ggmlkit as gk
from ggmlkit import _core
from ggmlkit.errors import UnstorableError

TYPES = ["f16", "bf16", "q4_0", "q4_1", "q5_0", "q5_1", "q8_0"]
LEGACY = [
    "q4_0_v1",
    "q4_1_v1",
    "q5_0_v1",
    "q5_1_v1",
    "q4_2",
    "q4_3",
    "q4_0_v2",
    "q4_1_v2",
    "q8_0_v2",
]

# Quantized with a search for the scales of groups, or for one element in three.
SEARCHED = ["q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "iq4_nl", "iq4_xs"]
SMALL = ["tq1_0", "tq2_0", "q2_0", "mxfp4"]
# Quantized to points of lattices.
LATTICES = ["iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s"]
# Quantized with the importance of each column, if given.
WEIGHED = [*SEARCHED, "q4_0", "q4_1", "q5_0", "q5_1"]
# Rounded with knowledge of what enters a matrix.
CALIBRATED = [*WEIGHED, "q8_0", "mxfp4"]


def awkward(blocks: int, seed: int = 0) -> NDArray[np.float32]:
    """float32 ``(blocks, 32)``: random, zeros, subnormals, ties of both signs, huge scales."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((blocks, 32)).astype(np.float32)
    kind = rng.integers(0, 8, blocks)
    x[kind == 0] = 0
    x[kind == 1] *= np.float32(1e-42)
    x[kind == 2] = rng.choice(np.array([-1, 1], np.float32), (int((kind == 2).sum()), 32))
    x[kind == 3] = storable(x[kind == 3] * np.float32(65504))
    x[kind == 4] = np.round(x[kind == 4] * 4) / 4  # many equal magnitudes and ties
    x[kind == 5] = x[kind == 5].astype(np.float16).astype(np.float32)
    x[kind == 6] *= np.float32(1e-4)
    return x


def awkward_groups(blocks: int, seed: int = 0) -> NDArray[np.float32]:
    """float32 ``(blocks, 256)``: groups of 16 of many kinds side by side, blocks of many scales.

    Some are too large for a float16 scale.
    """
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((blocks, 256)).astype(np.float32)
    groups = x.reshape(blocks, 16, 16)
    kind = rng.integers(0, 12, (blocks, 16))
    kind[: blocks // 3] = 0
    groups[kind == 1] = 0
    groups[kind == 2] *= np.float32(1e-42)
    groups[kind == 3] = np.sign(groups[kind == 3])
    groups[kind == 4] *= np.float32(65504)
    groups[kind == 5] = np.round(groups[kind == 5] * 4) / 4
    groups[kind == 6] = np.abs(groups[kind == 6])
    groups[kind == 7] *= np.float32(1e-7)
    groups[kind == 8] = np.float32(0.37)
    groups[kind == 9] *= np.float32(1e-16)
    groups[kind == 10] *= rng.random(groups[kind == 10].shape) < 0.2
    scale = rng.integers(0, 8, blocks)
    for which, factor in ((0, 1e-20), (1, 1e18), (2, 1e38), (4, 1e-3)):
        x[scale == which] = np.clip(x[scale == which].astype(np.float64) * factor, -3.4e38, 3.4e38)
    x[scale == 3] = -np.abs(x[scale == 3])
    return x


def storable(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values, scaled down so that every type can hold them."""
    return np.clip(x, np.float32(-30000), np.float32(30000))


def stored_rows(
    x: NDArray[np.float32], type: str, importance: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Each row's blocks, uint8 ``(rows, bytes)``, and which rows are refused; these are zeros."""
    found = np.zeros((len(x), gk.types.get(type).row_bytes(x.shape[1])), np.uint8)
    refused = np.zeros(len(x), np.bool_)
    for row, values in enumerate(x):
        try:
            gk.quantize(values, type, importance=importance, out=found[row])
        except UnstorableError:
            found[row] = 0
            refused[row] = True
    return found, refused


def importances(columns: int, seed: int = 0) -> NDArray[np.float32]:
    """float32 ``(columns,)``: mean squares like those of activations, some zero, some large."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(columns).astype(np.float32) ** 2
    x[rng.random(columns) < 0.1] = 0
    x[rng.random(columns) < 0.05] *= np.float32(1e4)
    return x


def calibrated(type: gk.TensorType) -> NDArray[np.uint8]:
    """Rows that make good for their errors, then descend; uint8 ``(21, bytes)``."""
    rows, columns = 21, 512
    rng = np.random.default_rng(1)
    x = rng.standard_normal((rows, columns)).astype(np.float32)
    x[3] = 0
    x[4] = np.round(x[4] * 4) / 4
    x[5, :64] *= np.float32(1e-7)
    diagonal, upper, hessian = factored(columns)
    group = _core.scale_group(type.index)
    order = rng.permuted(np.arange(columns, dtype=np.uint32).reshape(-1, group), axis=1)
    out = np.zeros((rows, type.row_bytes(columns)), np.uint8)
    lost = _core.calibrate(
        type.index, x, out.reshape(-1), order.reshape(-1), diagonal, upper, hessian, 2, 0
    )
    assert lost == -1
    return out


@functools.cache
def factored(columns: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """A Hessian's diagonal factor ``(columns,)``, its triangular one, and itself, float32.

    Products of matrices are not the same on all processors: the sum in order, taken here, is.
    """
    rng = np.random.default_rng(2)
    upper = np.triu(rng.standard_normal((columns, columns)).astype(np.float32) / 16, 1)
    np.fill_diagonal(upper, 1)
    diagonal = rng.random(columns).astype(np.float32) + np.float32(0.1)
    hessian = np.zeros((columns, columns), np.float32)
    for column in range(columns):
        hessian += np.outer(upper[:, column] * diagonal[column], upper[:, column])
    return diagonal, upper, hessian


def digests(blocks: int) -> dict[str, str]:
    """SHA-256 of the active instruction set's quantized and dequantized results, by type."""
    x = awkward(blocks)
    result = {"isa": _core.isa()}
    for name in TYPES + LEGACY:
        q = gk.quantize(x, name)
        values = q.dequantize()
        result[name] = hashlib.sha256(q.data.tobytes() + values.tobytes()).hexdigest()
    groups = storable(awkward_groups(blocks // 16))
    for name in SEARCHED + SMALL:
        q = gk.quantize(groups, name)
        values = np.nan_to_num(q.dequantize())
        result[name] = hashlib.sha256(q.data.tobytes() + values.tobytes()).hexdigest()
    few = groups.reshape(-1, 256 * 5) if len(groups) % 5 == 0 else groups
    for name in WEIGHED:
        q = gk.quantize(few, name, importance=importances(few.shape[1]))
        result[f"{name} by importance"] = hashlib.sha256(q.data.tobytes()).hexdigest()
    few = groups[:40].reshape(-1, 256 * 4)
    for name in LATTICES:
        plain = gk.quantize(few, name).data
        weighed = gk.quantize(few, name, importance=importances(few.shape[1])).data
        result[name] = hashlib.sha256(plain.tobytes() + weighed.tobytes()).hexdigest()
    for name in CALIBRATED:
        found = calibrated(gk.types.get(name))
        result[f"{name} calibrated"] = hashlib.sha256(found.tobytes()).hexdigest()
    for kind in ["f16", "q8_0", "q4_0"]:
        cached = _core.kv_groups(kind, x, True) + _core.kv_groups(kind, x, False)
        result[f"{kind} keys and values"] = hashlib.sha256(cached).hexdigest()
    return result


if __name__ == "__main__":
    json.dump(digests(int(sys.argv[1])), sys.stdout)
