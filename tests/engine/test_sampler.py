"""Sampling a token from logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ggmlkit import _core


def sampler(**changes: Any) -> _core.Sampler:
    settings: dict[str, Any] = {
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "min_p": 0.0,
        "repeat_penalty": 1.0,
        "frequency_penalty": 0.0,
        "presence_penalty": 0.0,
        "penalty_window": 64,
        "seed": 1,
    }
    return _core.Sampler(**{**settings, **changes})


LOGITS = np.log(np.array([0.4, 0.3, 0.2, 0.06, 0.04], np.float32))


def drawn(n: int = 4000, **changes: Any) -> NDArray[np.float64]:
    """Share of each of the five tokens among ``n`` draws."""
    s = sampler(**changes)
    return np.bincount([s.sample(LOGITS) for _ in range(n)], minlength=5) / n


def test_samples_follow_the_probabilities() -> None:
    np.testing.assert_allclose(drawn(), [0.4, 0.3, 0.2, 0.06, 0.04], atol=0.03)


def test_temperature_sharpens_and_flattens() -> None:
    for temperature in (0.5, 2.0):
        p = np.exp(LOGITS / temperature)
        np.testing.assert_allclose(drawn(temperature=temperature), p / p.sum(), atol=0.03)


def test_temperature_0_takes_the_first_most_likely_token() -> None:
    s = sampler(temperature=0)
    assert s.sample(np.array([1, 3, 3, 2], np.float32)) == 1


def test_top_k_keeps_k() -> None:
    np.testing.assert_allclose(drawn(top_k=2), [4 / 7, 3 / 7, 0, 0, 0], atol=0.03)


def test_top_p_keeps_the_token_that_crosses_the_sum() -> None:
    np.testing.assert_allclose(drawn(top_p=0.6), [4 / 7, 3 / 7, 0, 0, 0], atol=0.03)
    assert drawn(top_p=1e-6)[0] == 1


def test_min_p_compares_with_the_likeliest() -> None:
    np.testing.assert_allclose(drawn(min_p=0.4), [4 / 9, 3 / 9, 2 / 9, 0, 0], atol=0.03)


def test_penalties_change_recent_tokens() -> None:
    logits = np.array([2.0, 1.5, -1.0], np.float32)
    for changes in ({"repeat_penalty": 2.0}, {"presence_penalty": 0.6}):
        s = sampler(temperature=0, **changes)
        assert s.sample(logits) == 0
        s.accept(0)
        assert s.sample(logits) == 1
    s = sampler(temperature=0, frequency_penalty=0.3)
    s.accept(0)
    assert s.sample(logits) == 0
    s.accept(0)
    assert s.sample(logits) == 1


def test_penalties_forget_beyond_the_window() -> None:
    s = sampler(temperature=0, presence_penalty=10.0, penalty_window=2)
    logits = np.array([2.0, 1.0, 0.0], np.float32)
    s.accept(0)
    assert s.sample(logits) == 1
    s.accept(2)
    s.accept(2)
    assert s.sample(logits) == 0


def test_the_seed_determines_the_samples() -> None:
    a, b, c = (sampler(seed=n) for n in (7, 7, 8))
    draws = [[s.sample(LOGITS) for _ in range(50)] for s in (a, b, c)]
    assert draws[0] == draws[1] != draws[2]


def test_nan_is_never_sampled() -> None:
    s = sampler()
    logits = np.array([np.nan, 1.0, -np.inf], np.float32)
    assert {s.sample(logits) for _ in range(20)} == {1}
    with pytest.raises(ValueError, match="no logit"):
        s.sample(np.full(3, np.nan, np.float32))


@pytest.mark.parametrize(
    "changes",
    [{"top_p": 0.0}, {"top_p": 1.5}, {"min_p": -0.1}, {"repeat_penalty": 0.0}],
)
def test_sampler_settings_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        sampler(**changes)
