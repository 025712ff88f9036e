"""Quantizers that search, those of two bits and mxfp4 beside libggml, on many awkward blocks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ggmlkit as gk
from blocks import SEARCHED, SMALL, WEIGHED, awkward_groups, importances, stored_rows
from libggml import Libggml, find

GRIDS = ["iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s"]


@pytest.fixture(scope="module")
def libggml(llama_bin: Path) -> Libggml:
    return Libggml(find(llama_bin))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("type", SEARCHED + SMALL)
def test_quantized_bits_are_libggmls(libggml: Libggml, type: str, seed: int) -> None:
    x = awkward_groups(5000, seed)
    ours, refused = stored_rows(x, type)
    theirs = np.empty_like(ours)
    libggml.quantize(type, x, theirs)
    wrong = np.flatnonzero((ours != theirs).any(axis=1) & ~refused)
    assert wrong.size == 0, f"first: block {wrong[0]}, {x[wrong[0]]}"


@pytest.mark.parametrize("columns", [256, 768, 2304])
@pytest.mark.parametrize("type", WEIGHED)
def test_bits_by_importance_are_libggmls(libggml: Libggml, type: str, columns: int) -> None:
    x = awkward_groups(4500, seed=columns).reshape(-1, columns)
    weights = importances(columns, seed=columns)
    ours, refused = stored_rows(x, type, weights)
    theirs = np.empty_like(ours)
    libggml.quantize(type, x, theirs, weights)
    wrong = np.flatnonzero((ours != theirs).any(axis=1) & ~refused)
    assert wrong.size == 0, f"first: row {wrong[0]}"


@pytest.mark.parametrize("type", [*SEARCHED, *SMALL, *GRIDS, "nvfp4", "q1_0", "q8_K"])
def test_dequantized_bits_are_libggmls(libggml: Libggml, type: str) -> None:
    kind = gk.types.get(type)
    data = np.random.default_rng(5).integers(0, 256, 20_000 * kind.block_bytes, np.uint8)
    theirs = np.empty((20_000, kind.block_size), np.float32)
    libggml.dequantize(type, data, theirs)
    ours = gk.Tensor(type, theirs.shape, data).dequantize()
    nan = np.isnan(theirs)
    assert np.array_equal(np.isnan(ours), nan)
    assert np.array_equal(ours[~nan].view(np.uint32), theirs[~nan].view(np.uint32))
