"""Scales of blocks apart from the codes, and put back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ggmlkit as gk
from ggmlkit import types
from ggmlkit.calibration.scales import rounded_scales, scale_offsets, terms, with_scales
from ggmlkit.tensor import Tensor

NORMAL = ["q4_0", "q4_1", "q5_0", "q5_1", "q8_0", "q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "iq4_nl"]
OTHERS = ["iq1_s", "iq2_xxs", "iq2_xs", "iq2_s", "iq3_xxs", "iq3_s", "iq4_xs", "tq1_0", "tq2_0"]
WITHOUT = ["f32", "f16", "bf16", "mxfp4", "iq1_m"]


def matrix(kind: str) -> Tensor:
    return gk.quantize(np.random.default_rng(1).normal(0, 1, (4, 512)), kind)


def value_of(found: list[Any], columns: int) -> Any:
    total: Any = 0
    for term in found:
        part = term.scales[..., None] * (term.factors / np.float32(term.unit))
        part = part.reshape(len(part), -1)
        total = total + part.repeat(columns // part.shape[1], -1)
    return total


@pytest.mark.parametrize("kind", NORMAL + OTHERS)
def test_terms_add_up_to_the_values(kind: str) -> None:
    tensor = matrix(kind)
    np.testing.assert_allclose(value_of(terms(tensor), 512), tensor.dequantize(), rtol=1e-6)


@pytest.mark.parametrize("kind", NORMAL + OTHERS)
def test_the_same_scales_give_the_same_bytes(kind: str) -> None:
    tensor = matrix(kind)
    again = with_scales(tensor, [term.scales for term in terms(tensor)])
    np.testing.assert_array_equal(again.data, tensor.data)


@pytest.mark.parametrize("kind", NORMAL + OTHERS)
def test_twice_the_scales_are_twice_the_values(kind: str) -> None:
    tensor = matrix(kind)
    twice = with_scales(tensor, [2 * term.scales for term in terms(tensor)])
    np.testing.assert_array_equal(twice.dequantize(), 2 * tensor.dequantize())
    assert twice.type == tensor.type


@pytest.mark.parametrize("kind", WITHOUT)
def test_types_without_half_scales_have_no_terms(kind: str) -> None:
    assert terms(matrix(kind)) == []
    assert scale_offsets(types.get(kind)) == ()


def test_factors_take_little_memory() -> None:
    (scale, least) = terms(matrix("q4_K"))
    assert scale.factors.shape == (4, 2, 256)
    assert least.factors.shape == (4, 2, 8)
    assert least.factors.dtype == np.int8


def test_factors_of_the_largest_codes() -> None:
    data = np.zeros(210, np.uint8)
    data[192:208] = 0x80  # scales of -128, beside codes of -32
    data[208:] = np.array([0.5], "<f2").view(np.uint8)
    (term,) = terms(Tensor("q6_K", (1, 256), data))
    assert (term.factors == 4096).all()


def test_scales_stay_finite() -> None:
    found = rounded_scales(np.array([1e6, -1e6, 1.0], np.float32))
    np.testing.assert_array_equal(found, [65504, -65504, 1])
