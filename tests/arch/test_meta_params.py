"""Hyper-parameters of Meta's params.json."""

from __future__ import annotations

from typing import Any

import pytest

from ggmlkit.arch.hparams import ConversionWarning
from ggmlkit.arch.meta_params import (
    from_meta_params,
    meta_ffn,
    meta_ffn_rule,
    to_meta_params,
)
from ggmlkit.arch.rope import Llama3Scaling
from ggmlkit.errors import HparamsError


@pytest.mark.parametrize(
    ("dim", "multiple_of", "multiplier", "ffn"),
    [(4096, 256, None, 11008), (8192, 4096, 1.3, 28672), (4096, 1024, 1.3, 14336)],
)
def test_meta_s_feed_forward_rule(
    dim: int, multiple_of: int, multiplier: float | None, ffn: int
) -> None:
    assert meta_ffn(dim, multiple_of, multiplier) == ffn


@pytest.mark.parametrize("dim", [64, 576, 2048, 4096])
@pytest.mark.parametrize("ffn", [96, 1536, 5632, 11008, 14337, 40000])
def test_some_rule_gives_every_width(dim: int, ffn: int) -> None:
    multiple_of, multiplier = meta_ffn_rule(dim, ffn)
    assert meta_ffn(dim, multiple_of, multiplier) == ffn


def meta(**changes: Any) -> dict[str, Any]:
    return {"dim": 64, "n_layers": 2, "n_heads": 4, "norm_eps": 1e-5, "vocab_size": -1, **changes}


@pytest.mark.parametrize(
    ("changes", "context"),
    [
        ({"norm_eps": 1e-6}, 2048),
        ({}, 4096),
        ({"rope_theta": 1e6}, 16384),
        ({"rope_theta": 500000.0}, 8192),
        ({"rope_theta": 500000.0, "use_scaled_rope": True}, 131072),
        ({"max_seq_len": 512}, 512),
    ],
)
def test_the_context_meta_does_not_store(changes: dict[str, Any], context: int) -> None:
    assert from_meta_params(meta(**changes), vocab=384, ffn=96, tied=False).context == context


@pytest.mark.parametrize(("dim", "factor"), [(2048, 32.0), (3072, 32.0), (4096, 8.0), (8192, 8.0)])
def test_the_scale_of_llama_3_1_and_3_2(dim: int, factor: float) -> None:
    params = meta(dim=dim, use_scaled_rope=True, rope_theta=500000.0)
    scaling = from_meta_params(params, vocab=384, ffn=96, tied=False).rope.factors
    assert isinstance(scaling, Llama3Scaling)
    assert scaling.factor == factor


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"sliding_window": 4096}, "sliding_window = 4096"),
        ({"moe": {"num_experts": 8}}, "moe = "),
        ({"use_qk_norm": True}, "use_qk_norm"),
        ({"yarn": {"factor": 4}}, "yarn"),
        ({"causal": False}, "causal"),
        ({"hidden_dim": 95}, "hidden_dim is 95"),
        ({"use_scaled_rope": "no"}, "use_scaled_rope"),
        ({"use_scaled_rope": True, "rope_high_freq_factor": 1.0}, "high_freq_factor 1"),
        ({"norm_eps": -1.0}, "norm_eps"),
    ],
)
def test_params_that_no_field_holds_are_refused_by_name(
    changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(HparamsError, match=named):
        from_meta_params(meta(**changes), vocab=384, ffn=96, tied=False)


def test_params_of_features_that_are_off_are_accepted() -> None:
    off = {"sliding_window": None, "use_qk_norm": False, "n_experts": 1, "dropout": 0.0}
    plain = from_meta_params(meta(), vocab=384, ffn=96, tied=False)
    assert from_meta_params(meta(**off), vocab=384, ffn=96, tied=False) == plain


def test_unknown_params_are_left_out_with_a_warning() -> None:
    with pytest.warns(ConversionWarning, match="params.json are left out: 3, learning_rate"):
        from_meta_params({**meta(learning_rate=1), 3: 4}, vocab=384, ffn=96, tied=False)


def test_params_and_back() -> None:
    params = meta(n_kv_heads=2, use_scaled_rope=True, rope_theta=500000.0)
    hparams = from_meta_params(params, vocab=384, ffn=96, tied=True)
    written = to_meta_params(hparams)
    assert from_meta_params(written, vocab=384, ffn=96, tied=True) == hparams
