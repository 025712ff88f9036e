"""Quantize and dequantize, compared bit for bit with the gguf package, and in edge cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ggmlkit as gk
import gguf
from blocks import LEGACY, TYPES, awkward
from ggmlkit import types
from ggmlkit.quantization import NAMES


@pytest.mark.parametrize("name", TYPES)
def test_bits_equal_the_gguf_package(name: str) -> None:
    kind = gguf.GGMLQuantizationType[name.upper()]
    for seed in range(4):
        x = awkward(70_000, seed)
        with np.errstate(all="ignore"):
            expected = gguf.quants.quantize(x, kind)
            values = gguf.quants.dequantize(expected, kind)
        q = gk.quantize(x, name)
        assert np.array_equal(q.data, expected.view(np.uint8).reshape(-1))
        with np.errstate(all="ignore"):
            found = q.dequantize()
        assert np.array_equal(found.view(np.uint32), values.view(np.uint32))


@pytest.mark.parametrize("name", ["q4_0", "q5_0"])
def test_zeros_of_either_sign_store_the_reference_scale(name: str) -> None:
    # The reference starts its search with +0, so d = 0 / -8 = -0, whatever the signs of the zeros.
    x = np.where(np.arange(64) % 3 == 0, np.float32(-0.0), np.float32(0.0)).reshape(2, 32)
    q = gk.quantize(x, name).data.reshape(2, -1)
    assert q[:, :2].tobytes() == b"\x00\x80" * 2


@pytest.mark.parametrize("name", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", *LEGACY])
def test_error_is_within_a_step(name: str) -> None:
    x = np.random.default_rng(1).standard_normal((64, 96)).astype(np.float32)
    spread = 2 * np.abs(x).max()
    levels = 2 ** int(name[1]) - 1
    assert np.abs(gk.quantize(x, name).dequantize() - x).max() <= spread / levels * 1.01


@pytest.mark.parametrize("name", ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("at", [0, 31, 32, 77_777])
def test_values_that_are_not_finite_are_refused_with_their_index(
    name: str, bad: float, at: int
) -> None:
    x = np.zeros(100_000, np.float32)
    x[at] = bad
    x[-1] = np.nan
    with pytest.raises(ValueError, match=rf"tensor 'w' holds {bad} at \({at // 32}, {at % 32}\)"):
        gk.quantize(x.reshape(-1, 32), name, name="w")


@given(st.integers(0, 5), st.integers(0, 9), st.sampled_from([*TYPES, *LEGACY]))
def test_any_whole_number_of_blocks_in_any_layout(rows: int, blocks: int, name: str) -> None:
    n = 32 * blocks
    base = np.random.default_rng(rows * 10 + blocks).standard_normal((n, 2 * rows + 1))
    strided = base.astype(np.float32).T[: 2 * rows : 2]
    q = gk.quantize(strided, name)
    assert q.shape == (rows, n)
    plain = gk.quantize(np.ascontiguousarray(strided), name)
    assert np.array_equal(q.data, plain.data)
    assert q.dequantize().shape == (rows, n)


@pytest.mark.parametrize("name", TYPES)
def test_any_alignment(name: str) -> None:
    q = gk.quantize(np.linspace(-1, 1, 320, dtype=np.float32), name)
    for shift in range(1, 5):
        room = np.empty(q.nbytes + shift, np.uint8)
        room[shift:] = q.data
        moved = gk.Tensor(name, q.shape, room[shift:])
        assert np.array_equal(moved.dequantize(), q.dequantize())


def test_ragged_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="33 elements is not a multiple of the q4_0 block size 32"):
        gk.quantize(np.zeros((2, 33)), "q4_0")


def test_unknown_and_unwritable_types_are_named() -> None:
    with pytest.raises(gk.UnsupportedTypeError, match="there is no tensor type 'q9_9'"):
        gk.quantize([0.0] * 32, "q9_9")
    with pytest.raises(gk.UnsupportedTypeError, match="no kernel to write nvfp4"):
        gk.quantize(np.zeros(256), "nvfp4")
    with pytest.raises(gk.UnsupportedTypeError, match="'q8-0'; did you mean 'q8_0'"):
        gk.quantize([0.0] * 32, "q8-0")
    with pytest.raises(gk.UnsupportedTypeError, match="'x'; this build writes f32, f16") as told:
        gk.quantize([0.0] * 32, "x")
    assert "_v1" not in str(told.value)  # retired layouts are not for new files


@pytest.mark.parametrize("name", [name for name in NAMES if types.is_mixture(name)])
def test_a_mixture_is_not_a_type(name: str) -> None:
    with pytest.raises(gk.UnsupportedTypeError, match="is a mixture of types for whole files"):
        gk.quantize(np.zeros(256), name)
    assert set(NAMES) - {each.name for each in types.ALL} == set(filter(types.is_mixture, NAMES))


def test_dequantize_into_an_array() -> None:
    q = gk.quantize(np.arange(64, dtype=np.float32).reshape(2, 32), "q8_0")
    out = np.empty((2, 32), np.float32)
    assert q.dequantize(out=out) is out
    half = np.empty((2, 32), np.float16)
    q.dequantize(out=half)
    assert np.array_equal(half, out.astype(np.float16))
    with pytest.raises(ValueError, match="out has shape"):
        q.dequantize(out=np.empty(64, np.float32))


def test_torch_and_bfloat16_are_accepted() -> None:
    import torch

    x = torch.linspace(-1, 1, 64, requires_grad=True)
    assert np.array_equal(gk.quantize(x, "q4_0").data, gk.quantize(x.detach().numpy(), "q4_0").data)
    assert gk.quantize(x.to(torch.bfloat16), "bf16").type.name == "bf16"
