"""Attention over cached keys and values, compared with numpy on the rounded values."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ggmlkit import _core

F = NDArray[np.float32]
GROUP = 16
KINDS = ["f16", "q8_0", "q4_0"]
DIMS = [8, 12, 32, 40, 64, 80, 96, 128, 129]
ROWS = [1, 2, 3, 4, 5, 6, 7, 13]


def normal(*shape: int, seed: int = 0) -> F:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def as_cached(kind: str, x: F) -> F:
    """Rows rounded as in the cache."""
    if kind == "f16":
        return x.astype(np.float16).astype(np.float32)
    out = np.empty_like(x)
    least, most = (-127, 127) if kind == "q8_0" else (-8, 7)
    for j in range(0, x.shape[1], 32):
        block = x[:, j : j + 32]
        above, below = block.max(1, keepdims=True), block.min(1, keepdims=True)
        extreme = np.where(above >= -below, above, below)
        exact = np.abs(extreme) / np.float32(127) if kind == "q8_0" else extreme / np.float32(-8)
        scale = exact.astype(np.float16).astype(np.float32)
        inverse = np.divide(1, scale, where=scale != 0, out=np.zeros_like(scale))
        out[:, j : j + 32] = np.rint(block * inverse).clip(least, most) * scale
    return out


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", DIMS)
@pytest.mark.parametrize("rows", ROWS)
def test_scores_are_products_with_the_cached_keys(kind: str, d: int, rows: int) -> None:
    q, keys = normal(rows, d), normal(5 * GROUP - 3, d, seed=1)
    scores = np.full((rows, 5 * GROUP), np.nan, np.float32)
    _core.kv_scores(kind, q, keys, scores)
    expected = q.astype(np.float64) @ as_cached(kind, keys).T
    np.testing.assert_allclose(scores[:, : len(keys)], expected, atol=2e-6 * d)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("d", DIMS)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.parametrize("positions", [1, 16, 45])
def test_weighted_cached_values_are_added(kind: str, d: int, rows: int, positions: int) -> None:
    weights, values = normal(rows, positions), normal(positions, d, seed=1)
    out = normal(rows, d, seed=2)
    expected = out + weights.astype(np.float64) @ as_cached(kind, values)
    _core.kv_add_values(kind, weights, values, out)
    np.testing.assert_allclose(out, expected, atol=2e-6 * (positions + 1))


@pytest.mark.parametrize("d", DIMS)
def test_keys_are_transposed_and_values_as_they_are(d: int) -> None:
    x = normal(GROUP, d)
    half = x.astype(np.float16)
    assert _core.kv_groups("f16", x, True) == np.ascontiguousarray(half.T).tobytes()
    assert _core.kv_groups("f16", x, False) == half.tobytes()


@pytest.mark.parametrize("d", DIMS)
def test_bytes_of_4_bits_hold_two_elements_of_one_position(d: int) -> None:
    x = normal(GROUP, d)
    blocks = -(-d // 32)
    padded = np.zeros((GROUP, blocks, 32), np.float32)
    padded.reshape(GROUP, -1)[:, :d] = as_cached("q4_0", x)
    for as_keys in (True, False):
        group = np.frombuffer(_core.kv_groups("q4_0", x, as_keys), np.uint8)
        codes, scales = np.split(group, [GROUP * blocks * 16])
        scale = scales.view(np.float16).reshape(blocks, GROUP).T.astype(np.float32)
        if as_keys:  # (element pairs, positions): neighbours
            pairs = codes.reshape(blocks, 16, GROUP).transpose(2, 0, 1)
            levels = np.stack([pairs & 15, pairs >> 4], -1).reshape(GROUP, blocks, 32)
        else:  # (positions, blocks, bytes): elements 16 apart
            pairs = codes.reshape(GROUP, blocks, 16)
            levels = np.concatenate([pairs & 15, pairs >> 4], -1)
        levels = (levels.astype(np.int8) ^ 8) - 8
        np.testing.assert_array_equal(levels * scale[..., None], padded)


@pytest.mark.parametrize("x", [0.0, 1e-30, -1e-8, 6e4], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_tiny_and_large_rows(kind: str, x: float) -> None:
    values = np.full((3, 40), x, np.float32)
    out = np.zeros((1, 40), np.float32)
    _core.kv_add_values(kind, np.ones((1, 3), np.float32), values, out)
    np.testing.assert_allclose(out[0], 3 * as_cached(kind, values)[0], rtol=1e-6)


def test_shapes_are_checked() -> None:
    with pytest.raises(ValueError, match="shapes"):
        _core.kv_scores("f16", normal(2, 8), normal(3, 9), normal(2, 16))
    with pytest.raises(ValueError, match="shapes"):
        _core.kv_add_values("f16", normal(2, 4), normal(3, 8), normal(2, 8))
    with pytest.raises(ValueError, match="cached as q5_0; as f16, q8_0 or q4_0 they can"):
        _core.kv_scores("q5_0", normal(2, 8), normal(3, 8), normal(2, 16))
