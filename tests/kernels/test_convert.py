"""Blocks to blocks: the same bits as through a float32 array, from any place in memory."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import ggmlkit as gk
from blocks import LEGACY, TYPES, awkward

TARGETS = ["f32", *TYPES, *LEGACY]


def by_way_of_floats(source: gk.Tensor, target: str) -> NDArray[np.uint8]:
    return gk.quantize(source.dequantize().copy(), target).data


def finite(blocks: int, type: str) -> gk.Tensor:
    x = awkward(blocks, seed=3)
    return gk.quantize(np.clip(x, -65504, 65504), type, name="w")


@pytest.mark.parametrize("source", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("target", TARGETS)
def test_floats_to_every_layout(source: str, target: str) -> None:
    tensor = finite(3001, source)
    assert np.array_equal(tensor.astype(target, threads=1).data, by_way_of_floats(tensor, target))
    assert np.array_equal(tensor.astype(target).data, tensor.astype(target, threads=1).data)


@pytest.mark.parametrize("source", ["q4_0", "q5_1", "q8_0", *LEGACY])
def test_quantized_to_quantized(source: str) -> None:
    tensor = finite(257, source)
    for target in ("q8_0", "f16"):
        assert np.array_equal(tensor.astype(target).data, by_way_of_floats(tensor, target))


@pytest.mark.parametrize("source", ["f32", "f16", "bf16", "q4_0"])
@pytest.mark.parametrize("shift", [1, 2, 6, 31])
def test_any_alignment_of_the_source(source: str, shift: int) -> None:
    tensor = finite(40, source)
    room = np.empty(tensor.nbytes + shift, np.uint8)
    room[shift:] = tensor.data
    moved = gk.Tensor(source, tensor.shape, room[shift:])
    assert np.array_equal(moved.astype("q5_1").data, tensor.astype("q5_1").data)


@pytest.mark.parametrize("source", ["f32", "f16", "bf16"])
@pytest.mark.parametrize("target", ["q4_0", "q5_1", "q8_0", "q4_1_v1", "q4_2"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 31, 255, 256, 77_777])
def test_the_first_value_that_is_not_finite_is_named(
    source: str, target: str, bad: float, at: int
) -> None:
    x = np.full(100_000, 0.5, np.float32)
    x[at] = bad
    x[at + 1] = np.nan
    tensor = gk.quantize(x.reshape(-1, 32), source, name="w")
    with pytest.raises(ValueError, match=rf"tensor 'w' holds {bad} at \({at // 32}, {at % 32}\)"):
        tensor.astype(target)


def test_small_floats_are_read_in_place() -> None:
    x = np.clip(awkward(100), -65504, 65504).astype(np.float16)
    assert np.array_equal(gk.quantize(x, "q4_0").data, gk.quantize(x.astype("f4"), "q4_0").data)
    import ml_dtypes

    b = x.astype(ml_dtypes.bfloat16)
    assert np.array_equal(gk.quantize(b, "q5_0").data, gk.quantize(b.astype("f4"), "q5_0").data)


def test_into_given_memory() -> None:
    x = awkward(64)
    room = np.zeros(64 * 18 + 2, np.uint8)
    result = gk.quantize(x, "q4_0", out=room[1:-1])
    assert np.shares_memory(result.data, room)
    assert np.array_equal(room[1:-1], gk.quantize(x, "q4_0").data)
    assert room[0] == room[-1] == 0
    with pytest.raises(ValueError, match="needs 1152 bytes, not 1151"):
        gk.quantize(x, "q4_0", out=room[:1151])


@pytest.mark.parametrize("name", ["f16", "bf16", "q4_0", "q5_1", "q8_0", "q4_3", "q4_1_v1"])
@pytest.mark.parametrize("shift", [0, 1, 4])
def test_results_larger_than_the_caches(name: str, shift: int) -> None:
    """Long results bypass the caches, if their alignment allows it."""
    n = 5 << 20
    part = gk.quantize(np.clip(awkward(n // 32 // 8), -65504, 65504), name)
    long = gk.Tensor(name, (n,), np.tile(part.data, 8))
    room = np.full(n + shift + 1, 7, np.float32)
    long.dequantize(out=room[shift : shift + n], threads=1)
    expected = np.tile(part.dequantize().reshape(-1), 8)
    assert np.array_equal(room[shift : shift + n].view(np.uint32), expected.view(np.uint32))
    assert (room[:shift] == 7).all()
    assert room[-1] == 7
