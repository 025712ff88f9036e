"""RoPE that differs between layers, as in Gemma 3's config.json."""

from __future__ import annotations

from typing import Any

import pytest

from configs import config, gguf_of
from ggmlkit.arch.gguf_keys import from_gguf_keys
from ggmlkit.arch.hf_config import from_hf_config, to_hf_config
from ggmlkit.arch.rope import LinearScaling, Rope
from ggmlkit.errors import ConversionError

LINEAR = {"rope_type": "linear", "factor": 8.0}
GEMMA3: dict[str, Any] = {
    "model_type": "gemma3_text",
    "hidden_act": "gelu_pytorch_tanh",
    "head_dim": 16,
}
GEMMA3 |= {"query_pre_attn_scalar": 16, "num_hidden_layers": 7, "sliding_window": 64}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rope_theta": 5e5, "rope_local_base_freq": 300.0, "rope_scaling": {**LINEAR}},
        {
            "rope_parameters": {
                "full_attention": {**LINEAR, "rope_theta": 5e5},
                "sliding_attention": {"rope_type": "default", "rope_theta": 300.0},
            }
        },
    ],
)
@pytest.mark.parametrize(
    "layers", [{}, {"sliding_window_pattern": 6}, {"layer_types": ["full_attention"] * 7}]
)
def test_gemma3_to_gguf_keys_and_back(changes: dict[str, Any], layers: dict[str, Any]) -> None:
    hparams = from_hf_config(config(**{**GEMMA3, **changes, **layers}))
    assert hparams.windows == ((0,) * 7 if "layer_types" in layers else (64,) * 5 + (0, 64))
    assert hparams.sliding_rope == Rope(16, 300.0 if changes else 10000.0)
    base, scaling = (5e5, LinearScaling(8.0)) if changes else (1e6, None)
    assert hparams.rope == Rope(16, base, scaling)
    again = from_gguf_keys(*gguf_of(hparams))
    assert again == hparams
    assert from_hf_config(to_hf_config(again)) == hparams


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
        ({"sliding_window": None}, "sliding_window"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ({"rope_parameters": {"sliding_attention": {**LINEAR}}}, "of sliding layers"),
        ({"rope_parameters": {"sliding_attention": {"type": "linear", "factor": 2.0}}}, "'linear'"),
        (
            {"rope_parameters": {"sliding_attention": {"partial_rotary_factor": 0.5}}},
            "partial_rotary_factor",
        ),
        ({"rope_parameters": {"full_attention": 3, "sliding_attention": {}}}, "full_attention = 3"),
        ({"rope_parameters": {"other": {}}}, "differ between layers"),
        ({"rope_parameters": {**LINEAR}}, "full_attention and sliding_attention apart"),
        ({"model_type": "gemma3"}, "model_type 'gemma3' is not supported"),
    ],
)
def test_settings_unsupported_for_gemma3_are_refused_by_name(
    changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConversionError, match=named):
        from_hf_config(config(**{**GEMMA3, **changes}))
