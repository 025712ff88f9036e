"""Types with a search for groups' scales, two-bit types and mxfp4: the same bits as libggml.

tests/peers compares more blocks with a built libggml."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import expected_blocks
import ggmlkit as gk
from blocks import SEARCHED, SMALL, WEIGHED, awkward_groups, importances, storable, stored_rows

Bytes = NDArray[np.uint8]

TYPES = SEARCHED + SMALL

# Root mean square errors of normal values, which must not grow.
ERRORS = {
    "q2_K": 0.31, "q3_K": 0.16, "q4_K": 0.077, "q5_K": 0.039, "q6_K": 0.02, "iq4_nl": 0.085,
    "iq4_xs": 0.088, "tq1_0": 0.82, "tq2_0": 0.82, "q2_0": 0.76, "mxfp4": 0.13,
}  # fmt: skip


@pytest.mark.parametrize("type", TYPES)
def test_bits_equal_libggmls(type: str) -> None:
    expected = expected_blocks.load()
    assert_same_rows(type, expected["x"].reshape(-1, 256), expected[type])


@pytest.mark.parametrize("type", WEIGHED)
def test_bits_by_importance_equal_libggmls(type: str) -> None:
    expected = expected_blocks.load()
    assert_same_rows(type, expected["x"], expected[f"weighed {type}"], expected["importance"])


def assert_same_rows(
    type: str,
    x: NDArray[np.float32],
    expected: Bytes,
    importance: NDArray[np.float32] | None = None,
) -> None:
    """Asserts equal bits; refused rows are those that libggml's blocks don't hold."""
    found, refused = stored_rows(x, type, importance)
    expected = expected.reshape(found.shape)
    wrong = (found != expected).any(axis=1) & ~refused
    assert not wrong.any(), np.flatnonzero(wrong)
    for row in np.flatnonzero(refused):
        with np.errstate(all="ignore"):
            values = gk.Tensor(type, x[row].shape, expected[row]).dequantize()
        # libggml's values are not finite, or a value that is too large became 0.
        lost = ~np.isfinite(values) | ((np.abs(x[row]) > 2**28) & (values == 0))
        assert lost.any(), row


@pytest.mark.parametrize("type", TYPES)
def test_error_of_normal_values(type: str) -> None:
    x = np.random.default_rng(1).standard_normal((64, 512)).astype(np.float32)
    error = gk.quantize(x, type).dequantize() - x
    assert np.sqrt(np.mean(error**2)) < ERRORS[type]


@given(st.integers(0, 11), st.integers(0, 5), st.sampled_from(TYPES))
def test_a_block_is_the_same_wherever_it_lies(blocks: int, shift: int, type: str) -> None:
    x = storable(awkward_groups(blocks, seed=blocks))
    kind = gk.types.get(type)
    size = blocks * 256 // kind.block_size * kind.block_bytes
    room = np.full(size + shift + 1, 77, np.uint8)
    gk.quantize(x, type, out=room[shift : shift + size])
    alone = [gk.quantize(row, type).data for row in x]
    assert np.array_equal(room[shift : shift + size], np.concatenate([*alone, room[:0]]))
    assert (room[:shift] == 77).all()
    assert room[-1] == 77


@pytest.mark.parametrize("type", TYPES)
def test_threads_share_the_work(type: str) -> None:
    x = storable(awkward_groups(601, seed=3))
    assert np.array_equal(gk.quantize(x, type).data, gk.quantize(x, type, threads=1).data)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("source", [np.float16, np.float64])
def test_from_other_numbers(type: str, source: type[np.floating]) -> None:
    x: NDArray[np.float32] = np.random.default_rng(2).standard_normal((9, 256)).astype(np.float16)
    found = gk.quantize(x.astype(source), type).data
    assert np.array_equal(found, gk.quantize(x.astype(np.float32), type).data)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 255, 256, 511, 77_777, 99_999])
def test_values_that_are_not_finite_are_refused_with_their_index(
    type: str, bad: float, at: int
) -> None:
    x = np.full(391 * 256, 0.5, np.float32)
    x[at] = bad
    x[-1] = np.nan
    with pytest.raises(ValueError, match=rf"tensor 'w' holds {bad} at \({at // 256}, {at % 256}\)"):
        gk.quantize(x.reshape(-1, 256), type, name="w")


@pytest.mark.parametrize("type", TYPES)
def test_zeros_stay_zeros(type: str) -> None:
    x = np.zeros((3, 512), np.float32)
    x[1] = -0.0
    assert (gk.quantize(x, type).dequantize() == 0).all()


@pytest.mark.parametrize("type", WEIGHED)
def test_important_columns_get_smaller_errors(type: str) -> None:
    x = np.random.default_rng(3).standard_normal((128, 512)).astype(np.float32)
    importance = np.where(np.arange(512) % 4 == 0, np.float32(100), np.float32(1))
    squares = (gk.quantize(x, type, importance=importance).dequantize() - x) ** 2
    plain = (gk.quantize(x, type).dequantize() - x) ** 2
    assert (squares * importance).mean() < (plain * importance).mean()


@pytest.mark.parametrize("type", WEIGHED)
@pytest.mark.parametrize("source", ["f16", "q8_0"])
def test_by_importance_from_other_types(type: str, source: str) -> None:
    x = np.random.default_rng(4).standard_normal((70, 768)).astype(np.float32)
    tensor = gk.quantize(x, source)
    weights = importances(768)
    found = gk.quantize(tensor, type, importance=weights)
    alone = gk.quantize(tensor.dequantize(), type, importance=weights, threads=1)
    assert np.array_equal(found.data, alone.data)


@pytest.mark.parametrize("type", ["q4_0", "q4_K", "iq4_nl"])
@pytest.mark.parametrize("at", [0, 767, 768, 70_000])
def test_by_importance_what_is_not_finite_is_named(type: str, at: int) -> None:
    x = np.full((100, 768), 0.5, np.float32)
    x.reshape(-1)[at] = np.inf
    x[-1, -1] = np.nan
    with pytest.raises(ValueError, match=rf"the array holds inf at \({at // 768}, {at % 768}\)"):
        gk.quantize(x, type, importance=importances(768))


def test_importance_is_checked() -> None:
    x = np.ones((2, 256), np.float32)
    for bad in (-1.0, np.nan, np.inf):
        weights = np.ones(256, np.float32)
        weights[7] = bad
        with pytest.raises(ValueError, match="importance must be finite and not negative"):
            gk.quantize(x, "q4_K", importance=weights)
    with pytest.raises(ValueError, match=r"importance has shape \(255,\), not \(256,\)"):
        gk.quantize(x, "q4_K", importance=np.ones(255))
    with pytest.raises(gk.UnsupportedTypeError, match="quantizing to q8_0 can't use importance"):
        gk.quantize(x, "q8_0", importance=np.ones(256))
    assert gk.quantize(x[:0], "q4_K", importance=np.ones(256)).nbytes == 0
