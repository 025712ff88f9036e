"""Quantizers of iq1, iq2 and iq3: the same bits as libggml, and what no other type's tests say."""

from __future__ import annotations

import numpy as np
import pytest

import expected_lattices
import ggmlkit as gk
from blocks import LATTICES, awkward_groups, importances, storable

# Root mean square errors of normal values, which must not grow.
ERRORS = {
    "iq1_s": 0.5, "iq1_m": 0.6, "iq2_xxs": 0.35, "iq2_xs": 0.31, "iq2_s": 0.27, "iq3_xxs": 0.22,
    "iq3_s": 0.175,
}  # fmt: skip


@pytest.mark.parametrize("type", LATTICES)
@pytest.mark.parametrize("weighed", [False, True])
def test_bits_equal_libggmls(type: str, weighed: bool) -> None:
    expected = expected_lattices.load()
    x = expected["x"].astype(np.float32)
    importance = expected["importance"] if weighed else None
    found = gk.quantize(x, type, importance=importance).data.reshape(len(x), -1)
    wanted = expected[f"weighed {type}" if weighed else type].reshape(found.shape)
    assert np.flatnonzero((found != wanted).any(axis=1)).tolist() == []


@pytest.mark.parametrize("type", LATTICES)
def test_error_of_normal_values(type: str) -> None:
    x = np.random.default_rng(1).standard_normal((16, 512)).astype(np.float32)
    error = gk.quantize(x, type).dequantize() - x
    assert np.sqrt(np.mean(error**2)) < ERRORS[type]


def test_groups_behind_one_of_zeros_are_where_they_belong() -> None:
    # llama.cpp's quantizer of iq3_s puts them where the group of zeros was.
    x = np.random.default_rng(1).standard_normal((1, 256)).astype(np.float32)
    x[0, 32:64] = 0
    back = gk.quantize(x, "iq3_s").dequantize()
    assert np.abs(back[0, 64:] - x[0, 64:]).mean() < 0.2
    assert np.abs(back[0, 32:64]).max() < 0.2


@pytest.mark.parametrize("type", LATTICES)
def test_a_block_is_the_same_wherever_it_lies(type: str) -> None:
    x = storable(awkward_groups(12, seed=2))
    kind = gk.types.get(type)
    room = np.full(kind.row_bytes(x.size) + 4, 77, np.uint8)
    gk.quantize(x, type, out=room[3:-1])
    alone = np.concatenate([gk.quantize(row, type).data for row in x])
    assert np.array_equal(room[3:-1], alone)
    assert room[[0, 1, 2, -1]].tolist() == [77] * 4


@pytest.mark.parametrize("type", LATTICES)
def test_important_columns_get_smaller_errors(type: str) -> None:
    x = np.random.default_rng(3).standard_normal((64, 512)).astype(np.float32)
    importance = np.where(np.arange(512) % 4 == 0, np.float32(100), np.float32(1))
    squares = (gk.quantize(x, type, importance=importance).dequantize() - x) ** 2
    plain = (gk.quantize(x, type).dequantize() - x) ** 2
    assert (squares * importance).mean() < (plain * importance).mean()


@pytest.mark.parametrize("type", LATTICES)
def test_threads_and_other_types_of_weights(type: str) -> None:
    tensor = gk.quantize(np.random.default_rng(4).standard_normal((70, 512)), "q8_0")
    weights = importances(512)
    found = gk.quantize(tensor, type, importance=weights)
    alone = gk.quantize(tensor.dequantize(), type, importance=weights, threads=1)
    assert np.array_equal(found.data, alone.data)


@pytest.mark.parametrize("type", LATTICES)
@pytest.mark.parametrize("at", [0, 511, 512, 3_000])
def test_values_that_are_not_finite_are_named(type: str, at: int) -> None:
    x = np.full((8, 512), 0.5, np.float32)
    x.reshape(-1)[at] = np.inf
    x[-1, -1] = np.nan
    with pytest.raises(ValueError, match=rf"the array holds inf at \({at // 512}, {at % 512}\)"):
        gk.quantize(x, type, importance=importances(512))


@pytest.mark.parametrize("type", LATTICES)
@pytest.mark.parametrize("power", [9, 13, 18, 20, 26, 38])
def test_sums_that_overflow_lose_no_weight_silently(type: str, power: int) -> None:
    x = np.random.default_rng(5).standard_normal((2, 512)).astype(np.float32)
    x[1, 300] = 10.0**power
    with pytest.raises(gk.UnstorableError) as caught:
        gk.quantize(x, type, importance=np.ones(512))
    assert caught.value.index == (1, 300)
