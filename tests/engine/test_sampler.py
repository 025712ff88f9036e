"""Sampling a token from logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ggmlkit import _core


class Drawing:
    """A sampler that draws from one row at a time."""

    def __init__(self, **changes: Any) -> None:
        params = _core.SamplingParams()
        plain = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 1}
        for name, value in {**plain, **changes}.items():
            setattr(params, name, value)
        self._sampler = _core.Sampler(params)
        self.accept = self._sampler.accept

    def sample(self, logits: NDArray[np.float32]) -> int:
        return int(_core.sample_rows([self._sampler], logits[None])[0])


sampler = Drawing


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
    s = sampler(temperature=0, presence_penalty=10.0, repeat_last_n=2)
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
    assert s.sample(np.full(3, np.nan, np.float32)) == -1


@pytest.mark.parametrize(
    "changes",
    [{"top_p": 0.0}, {"top_p": 1.5}, {"min_p": -0.1}, {"repeat_penalty": 0.0}],
)
def test_sampler_settings_out_of_range_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(changes))):
        sampler(**changes)


def expected_shares(logits: NDArray[np.float32], k: int, p: float, m: float) -> NDArray[np.float64]:
    """Shares of the tokens by the definitions, from a full sort."""
    order = np.lexsort((np.arange(logits.size), -logits))
    kept = order[: k or None]
    weights = np.exp(logits[kept].astype(np.float64) - logits[kept[0]])
    before = np.concatenate(([0], np.cumsum(weights)[:-1]))
    inside = (before < p * weights.sum() if p < 1 else True) & (weights >= m)
    inside[0] = True
    shares = np.zeros(logits.size)
    shares[kept[inside]] = weights[inside]
    return shares / shares.sum()


@pytest.mark.parametrize("k", [0, 1, 40, 5000])
@pytest.mark.parametrize("p", [1.0, 0.9, 0.02])
@pytest.mark.parametrize("m", [0.0, 0.05])
def test_a_large_vocabulary_is_drawn_from_by_the_definitions(k: int, p: float, m: float) -> None:
    logits = np.random.default_rng(3).normal(0, 3, 20_000).astype(np.float32)
    shares = expected_shares(logits, k, p, m)
    s = sampler(top_k=k, top_p=p, min_p=m)
    draws = [s.sample(logits) for _ in range(200)]
    assert all(shares[token] > 0 for token in draws)
    # The mean log share of what is drawn is minus the entropy.
    logs = np.log(shares[shares > 0])
    entropy = -(shares[shares > 0] * logs).sum()
    spread = np.sqrt((shares[shares > 0] * (logs + entropy) ** 2).sum() / len(draws))
    assert abs(np.log(shares[draws]).mean() + entropy) <= 4 * spread + 1e-9


def test_a_bias_is_added_and_may_ban() -> None:
    assert sampler(temperature=0, logit_bias=[(3, 10.0)]).sample(LOGITS) == 3
    assert sampler(temperature=0, logit_bias=[(0, float("-inf")), (99, 1.0)]).sample(LOGITS) == 1


def test_a_bias_too_large_for_a_float_is_the_largest() -> None:
    s = sampler(top_k=3, top_p=1.0, min_p=0.0, logit_bias=[(3, 1e39), (4, 1e39)])
    logits = np.array([1e30, 1.0, 0.0, 5.0, np.nan], np.float32)
    assert {s.sample(logits) for _ in range(20)} == {3}


def test_rows_have_their_own_samplers() -> None:
    params = _core.SamplingParams()
    params.temperature = 0
    samplers = [_core.Sampler(params) for _ in range(40)]
    rows = np.random.default_rng(1).normal(size=(40, 300)).astype(np.float32)
    np.testing.assert_array_equal(_core.sample_rows(samplers, rows), rows.argmax(1))
    with pytest.raises(ValueError, match="twice"):
        _core.sample_rows([samplers[0]] * 2, rows[:2])
    with pytest.raises(ValueError, match="each row"):
        _core.sample_rows(samplers, rows[:2])


def test_log_probability_is_that_of_softmax() -> None:
    row = np.random.default_rng(2).normal(0, 4, 5000).astype(np.float32)
    exact = row - np.log(np.exp(row.astype(np.float64)).sum())
    for token in (0, int(row.argmax()), 4999):
        assert _core.log_probability(row, token) == pytest.approx(exact[token], abs=1e-5)
