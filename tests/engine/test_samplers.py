"""Each setting of a sampler against its definition in numpy, by the frequencies of drawn tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ggmlkit as gk
import sampling_definitions as defined
from decoder_models import fresh
from ggmlkit import _core
from ggmlkit.engine import breakers
from ggmlkit.engine.breakers import breaker_tokens
from ggmlkit.engine.sampler_names import SAMPLERS
from ggmlkit.engine.sampling import SamplingParams

PLAIN: dict[str, Any] = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "seed": 3}
DEFAULTS = {
    name: field.default
    for name, field in SamplingParams.__dataclass_fields__.items()
    if not callable(field.default)
}


def draw(sampler: _core.Sampler, logits: NDArray[np.floating[Any]], n: int) -> NDArray[np.intp]:
    """How often each token comes in ``n`` draws."""
    row = np.asarray(logits, np.float32)[None]
    found = [int(_core.sample_rows([sampler], row)[0]) for _ in range(n)]
    return np.bincount(found, minlength=row.size)


def assert_drawn_as(counts: NDArray[np.intp], shares: NDArray[np.float64]) -> None:
    """Pearson's chi-square, where a fault of one in a million is allowed to chance."""
    n = counts.sum()
    assert counts[shares < 1e-12].sum() == 0
    large = shares * n >= 5
    expected = [*(shares[large] * n), shares[~large].sum() * n]
    found = [*counts[large], counts[~large].sum()]
    statistic = sum((f - e) ** 2 / e for f, e in zip(found, expected, strict=True) if e > 1e-9)
    freedom = max(1, sum(e > 1e-9 for e in expected) - 1)
    # Wilson and Hilferty's approximation of the quantile, 4.75 standard deviations out.
    limit = freedom * (1 - 2 / (9 * freedom) + 4.75 * (2 / (9 * freedom)) ** 0.5) ** 3
    assert statistic < limit


def check(
    logits: NDArray[np.float64], recent: Sequence[int] = (), n: int = 3000, **changes: Any
) -> None:
    settings = {**DEFAULTS, **PLAIN, **changes}
    breakers = settings.pop("breakers", ())
    sampler = SamplingParams(**{**PLAIN, **{k: v for k, v in changes.items() if k != "breakers"}})
    drawing = sampler.new_sampler((), breakers)
    for token in recent:
        drawing.accept(token)
    shares = defined.probabilities(logits, recent, {**settings, "breakers": breakers})
    assert_drawn_as(draw(drawing, logits, n), shares)


def some_logits(seed: int, n: int = 40) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(0, 2, n).astype(np.float32).astype(np.float64)


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 0.6},
        {"dynatemp_range": 0.5},
        {"temperature": 0.4, "dynatemp_range": 0.7, "dynatemp_exponent": 2.0},
        {"top_k": 5},
        {"top_p": 0.7},
        {"min_p": 0.2},
        {"typical_p": 0.5},
        {"typical_p": 0.9},
        {"top_n_sigma": 1.0},
        {"xtc_probability": 0.5, "xtc_threshold": 0.08},
        {"xtc_probability": 1.0, "xtc_threshold": 0.02, "min_keep": 38},
        {"top_k": 2, "min_keep": 6},
        {"top_p": 0.01, "min_keep": 4},
        {"min_p": 0.9, "min_keep": 4},
        {"top_n_sigma": 0.1, "min_keep": 3},
        {"typical_p": 0.01, "min_keep": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_setting_is_what_it_says(changes: dict[str, Any], seed: int) -> None:
    check(some_logits(seed), **changes)


RECENT = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 1, 4]


@pytest.mark.parametrize(
    "changes",
    [
        {"repeat_penalty": 1.5},
        {"frequency_penalty": 0.7, "repeat_last_n": 8},
        {"presence_penalty": 1.0, "repeat_last_n": -1},
        {"dry_multiplier": 1.0},
        {"dry_multiplier": 0.5, "dry_allowed_length": 1, "dry_base": 3.0},
        {"dry_multiplier": 2.0, "breakers": [1]},
        {"dry_multiplier": 2.0, "dry_allowed_length": 0},
    ],
    ids=str,
)
def test_what_was_said_is_less_likely(changes: dict[str, Any]) -> None:
    if changes.get("repeat_last_n") == -1:
        changes = {**changes, "repeat_last_n": 1000}
    check(some_logits(4, 12), RECENT, **changes)


@pytest.mark.parametrize("seed", range(24))
def test_any_settings_in_any_order(seed: int) -> None:
    random = np.random.default_rng(100 + seed)
    possible: dict[str, Any] = {
        "temperature": random.uniform(0.3, 2), "dynatemp_range": random.uniform(0.1, 0.5),
        "top_k": int(random.integers(2, 30)), "top_p": random.uniform(0.3, 1),
        "min_p": random.uniform(0, 0.2), "typical_p": random.uniform(0.3, 1),
        "top_n_sigma": random.uniform(0.5, 2), "xtc_probability": random.uniform(0, 1),
        "xtc_threshold": random.uniform(0.02, 0.3), "min_keep": int(random.integers(1, 4)),
        "repeat_penalty": random.uniform(0.8, 1.5), "dry_multiplier": random.uniform(0, 1),
        "frequency_penalty": random.uniform(-0.5, 0.5),
    }  # fmt: skip
    changes = {name: value for name, value in possible.items() if random.random() < 0.5}
    order = random.permutation(SAMPLERS)[: random.integers(1, len(SAMPLERS) + 1)].tolist()
    check(some_logits(seed, 30), RECENT, samplers=order, **changes)


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_draws_among_what_its_definition_leaves(version: int) -> None:
    logits = some_logits(6, 200)
    tau = 2.0
    definition = defined.mirostat_1 if version == 1 else defined.mirostat_2
    shares = defined.softmax(definition(logits / 0.8, 2 * tau))
    counts = np.zeros(len(logits), np.intp)
    for seed in range(3000):
        params = SamplingParams(**{**PLAIN, "temperature": 0.8, "seed": seed})
        first = SamplingParams(
            temperature=0.8, mirostat=version, mirostat_tau=tau, seed=seed, top_k=3
        ).new_sampler(())
        assert params.mirostat == 0
        counts += draw(first, logits, 1)
    assert_drawn_as(counts, shares)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("tau", [2.0, 4.0])
