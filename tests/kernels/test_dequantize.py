"""Current types that are not in test_quantize, dequantized from bytes of any value."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import ggmlkit as gk
import gguf

GRIDS = ["iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s"]
REFERENCE = [
    "q2_K", "q3_K", "q4_K", "q5_K", "q6_K", *GRIDS, "iq4_nl", "iq4_xs", "tq1_0", "tq2_0", "mxfp4",
    "nvfp4",
]  # fmt: skip
BYTES = {"q8_1": ("<f2", 0, 4), "q8_K": ("<f4", 0, 4)}  # dtype and place of the scale, quants
NUMBERS = {"i8": "i1", "i16": "<i2", "i32": "<i4", "i64": "<i8", "f64": "<f8"}

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]


def random_blocks(type: str, blocks: int, seed: int) -> gk.Tensor:
    """Blocks of random bytes, also as scales: some are infinite, some NaN."""
    kind = gk.types.get(type)
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 256, blocks * kind.block_bytes, np.uint8)
    return gk.Tensor(type, (blocks, kind.block_size), data)


def reference(tensor: gk.Tensor) -> Floats:
    if not tensor.size:
        return np.empty(tensor.shape, np.float32)
    kind = gguf.GGMLQuantizationType[tensor.type.name.upper()]
    blocks = tensor.data.reshape(len(tensor), -1)
    with np.errstate(all="ignore"):
        return np.asarray(gguf.quants.dequantize(blocks, kind))


def assert_same(found: Floats, expected: Floats) -> None:
    """Asserts the same bits, or NaN in both."""
    nan = np.isnan(expected)
    assert np.array_equal(np.isnan(found), nan)
    assert np.array_equal(found[~nan].view(np.uint32), expected[~nan].view(np.uint32))


@pytest.mark.parametrize("type", REFERENCE)
def test_bits_equal_the_gguf_package(type: str) -> None:
    for seed in range(3):
        tensor = random_blocks(type, 3000, seed)
        assert_same(tensor.dequantize(), reference(tensor))


@pytest.mark.parametrize("type", REFERENCE)
def test_every_byte_in_every_place(type: str) -> None:
    size = gk.types.get(type).block_bytes
    data = np.add.outer(np.arange(256), 7 * np.arange(size)).astype(np.uint8)
    tensor = gk.Tensor(type, (256, gk.types.get(type).block_size), data.reshape(-1))
    assert_same(tensor.dequantize(), reference(tensor))


@given(st.integers(0, 9), st.integers(0, 40), st.sampled_from(REFERENCE))
def test_any_number_of_blocks_at_any_address(blocks: int, shift: int, type: str) -> None:
    tensor = random_blocks(type, blocks, blocks)
    room = np.empty(tensor.nbytes + shift, np.uint8)
    room[shift:] = tensor.data
    out = np.full(tensor.size + 2, 7, np.float32)
    moved = gk.Tensor(type, tensor.shape, room[shift:])
    moved.dequantize(out=out[1:-1].reshape(tensor.shape))
    assert out[0] == out[-1] == 7
    assert_same(out[1:-1].reshape(tensor.shape), reference(tensor))


@pytest.mark.parametrize("type", BYTES)
def test_bytes_with_a_scale(type: str) -> None:
    dtype, scale_at, quants_at = BYTES[type]
    tensor = random_blocks(type, 500, 1)
    blocks = tensor.data.reshape(500, -1)
    width = np.dtype(dtype).itemsize
    scale = blocks[:, scale_at : scale_at + width].copy().view(dtype)
    quants = blocks[:, quants_at : quants_at + tensor.shape[-1]].view(np.int8)
    with np.errstate(all="ignore"):
        assert_same(tensor.dequantize(), scale.astype(np.float32) * quants.astype(np.float32))


def test_signs_with_a_scale() -> None:
    tensor = random_blocks("q1_0", 500, 1)
    blocks = tensor.data.reshape(500, -1)
    bits = np.unpackbits(blocks[:, 2:], axis=1, bitorder="little")
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    assert_same(tensor.dequantize(), np.where(bits == 1, scale, -scale))


def test_two_bits_with_a_scale() -> None:
    tensor = random_blocks("q2_0", 500, 1)
    blocks = tensor.data.reshape(500, -1)
    levels = np.stack([blocks[:, 2:] >> shift & 3 for shift in (0, 2, 4, 6)], axis=-1)
    scale = blocks[:, :2].copy().view("<f2").astype(np.float32)
    with np.errstate(all="ignore"):
        assert_same(tensor.dequantize(), scale * (levels.reshape(500, 64).astype(np.float32) - 1))


@pytest.mark.parametrize("type", NUMBERS)
def test_numbers_are_cast(type: str) -> None:
    tensor = random_blocks(type, 5000, 2)
    with np.errstate(all="ignore"):
        expected = tensor.data.view(NUMBERS[type]).astype(np.float32).reshape(5000, 1)
    assert_same(tensor.dequantize(), expected)
    assert tensor.numpy().dtype == np.dtype(NUMBERS[type])


def test_every_current_type_can_be_read() -> None:
    assert [t.name for t in gk.types.ALL if not t.can_dequantize] == []


@pytest.mark.parametrize("type", ["q4_K", "iq3_s", "tq1_0", "mxfp4"])
def test_rows_that_are_not_whole_blocks_are_refused(type: str) -> None:
    kind = gk.types.get(type)
    with pytest.raises(ValueError, match=f"not a multiple of the {type} block size"):
        gk.Tensor(type, (1, kind.block_size + 1), np.zeros(kind.block_bytes, np.uint8))
    with pytest.raises(ValueError, match="needs"):
        gk.Tensor(type, (1, kind.block_size), np.zeros(kind.block_bytes - 1, np.uint8))


@pytest.mark.parametrize("type", ["q4_K", "iq2_s", "nvfp4"])
def test_threads_share_the_work(type: str) -> None:
    tensor = random_blocks(type, 3001, 4)
    assert_same(tensor.dequantize(), tensor.dequantize(threads=1))


@pytest.mark.parametrize("type", ["q6_K", "iq4_nl", "i16"])
def test_into_another_type(type: str) -> None:
    kind = gk.types.get(type)
    rows = random_blocks(type, 256, 5)
    data = rows.data.reshape(256, -1)
    data[:, -2:] = data[:, :2] = 1  # finite scales, at either end
    tensor = gk.Tensor(type, (256 * kind.block_size,), data.reshape(-1))
    assert np.array_equal(tensor.astype("q8_0").data, gk.quantize(tensor.dequantize(), "q8_0").data)
