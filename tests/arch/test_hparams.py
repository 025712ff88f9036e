"""Hyper-parameters of config.json, params.json and gguf keys."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import transformers

from configs import config, gguf_of
from ggmlkit.arch.gguf_keys import from_gguf_keys, to_gguf_keys
from ggmlkit.arch.hf_config import from_hf_config, to_hf_config
from ggmlkit.arch.hf_families import FAMILIES, Family
from ggmlkit.arch.hparams import ConversionWarning
from ggmlkit.arch.meta_params import (
    to_meta_params,
)
from ggmlkit.arch.rope import LinearScaling, YarnScaling
from ggmlkit.errors import ConversionError
from ggmlkit.tensor import Tensor

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}


_GELU = "gelu_pytorch_tanh"


def test_keys_of_a_plain_config() -> None:
    assert to_gguf_keys(from_hf_config(config())) == {
        "general.architecture": "llama",
        "llama.vocab_size": 384,
        "llama.context_length": 1024,
        "llama.embedding_length": 64,
        "llama.block_count": 2,
        "llama.feed_forward_length": 96,
        "llama.rope.dimension_count": 16,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.rope.freq_base": 10000.0,
    }


def test_key_value_heads_default_to_heads() -> None:
    assert from_hf_config(config(num_key_value_heads=None)).kv_heads == 4


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
def test_defaults_are_those_of_transformers(family: Family) -> None:
    kind = "TextConfig" if family.stem == "Gemma3" else "Config"
    theirs = getattr(transformers, f"{family.stem}{kind}")()
    assert family.tied == theirs.tie_word_embeddings
    if not family.own_stem:  # those have a class of their own
        assert family.context == theirs.max_position_embeddings
        assert family.eps == theirs.rms_norm_eps
    if family.has_windows and not family.window_switch:
        assert (family.window or None) == theirs.sliding_window


def test_a_window_is_kept_where_the_context_is_not_said() -> None:
    plain = config(model_type="mistral", sliding_window=4096)
    del plain["max_position_embeddings"]
    assert from_hf_config(plain).windows == (4096, 4096)


def test_an_output_matrix_that_the_architecture_lacks_is_refused() -> None:
    hparams = from_hf_config(config(model_type="gemma", hidden_act=_GELU, head_dim=16))
    metadata, tensors = gguf_of(hparams)
    tensors["output.weight"] = tensors["token_embd.weight"]
    with pytest.raises(ConversionError, match=r"output\.weight\) is not supported for gemma"):
        from_gguf_keys(metadata, tensors)


def test_a_head_size_that_is_stored() -> None:
    found = to_gguf_keys(from_hf_config(config(head_dim=32)))
    assert found["llama.attention.key_length"] == 32
    assert found["llama.rope.dimension_count"] == 32


@pytest.mark.parametrize(
    "changes",
    [
        {"rope_theta": 500000.0, "rope_scaling": LLAMA3},
        {"rope_parameters": {"rope_theta": 500000.0, **LLAMA3}},
    ],
)
def test_llama3_factors_equal_transformers(changes: dict[str, Any]) -> None:
    import transformers
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    settings = config(hidden_size=256, max_position_embeddings=131072, **changes)
    hparams = from_hf_config(settings)
    factors = np.array(hparams.rope.freq_factors())
    reference, _ = ROPE_INIT_FUNCTIONS["llama3"](transformers.LlamaConfig(**settings), "cpu")
    plain = 500000.0 ** -(np.arange(0, 64, 2) / 64)
    np.testing.assert_allclose(plain / factors, reference.numpy(), rtol=2e-6)


def test_linear_and_yarn_keys() -> None:
    linear = from_hf_config(config(rope_scaling={"type": "linear", "factor": 2.0}))
    assert linear.rope.scaling == LinearScaling(2.0)
    yarn = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512}
    assert from_hf_config(config(rope_scaling=yarn)).rope.scaling == YarnScaling(4.0, 512)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model_type": "falcon", "new_decoder_architecture": True}, "falcon"),
        ({"model_type": "mistral", "attention_bias": True}, "attention_bias"),
        ({"model_type": "qwen3", "attention_bias": True}, "attention_bias"),
        ({"model_type": "phi3", "mlp_bias": True}, "mlp_bias"),
        ({"attention_bias": "yes"}, "attention_bias"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
        ({"use_bidirectional_attention": True}, "use_bidirectional_attention"),
        ({"attn_logit_softcapping": 50.0}, "attn_logit_softcapping"),
        ({"embedding_multiplier": 12.0}, "embedding_multiplier"),
        ({"num_local_experts": 8}, "num_local_experts"),
        ({"model_type": "gemma", "hidden_act": "silu"}, "hidden_act"),
        ({"model_type": "gemma2", "hidden_act": _GELU, "attn_logit_softcapping": None}, "softcap"),
        ({"model_type": "gemma2", "hidden_act": _GELU, "sliding_window": None}, "sliding_window"),
        ({"model_type": "gemma", "hidden_act": _GELU, "tie_word_embeddings": False}, "tie_word"),
        (
            {"model_type": "qwen2", "use_sliding_window": True, "max_window_layers": -1},
            "max_window",
        ),
        (
            {"model_type": "qwen2", "use_sliding_window": True, "layer_types": ["linear"] * 2},
            "layer_types",
        ),
        (
            {
                "model_type": "qwen2",
                "use_sliding_window": True,
                "sliding_window": 8,
                "layer_types": [[], []],
            },
            "layer_types",
        ),
        ({"model_type": "mistral", "sliding_window": -1}, "sliding_window"),
        ({"layer_types": ["linear_attention"] * 2}, "layer_types"),
        ({"model_type": "iquestcoder", "use_sliding_window": True}, "use_sliding_window"),
        ({"model_type": "phi3", "partial_rotary_factor": 1e-9}, "partial_rotary_factor"),
        ({"max_position_embeddings": 10**400}, "max_position_embeddings"),
        ({"model_type": "helium"}, "model_type 'helium' is not supported, only llama, mistral"),
        ({"model_type": ["llama"]}, "is not supported"),
        ({"architectures": ["LlamaBidirectionalModel"]}, "'LlamaBidirectionalModel', which is not"),
        (
            {"model_type": None, "architectures": ["HeliumForCausalLM"]},
            "'HeliumForCausalLM', which",
        ),
        ({"is_causal": False}, "is_causal = False"),
        ({"rope_parameters": {"full_attention": {"rope_theta": 1e4}}}, "differ between layers"),
        ({"hidden_act": "gelu"}, "hidden_act"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
        ({"rope_scaling": {"rope_type": "longrope"}}, "longrope"),
        ({"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "mscale": 1.0}}, "mscale"),
        ({"rope_scaling": {"rope_type": "linear"}}, "factor"),
        ({"rope_scaling": "linear"}, "rope parameters"),
        (
            {"rope_scaling": {"type": "linear", "factor": 2.0}, "rope_parameters": {"a": 1}},
            "rope_parameters and rope_scaling .* differ",
        ),
        (
            {
                "original_max_position_embeddings": 64,
                "rope_scaling": {
                    "type": "yarn",
                    "factor": 4.0,
                    "original_max_position_embeddings": 32,
                },
            },
            "original_max_position_embeddings = 64 in config.json differs from 32",
        ),
        ({"rope_scaling": {**LLAMA3, "high_freq_factor": 1.0}}, "high_freq_factor 1,"),
        ({"rms_norm_eps": 1e-60}, "rms_norm_eps"),
        ({"rope_theta": 1e-60}, "rope_theta"),
        ({"hidden_size": None}, "hidden_size"),
        ({"hidden_size": -64}, "hidden_size"),
        ({"num_hidden_layers": 2.5}, "num_hidden_layers"),
        ({"rms_norm_eps": "small"}, "rms_norm_eps"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps"),
        ({"num_key_value_heads": 3}, "key/value heads"),
        ({"head_dim": 15}, "must be even"),
    ],
)
def test_unsupported_settings_are_refused_by_name(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConversionError, match=named):
        from_hf_config(config(**changes))


def test_a_sliding_window_of_a_model_without_any_is_left_out_with_a_warning() -> None:
    with pytest.warns(ConversionWarning, match="sliding_window 256"):
        assert from_hf_config(config(sliding_window=256)).windows == (0, 0)
    assert from_hf_config(config(sliding_window=4096)).context == 1024


@pytest.mark.parametrize(
    ("changes", "architecture"),
    [
        ({"model_type": None}, "llama"),  # as saved by training runs
        ({"model_type": None, "architectures": ["LLaMAForCausalLM"]}, "llama"),
        ({"model_type": None, "architectures": ["Qwen2Model"]}, "qwen2"),
        ({"architectures": ["Qwen2ForCausalLM", "LlamaForCausalLM"]}, "llama"),
        ({"architectures": None, "hidden_act": "swish"}, "llama"),
    ],
)
def test_the_family_of_a_config(changes: dict[str, Any], architecture: str) -> None:
    assert from_hf_config(config(**changes)).architecture == architecture


def test_a_setting_that_is_not_known_is_left_out_with_a_warning() -> None:
    with pytest.warns(ConversionWarning, match="left out: galaxy, orbit"):
        from_hf_config(config(orbit=1, galaxy=None))


@pytest.mark.parametrize(
    ("changes", "windows"),
    [
        ({"model_type": "mistral", "sliding_window": 64}, (64, 64)),
        ({"model_type": "mistral", "sliding_window": 1024}, (0, 0)),
        ({"model_type": "mistral", "sliding_window": None}, (0, 0)),
        ({"model_type": "mistral", "max_position_embeddings": 8192}, (4096, 4096)),
        ({"model_type": "phi3", "sliding_window": 64}, (64, 64)),
        ({"model_type": "qwen2", "sliding_window": 64}, (0, 0)),
        ({"model_type": "qwen2", "sliding_window": 64, "use_sliding_window": True}, (0, 0)),
        (
            {
                "model_type": "qwen2",
                "sliding_window": 64,
                "use_sliding_window": True,
                "max_window_layers": 1,
            },
            (0, 64),
        ),
        (
            {
                "model_type": "qwen3",
                "sliding_window": 64,
                "use_sliding_window": True,
                "layer_types": ["sliding_attention"] * 2,
            },
            (64, 64),
        ),
        ({"model_type": "gemma2", "sliding_window": 64}, (64, 0)),
        ({"model_type": "gemma2", "sliding_window": 4096}, (4096, 0)),
        (
            {"model_type": "gemma2", "sliding_window": 64, "layer_types": ["full_attention"] * 2},
            (0, 0),
        ),
    ],
)
def test_which_layers_slide(changes: dict[str, Any], windows: tuple[int, ...]) -> None:
    if changes["model_type"] == "gemma2":
        changes = {"hidden_act": _GELU, "query_pre_attn_scalar": 16, "head_dim": 16, **changes}
    assert from_hf_config(config(**changes)).windows == windows


def test_layers_slide_in_turn_in_gemma2() -> None:
    found = from_hf_config(
        config(model_type="gemma2", hidden_act=_GELU, head_dim=16, query_pre_attn_scalar=16)
    )
    assert found.windows == (4096, 0)


def test_the_scale_of_queries_that_gemma2_s_files_have_no_key_for() -> None:
    changes = {"model_type": "gemma2", "hidden_act": _GELU, "head_dim": 32}
    small = config(**changes, query_pre_attn_scalar=32)
    assert from_hf_config(small).query_scale == 0
    large = config(**changes, query_pre_attn_scalar=16, num_hidden_layers=46)  # 64 / 4
    assert from_hf_config(large).query_scale == 0
    with pytest.warns(ConversionWarning, match=r"gemma2\.attention\.scale"):
        odd = from_hf_config(config(**changes, query_pre_attn_scalar=64))
    assert to_gguf_keys(odd)["gemma2.attention.scale"] == 0.125
    assert to_hf_config(odd)["query_pre_attn_scalar"] == 64


LONGROPE: dict[str, Any] = {
    "model_type": "phi3",
    "rope_scaling": {
        "type": "su",
        "short_factor": [1.0 + i / 8 for i in range(8)],
        "long_factor": [4.0 + i for i in range(8)],
    },
    "original_max_position_embeddings": 256,
}


def test_longrope_s_factor_of_attention_is_that_of_transformers() -> None:
    import transformers
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    hparams = from_hf_config(config(**LONGROPE))
    rope = {**LONGROPE["rope_scaling"], "original_max_position_embeddings": 256}
    theirs = transformers.Phi3Config(**config(**{**LONGROPE, "rope_scaling": rope}), pad_token_id=0)
    _, factor = ROPE_INIT_FUNCTIONS["longrope"](theirs, "cpu")
    assert hparams.rope.attention_factor == pytest.approx(factor, rel=1e-7)


def test_longrope_of_no_context_is_named() -> None:
    with pytest.raises(ConversionError, match="original_max_position_embeddings must be above 1"):
        from_hf_config(config(**{**LONGROPE, "original_max_position_embeddings": 1}))


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"attention.sliding_window": [8, 9]}, "sliding_window differs between"),
        ({"attention.sliding_window_pattern": [True]}, "1 values for 2 layers"),
        ({"attention.sliding_window_pattern": "even"}, "sliding_window_pattern"),
        ({"attention.sliding_window_pattern": [np.ones(2), [1]]}, "list of lists"),
        ({"attention.scale": "small"}, "attention.scale"),
        ({"attn_logit_softcapping": np.arange(2)}, "attn_logit_softcapping"),
        ({"block_count": 1 << 40}, "block_count"),
        ({"rope.dimension_count": 15}, "rotated"),
    ],
)
def test_gguf_keys_that_do_not_fit_are_named(keys: dict[str, Any], named: str) -> None:
    metadata, tensors = gguf_of(from_hf_config(config(model_type="qwen2")))
    metadata.update({f"qwen2.{key}": value for key, value in keys.items()})
    with pytest.raises(ConversionError, match=named):
        from_gguf_keys(metadata, tensors)


@pytest.mark.parametrize(("pattern", "windows"), [(2, (8, 0)), (0, (8, 8)), (1, (0, 0))])
def test_a_pattern_of_layers_may_be_a_number(pattern: int, windows: tuple[int, ...]) -> None:
    metadata, tensors = gguf_of(from_hf_config(config(model_type="qwen2")))
    metadata |= {"qwen2.attention.sliding_window": 8}
    metadata |= {"qwen2.attention.sliding_window_pattern": pattern}
    assert from_gguf_keys(metadata, tensors).windows == windows


@pytest.mark.parametrize("key", ["short_factor", "long_factor"])
@pytest.mark.parametrize("factors", [None, [1.0] * 7, [0.0] * 8, ["a"] * 8, 3])
def test_factors_that_do_not_fit_are_named(key: str, factors: object) -> None:
    rope = {**LONGROPE["rope_scaling"], key: factors}
    with pytest.raises(ConversionError, match=key):
        from_hf_config(config(**{**LONGROPE, "rope_scaling": rope}))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tie_word_embeddings": True, "head_dim": 32},
        {"rope_theta": 500000.0, "rope_scaling": LLAMA3},
        {"rope_scaling": {**LLAMA3, "original_max_position_embeddings": 64}},
        {"rope_scaling": {"type": "linear", "factor": 2.5}},
        {
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 4.0,
                "original_max_position_embeddings": 512,
                "beta_fast": 16.0,
            }
        },
        {"attention_bias": True, "mlp_bias": True},
        {"model_type": "mistral", "sliding_window": 64},
        {"model_type": "qwen2", "tie_word_embeddings": True},
        {
            "model_type": "qwen3",
            "sliding_window": 64,
            "use_sliding_window": True,
            "max_window_layers": 1,
        },
        {"model_type": "phi3", "sliding_window": 100, "partial_rotary_factor": 0.75},
        LONGROPE,
        {"model_type": "gemma", "hidden_act": "gelu", "head_dim": 32},
        {
            "model_type": "gemma2",
            "hidden_act": _GELU,
            "head_dim": 32,
            "query_pre_attn_scalar": 32,
            "attn_logit_softcapping": 20.0,
            "sliding_window": 64,
        },
    ],
)
def test_config_to_gguf_keys_and_back(changes: dict[str, Any]) -> None:
    hparams = from_hf_config(config(**changes))
    again = from_gguf_keys(*gguf_of(hparams))
    assert again == hparams
    assert from_hf_config(to_hf_config(again)) == hparams


def test_a_scale_of_queries_that_config_json_has_no_number_for_is_named() -> None:
    gemma3 = config(model_type="gemma3_text", hidden_act=_GELU, head_dim=16)
    hparams = from_hf_config({**gemma3, "query_pre_attn_scalar": 16})
    with pytest.raises(ConversionError, match=r"query_pre_attn_scalar, not 11\.1"):
        to_hf_config(replace(hparams, query_scale=0.3))


def test_settings_without_a_field_in_params_are_refused() -> None:
    for changes in (
        {"head_dim": 32},
        {"rope_scaling": {"type": "linear", "factor": 2.0}},
        {"attention_bias": True},
        {"model_type": "mistral", "sliding_window": 64},
        {"model_type": "qwen2"},
        {"model_type": "phi3"},
    ):
        with pytest.raises(ConversionError, match="no field"):
            to_meta_params(from_hf_config(config(**changes)))


def test_factors_of_no_known_scaling() -> None:
    metadata, tensors = gguf_of(from_hf_config(config()))
    odd = np.linspace(1, 3, 8, dtype=np.float32)
    tensors["rope_freqs.weight"] = Tensor("f32", odd.shape, odd.view(np.uint8))
    hparams = from_gguf_keys(metadata, tensors)
    assert hparams.rope.freq_factors() == tuple(odd.tolist())  # it runs
    with pytest.raises(ConversionError, match=r"rope_freqs\.weight"):
        to_hf_config(hparams)


def test_another_architecture() -> None:
    with pytest.raises(ConversionError, match="falcon"):
        from_gguf_keys({"general.architecture": "falcon"}, {})