def test_mirostat_keeps_the_surprise_of_a_text(version: int, tau: float) -> None:
    random = np.random.default_rng(5)
    ranks = np.arange(1, 2001)
    sampler = SamplingParams(
        temperature=1.0, mirostat=version, mirostat_tau=tau, seed=1
    ).new_sampler(())
    surprise = []
    mu = 2 * tau
    definition = defined.mirostat_1 if version == 1 else defined.mirostat_2
    for _ in range(600):
        logits = (-random.uniform(0.9, 1.4) * np.log(random.permutation(ranks))).astype(np.float32)
        id = int(_core.sample_rows([sampler], logits[None])[0])
        shares = defined.softmax(definition(logits.astype(np.float64), mu))
        assert shares[id] > 0
        surprise.append(-np.log2(shares[id]))
        mu -= 0.1 * (surprise[-1] - tau)
    assert np.mean(surprise[100:]) == pytest.approx(tau, abs=0.2)


def test_temperature_0_is_the_likeliest_whatever_else_is_set() -> None:
    logits = some_logits(7)
    changes: dict[str, Any] = {"typical_p": 0.1, "xtc_probability": 1.0, "mirostat": 2, "top_k": 3}
    sampler = SamplingParams(temperature=0, **changes).new_sampler(())
    assert draw(sampler, logits, 5)[logits.argmax()] == 5


def test_allowed_bits_are_the_only_tokens() -> None:
    logits = some_logits(8, 70)
    allowed = np.zeros((1, 3), np.uint32)
    allowed[0, 2] = 0b101000  # tokens 67 and 69
    sampler = SamplingParams(**PLAIN).new_sampler(())
    found = {
        int(_core.sample_rows([sampler], logits.astype(np.float32)[None], allowed)[0])
        for _ in range(60)
    }
    assert found == {67, 69}
    none = np.zeros((1, 3), np.uint32)
    assert _core.sample_rows([sampler], logits.astype(np.float32)[None], none)[0] == -1
    with pytest.raises(ValueError, match="a row of allowed bits"):
        _core.sample_rows([sampler], logits.astype(np.float32)[None], allowed[:, :2])


def test_the_likeliest_tokens_have_the_log_probabilities_of_softmax() -> None:
    logits = some_logits(9, 300).astype(np.float32)
    logits[5] = np.nan
    found = _core.top_log_probabilities(logits, 7)
    finite = np.where(np.isfinite(logits), logits, -np.inf).astype(np.float64)
    expected = np.log(np.maximum(defined.softmax(finite), 1e-300))
    assert [id for id, _ in found] == np.argsort(-finite, kind="stable")[:7].tolist()
    np.testing.assert_allclose([p for _, p in found], np.sort(expected)[::-1][:7], atol=1e-5)
    assert _core.top_log_probabilities(np.full(9, np.nan, np.float32), 3) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"typical_p": 0}, "typical_p must be above 0 and at most 1, not 0"),
        ({"xtc_threshold": 1.5}, "xtc_threshold must be above 0 and at most 1"),
        ({"mirostat": 3}, "mirostat must be 0, 1 or 2, not 3"),
        ({"dry_base": 0.5}, "dry_base must be at least 1"),
        ({"repeat_last_n": -2}, "repeat_last_n must be at least -1"),
        ({"min_keep": -1}, "min_keep must be at least 0"),
        ({"samplers": ["top_q"]}, "there is no sampler 'top_q'; there are penalties, dry"),
        ({"samplers": ["top_k", "top_k"]}, "a sampler is named twice"),
        ({"samplers": "top_k"}, "samplers must be a list of names"),
        ({"banned_tokens": "ab"}, "banned_tokens must be a list of token ids"),
        ({"allowed_tokens": [-1]}, "a token of allowed_tokens must be at least 0"),
        ({"logits_processor": 3}, "logits_processor must be callable, not 3"),
        ({"dry_sequence_breakers": [""]}, "a string of dry_sequence_breakers must not be empty"),
        ({"top_logprobs": -1}, "top_logprobs must be at least 0"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(gk.ArgumentError, match=reason):
        SamplingParams(**changes)


def test_a_few_sets_of_sequence_breakers_are_kept() -> None:
    tokenizer = fresh().tokenizer
    assert breaker_tokens(tokenizer, ("a",)) == breaker_tokens(tokenizer, ("a", "a"))
    for number in range(100):
        ids = breaker_tokens(tokenizer, (f"{number}",))
        assert all(f"{number}"[-1:].encode() in tokenizer.token_bytes(id) for id in ids)
    assert len(breakers._kept[tokenizer]._found) == breakers._MOST_SETS
