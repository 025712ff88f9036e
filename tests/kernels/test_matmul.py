"""Matmul with weights of every type in every shape, compared with numpy."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ggmlkit as gk
import matrices
from blocks import LEGACY, SEARCHED, TYPES

GROUPED = [*SEARCHED, "mxfp4", "q2_0"]  # nested scales, lists of values, two bits
EIGHT_BIT = 1 / 127  # activations lose at most half a step of their block's largest value


def reference(x: np.ndarray, w: gk.Tensor) -> np.ndarray:
    """The product in float64, with activations quantized to 8 bits as the kernels do it."""
    blocks = x.reshape(*x.shape[:-1], x.shape[-1] // 32, 32)
    largest = np.abs(blocks).max(-1, keepdims=True)
    inverse = np.divide(np.float32(127), largest, where=largest > 0, out=np.zeros_like(largest))
    q = np.rint(blocks * inverse).astype(np.float64) * (largest.astype(np.float64) / 127)
    return q.reshape(x.shape) @ w.dequantize().astype(np.float64).T


def assert_product(y: np.ndarray, x: np.ndarray, w: gk.Tensor) -> None:
    """Asserts that y is x · wᵀ, up to the order of sums, or as accurate as bfloat16."""
    n = matrices.multiplied(len(x))
    np.testing.assert_allclose(y[n:], reference(x[n:], w), rtol=2e-5, atol=2e-4)
    if n == 0 or y.size == 0:
        return
    values, first = w.dequantize().astype(np.float64), x[:n].astype(np.float64)
    wrong = np.abs(y[:n] - first @ values.T)
    assert (wrong <= 2.01 * matrices.HALF_STEP * (np.abs(first) @ np.abs(values).T)).all()
    assert np.mean(wrong**2) <= matrices.HALF_STEP**2 * np.mean(first**2 @ (values**2).T)


@settings(deadline=None, max_examples=100)
@given(
    st.integers(0, 40),  # two tiles of sixteen rows, and some
    st.integers(1, 5),
    st.integers(0, 19),  # panels of every width
    st.sampled_from(["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q5_0_v1", "q5_1_v1"]),
)
def test_quantized_weights_in_any_shape(rows: int, blocks: int, tokens: int, name: str) -> None:
    rng = np.random.default_rng(rows + 100 * blocks + tokens)
    w = gk.quantize(rng.standard_normal((rows, 32 * blocks)), name)
    x = rng.standard_normal((tokens, 32 * blocks)).astype(np.float32)
    y = gk.matmul(x, w)
    assert y.shape == (tokens, rows)
    assert_product(y, x, w)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 40), st.integers(1, 3), st.integers(0, 19), st.sampled_from(GROUPED))
def test_grouped_weights_in_any_shape(rows: int, blocks: int, tokens: int, name: str) -> None:
    rng = np.random.default_rng(rows + 100 * blocks + tokens)
    w = gk.quantize(rng.standard_normal((rows, 256 * blocks)), name)
    x = rng.standard_normal((tokens, 256 * blocks)).astype(np.float32)
    y = gk.matmul(x, w)
    assert y.shape == (tokens, rows)
    assert_product(y, x, w)


@pytest.mark.parametrize("name", GROUPED)
def test_a_grouped_weight_is_that_of_the_file(name: str) -> None:
    # A single activation: quantizing doesn't change it, and the product is one column.
    rng = np.random.default_rng(2)
    w = gk.quantize(rng.standard_normal((21, 512)), name)
    columns = rng.integers(0, 512, 19)
    x = np.zeros((19, 512), np.float32)
    x[np.arange(19), columns] = 127
    expected = 127 * w.dequantize()[:, columns].T
    y, n = gk.matmul(x, w), matrices.multiplied(19)
    np.testing.assert_allclose(y[n:], expected[n:], rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(y[:n], expected[:n], rtol=matrices.HALF_STEP, atol=1e-4)


@pytest.mark.parametrize("name", ["f32", "f16", "q4_0", "q6_K"])
@pytest.mark.parametrize("pack", [False, True])
def test_weights_without_columns(name: str, pack: bool) -> None:
    w = gk.Tensor(name, (4, 0), np.empty(0, np.uint8))
    for tokens in (0, 1, 20):
        y = gk.matmul(np.empty((tokens, 0), np.float32), gk.PackedMatrix(w) if pack else w)
        assert y.tolist() == [[0.0] * 4] * tokens


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1e30])
def test_scales_of_mxfp4_reach_as_far_as_floats(scale: float) -> None:
    w = gk.quantize(scale * np.random.default_rng(3).standard_normal((9, 64)), "mxfp4")
    x = np.random.default_rng(4).standard_normal((3, 64)).astype(np.float32)
    expected = reference(x, w)
    assert np.abs(expected).max() > scale
    np.testing.assert_allclose(gk.matmul(x, w), expected, rtol=2e-5, atol=1e-4 * scale)


@pytest.mark.parametrize("name", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("cols", [1, 7, 8, 33, 576])
@pytest.mark.parametrize("rows", [1, 3, 4, 9])
@pytest.mark.parametrize("tokens", [1, 2, 3, 7])
def test_float_weights(name: str, cols: int, rows: int, tokens: int) -> None:
    rng = np.random.default_rng(cols)
    w = gk.quantize(rng.standard_normal((rows, cols)), name)
    x = rng.standard_normal((tokens, cols)).astype(np.float32)
    expected = x.astype(np.float64) @ w.dequantize().astype(np.float64).T
    np.testing.assert_allclose(gk.matmul(x, w), expected, rtol=1e-5, atol=1e-5)


def test_the_extreme_integers_do_not_overflow() -> None:
    # All weights and activations have the largest values, of both signs: 16-bit sums at the limit.
    for name in ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"]:
        for sign in (1, -1):
            w = gk.quantize(np.full((32, 64), sign, np.float32), name)
            for x_sign in (1, -1):
                x = np.full((9, 64), x_sign, np.float32)
                np.testing.assert_allclose(gk.matmul(x, w), reference(x, w), rtol=1e-5)
    # A q8_0 file can hold -128, which the quantizer never writes.
    data = gk.quantize(np.ones((32, 32), np.float32), "q8_0").data.reshape(32, 34).copy()
    data[:, 2:] = 0x80
    w = gk.Tensor("q8_0", (32, 32), data.reshape(-1))
    x = np.linspace(-1, 1, 64, dtype=np.float32).reshape(2, 32)
    np.testing.assert_allclose(gk.matmul(x, w), reference(x, w), rtol=1e-5)


@pytest.mark.parametrize("name", [*TYPES, *LEGACY])
def test_operator(name: str) -> None:
    rng = np.random.default_rng(0)
    w = gk.quantize(rng.standard_normal((16, 64)), name)
    x = rng.standard_normal((2, 3, 64)).astype(np.float32)
    y = x @ w.T
    assert y.shape == (2, 3, 16)
    np.testing.assert_allclose(y, x @ w.dequantize().T, atol=64 * EIGHT_BIT)


@pytest.mark.parametrize("name", [*TYPES, *LEGACY, *GROUPED])
@pytest.mark.parametrize("tokens", [1, 9])
def test_packed_weights_give_the_same_bits(name: str, tokens: int) -> None:
    rng = np.random.default_rng(1)
    w = gk.quantize(rng.standard_normal((37, 256)), name)
    x = rng.standard_normal((tokens, 256)).astype(np.float32)
    expected = gk.matmul(x, w)
    packed = gk.PackedMatrix(w)
    del w  # float weights are still a view of its data
    np.testing.assert_array_equal(gk.matmul(x, packed, threads=1), expected)
    np.testing.assert_array_equal(x @ packed.T, expected)
    assert packed.shape == (37, 256)
    assert name in repr(packed)


@pytest.mark.parametrize("name", [*TYPES, *GROUPED, "f16", "bf16", "f32"])
@pytest.mark.parametrize("tokens", [4, 16, 37])
def test_a_token_is_the_same_among_others(name: str, tokens: int) -> None:
    """With more columns than any set expands at a time, and some tiles that stand alone."""
    rng = np.random.default_rng(7)
    w = gk.PackedMatrix(gk.quantize(rng.standard_normal((59, 3328)), name))
    x = rng.standard_normal((tokens, 3328)).astype(np.float32)
    together = gk.matmul(x, w)
    alone = np.concatenate([gk.matmul(x[t : t + 1], w) for t in range(tokens)])
    n = matrices.multiplied(tokens)  # in bfloat16, on AMX
    np.testing.assert_array_equal(together[n:], alone[n:])


@pytest.mark.parametrize("name", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
@pytest.mark.parametrize("cols", [1024, 1056, 4256])
def test_long_rows_as_stored_give_the_bits_of_packed_ones(name: str, cols: int) -> None:
    rng = np.random.default_rng(2)
    w = gk.quantize(rng.standard_normal((37, cols)), name)
    x = rng.standard_normal((1, cols)).astype(np.float32)
    np.testing.assert_array_equal(gk.matmul(x, w), gk.matmul(x, gk.PackedMatrix(w)))


@pytest.mark.parametrize("name", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", *GROUPED])
def test_packing_takes_about_the_tensors_memory(name: str) -> None:
    w = gk.quantize(np.ones((512, 1024), np.float32), name)
    assert w.nbytes <= gk.PackedMatrix(w).nbytes < 1.12 * w.nbytes


def test_float_matrices_are_used_in_place() -> None:
    assert gk.PackedMatrix(gk.quantize(np.ones((4, 256)), "f32")).nbytes == 0


def test_two_threads_at_once() -> None:
    rng = np.random.default_rng(0)
    w = gk.quantize(rng.standard_normal((512, 256)), "q4_0")
    x = rng.standard_normal((9, 256)).astype(np.float32)
    expected = gk.matmul(x, w, threads=1)
    wrong = []

    def work() -> None:
        for _ in range(50):
            if not np.array_equal(gk.matmul(x, w), expected):
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_a_forked_child_has_its_own_threads() -> None:
    code = (
        "import os, numpy as np, ggmlkit as gk\n"
        "w = gk.quantize(np.ones((512, 256)), 'q4_0'); x = np.ones((4, 256), 'f')\n"
        "y = x @ w.T\n"
        "pid = os.fork()\n"
        "ok = np.array_equal(x @ w.T, y)\n"
        "if pid == 0: os._exit(0 if ok else 1)\n"
        "assert ok and os.waitpid(pid, 0)[1] == 0\n"
    )
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, timeout=60, env=os.environ
    )


def test_shapes_that_do_not_fit_are_refused() -> None:
    w = gk.quantize(np.ones((4, 64)), "q4_0")
    with pytest.raises(ValueError, match="does not fit"):
        gk.matmul(np.ones((2, 32)), w)
    with pytest.raises(ValueError, match="not a matrix"):
        gk.matmul(np.ones(64), gk.quantize(np.ones(64), "q4_0"))
    with pytest.raises(ValueError, match="not a matrix"):
        gk.PackedMatrix(gk.quantize(np.ones(64), "q4_0"))
    with pytest.raises(ValueError, match="does not fit"):
        gk.matmul(np.ones((2, 32)), gk.PackedMatrix(w))
