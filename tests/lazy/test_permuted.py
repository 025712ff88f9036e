"""The row order of q and k."""

from __future__ import annotations

import numpy as np
import pytest

from ggmlkit.errors import ConversionError
from ggmlkit.lazy import permuted as permute
from ggmlkit.quantizing import quantize
from ggmlkit.tensor import Tensor


def matrix(rows: int, type: str = "f32") -> Tensor:
    values = np.random.default_rng(0).standard_normal((rows, 64), np.float32)
    return quantize(values, type)


def test_halves_become_neighbours() -> None:
    values = np.repeat(np.arange(8, dtype=np.float32)[:, None], 32, axis=1)
    moved = permute.hf_to_meta(quantize(values, "f32"), heads=2).numpy()
    assert moved[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize("heads", [1, 3, 6])
def test_the_order_of_the_formula(heads: int) -> None:
    tensor = matrix(48)
    expected = tensor.numpy().reshape(heads, 2, 48 // heads // 2, 64).swapaxes(1, 2)
    assert np.array_equal(permute.hf_to_meta(tensor, heads).numpy(), expected.reshape(48, 64))


@pytest.mark.parametrize("type", ["f32", "f16", "bf16", "q8_0", "q5_0", "q4_0"])
def test_there_and_back_and_rows_stay_whole(type: str) -> None:
    tensor = matrix(48, type)
    moved = permute.hf_to_meta(tensor, 3)
    assert np.array_equal(permute.meta_to_hf(moved, 3).data, tensor.data)
    floats = permute.hf_to_meta(quantize(tensor.dequantize(), "f32"), 3)
    assert np.array_equal(moved.dequantize(), floats.numpy())


@pytest.mark.parametrize("heads", [0, 5, 48])
def test_rows_that_do_not_divide_into_heads(heads: int) -> None:
    with pytest.raises(ConversionError, match="does not divide"):
        permute.hf_to_meta(matrix(48), heads)
