"""Weights that a type can't hold are refused; the error names the first in row order."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import ggmlkit as gk
from ggmlkit.errors import ImportanceError, UnstorableError

WRITABLE = [t.name for t in gk.types.ALL if t.can_quantize]
# Types whose scales are float16, and weights whose scales are too large for it.
HALF_SCALES = {
    "q4_0": 6e5, "q4_1": 1.1e6, "q5_0": 1.2e6, "q5_1": 2.2e6, "q8_0": 8.4e6, "q5_0_v1": 1.2e6,
    "q5_1_v1": 2.2e6, "q4_2": 6e5, "q4_3": 1.1e6, "q2_K": 3.1e6, "q3_K": 8.6e6, "q4_K": 6.5e7,
    "q5_K": 1.4e8, "q6_K": 2.8e8, "iq4_nl": 8.5e6, "iq4_xs": 2.8e8, "tq1_0": 6.6e4, "tq2_0": 6.6e4,
    "q2_0": 6.6e4, "iq1_s": 1.2e6, "iq2_xxs": 1.3e7, "iq2_xs": 1.25e7, "iq2_s": 1.23e7,
    "iq3_xxs": 2.6e7, "iq3_s": 3e7,
}  # fmt: skip
GROUPS = ["q2_K", "q3_K", "q4_K", "q5_K", "q6_K", "iq4_xs"]
WEIGHED = [t.name for t in gk.types.ALL if t.takes_importance]


def test_every_type_is_known_here() -> None:
    wide = {"q4_0_v1", "q4_0_v2", "q4_1_v1", "q4_1_v2", "q8_0_v2"}  # float32 scales
    quantized = {name for name in WRITABLE if gk.types.get(name).is_quantized}
    # With one large weight in a block, iq1_m's search comes to scales that don't grow with it.
    assert quantized == {*HALF_SCALES, *wide, "mxfp4", "iq1_m"}


def test_a_scale_of_iq1_m_that_float16_cannot_hold() -> None:
    x = normal(3, 512)
    x[1, 256:] *= np.float32(1e7)
    assert refused(x, "iq1_m").index[:1] == (1,)


def normal(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def refused(x: object, type: str, **settings: object) -> UnstorableError:
    with pytest.raises(UnstorableError) as caught:
        gk.quantize(x, type, name="w", **settings)  # type: ignore[arg-type]
    return caught.value


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("type", HALF_SCALES)
def test_a_scale_that_float16_cannot_hold(type: str, sign: int) -> None:
    x = normal(40, 512)
    x[38, 301] = sign * HALF_SCALES[type]
    x[39, 511] = np.inf
    for threads in (1, 2, 5):
        error = refused(x, type, threads=threads)
        assert (error.tensor, error.index, error.type) == ("w", (38, 301), type)
        assert error.value == x[38, 301]
        assert "f32" in error.holders
        assert type not in error.holders
    for holder in error.holders:
        assert np.isfinite(gk.quantize(x[38], holder).dequantize()).all(), holder


@pytest.mark.parametrize("type", HALF_SCALES)
def test_weights_that_it_can_hold_are_stored(type: str) -> None:
    x = normal(3, 512)
    x[1, 301] = HALF_SCALES[type] / 1.25
    found = gk.quantize(x, type).dequantize()
    assert np.isfinite(found).all()
    assert abs(found[1, 301] / x[1, 301] - 1) < 0.35


@pytest.mark.parametrize("type", GROUPS)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_search_that_overflows_loses_no_weight_silently(type: str, weighted: bool) -> None:
    # The group of the large weight then has a scale of zero, while the others' scales are finite.
    for power in (9, 13, 17, 18, 19, 20, 26, 38):
        x = normal(2, 512)
        x[1, 300] = 10.0**power
        importance = np.ones(512) if weighted else None
        assert refused(x, type, importance=importance).index == (1, 300)


@pytest.mark.parametrize("type", ["q4_0_v1", "q4_0_v2", "q4_1_v1", "q4_1_v2", "q8_0_v2"])
def test_float32_scales_reach_as_far_as_floats(type: str) -> None:
    x = normal(2, 64) * np.float32(1e36)
    assert np.isfinite(gk.quantize(x, type).dequantize()).all()
    if "4_1" in type:  # whose range has no float
        x[1, 40:42] = 3.3e38, -3.3e38
        assert refused(x, type).index == (1, 40)


@pytest.mark.parametrize(("type", "least"), [("f16", 65520.0), ("bf16", 3.3961776e38)])
@pytest.mark.parametrize("shape", [(40_000,), (400, 100)])
def test_floats_that_become_infinite(type: str, least: float, shape: tuple[int, ...]) -> None:
    x = np.zeros(shape, np.float32)
    x.reshape(-1)[[3, 5]] = np.nan, -np.inf  # these types can hold them
    x.reshape(-1)[7] = np.nextafter(np.float32(least), np.float32(0))
    kept = gk.quantize(x, type).dequantize().reshape(-1)
    assert np.isnan(kept[3])
    assert np.isinf(kept[5])
    assert np.isfinite(kept[7])
    x.reshape(-1)[[20_007, 39_999]] = -least, least
    for threads in (1, 4):
        error = refused(x, type, threads=threads)
        assert error.index == tuple(np.unravel_index(20_007, shape))
        assert error.value == np.float32(-least)


def test_of_a_block_with_both_the_number_comes_after_blocks_before_it() -> None:
    x = normal(1, 4096)
    x[0, 4000] = np.nan
    x[0, 3990] = 1e9  # in the block before
    for threads in (1, 3):
        assert refused(x, "q4_0", threads=threads).index == (0, 3990)
    x[0, 3990] = 0
    assert refused(x, "q4_0").index == (0, 4000)


@pytest.mark.parametrize("type", ["f32", "f16", "q4_0", "q6_K"])
def test_doubles_beyond_float32(type: str) -> None:
    x = np.zeros((2, 512))
    x[1, 9] = -1e300
    error = refused(x, type)
    assert (error.index, error.value, error.holders) == ((1, 9), -1e300, ())
    tensor = gk.Tensor("f64", x.shape, x.reshape(-1).view(np.uint8), "w")
    with pytest.raises(UnstorableError, match=rf"-1e\+300 at \(1, 9\), too large for {type}"):
        tensor.astype(type)


def test_float16_and_bfloat16_are_read_where_they_are() -> None:
    import torch

    x = torch.zeros(6, 512, dtype=torch.bfloat16)
    x[5, 500] = 1e30
    assert refused(x, "q4_K").index == (5, 500)
    assert refused(x.double() * 1e200, "f32").index == (5, 500)
    assert np.isfinite(gk.quantize(np.full((2, 512), 65504, np.float16), "q4_K").dequantize()).all()


@pytest.mark.parametrize("type", WRITABLE)
@pytest.mark.parametrize("value", [0.0, -0.0, 1e-42, -1.2e-38, 2.3e-38, 1e-30])
def test_small_values_have_finite_blocks(type: str, value: float) -> None:
    x = np.full((2, 512), value, np.float32)
    stored = gk.quantize(x, type)
    assert np.abs(stored.dequantize() - x).max() <= abs(value) * 1.01
    if type == "mxfp4":
        assert (stored.data.reshape(-1, 17)[:, 0] != 0xFF).all()  # no number, by its definition


@pytest.mark.parametrize("type", WEIGHED)
def test_importance_of_zeros_is_ignored(type: str) -> None:
    x = normal(6, 512)
    assert np.array_equal(
        gk.quantize(x, type, importance=np.zeros(512)).data, gk.quantize(x, type).data
    )


@pytest.mark.parametrize("type", WEIGHED)
def test_importance_of_any_size_is_relative(type: str) -> None:
    x, importance = normal(6, 512), np.abs(normal(512, seed=1)).astype(np.float64)
    expected = gk.quantize(x, type, importance=importance).data
    for power in (-300, -140, -100, -45, -20, 20, 45, 100, 126, 900):
        scaled = np.ldexp(importance.astype(np.float32).astype(np.float64), power)
        assert np.array_equal(gk.quantize(x, type, importance=scaled).data, expected), power


@pytest.mark.parametrize("type", ["q4_0", "q4_K", "iq4_nl"])
def test_each_expert_has_its_own_importance(type: str) -> None:
    x = normal(3, 8, 512)
    importance = np.abs(normal(3, 512, seed=1)) ** 4
    importance[1] = 0
    found = gk.quantize(x, type, importance=importance)
    alone = [
        gk.quantize(x[0], type, importance=importance[0]).data,
        gk.quantize(x[1], type).data,
        gk.quantize(x[2], type, importance=importance[2]).data,
    ]
    assert np.array_equal(found.data, np.concatenate(alone))
    # All in one row, as in imatrix.dat; and one for all experts.
    assert np.array_equal(
        gk.quantize(x, type, importance=importance.reshape(1, -1)).data, found.data
    )
    one = gk.quantize(x, type, importance=importance[2])
    flat = gk.quantize(x.reshape(24, 512), type, importance=importance[2])
    assert np.array_equal(one.data, flat.data)
    x[2, 7, 300] = 1e9
    assert refused(x, type, importance=importance).index == (2, 7, 300)


def test_importance_that_does_not_fit() -> None:
    for bad in (np.ones(500), np.ones((2, 512)), np.ones((512, 1)), np.ones(())):
        with pytest.raises(ImportanceError, match="has shape"):
            gk.quantize(normal(6, 512), "q4_K", importance=bad)
    for value in (np.nan, -1.0, np.inf):
        bad = np.ones((3, 512))
        bad[2, 7] = value
        with pytest.raises(ImportanceError, match=f"but is {value} at 1031"):
            gk.quantize(normal(3, 8, 512), "q4_K", importance=bad)
