"""Hugging Face's config.json: hyper-parameters from it, and to it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from math import isclose
from typing import Any

from ggmlkit.arch.hf_families import FAMILIES, Family, family_of
from ggmlkit.arch.hf_rope import rope_of, rope_settings
from ggmlkit.arch.hf_settings import HARMLESS, HONOURED, OFF
from ggmlkit.arch.hf_windows import window_settings, windows_of
from ggmlkit.arch.hparams import ConversionWarning, Hparams, checked, checked_layers
from ggmlkit.arch.read_fields import count, flag, number, shortest
from ggmlkit.errors import ConversionError


def from_hf_config(config: Mapping[str, Any]) -> Hparams:
    """Hyper-parameters of a config.json.

    Raises ConversionError, naming the setting, for anything the decoder does not honour.
    """
    family = family_of(config)
    _refuse_unsupported(config, family)
    dim = count(config, "hidden_size")
    heads = count(config, "num_attention_heads")
    layers = checked_layers(count(config, "num_hidden_layers"))
    head_dim = count(config, "head_dim", family.head_dim or dim // heads)
    context = count(config, "max_position_embeddings", 2048)
    rope = rope_of(config, context, head_dim, may_be_long=family.is_long)
    window, sliding = windows_of(config, family, layers, context)
    biases = family.has_biases and flag(config, "attention_bias")
    hparams = Hparams(
        architecture=family.architecture,
        dim=dim,
        layers=layers,
        heads=heads,
        kv_heads=count(config, "num_key_value_heads", heads),
        head_dim=head_dim,
        ffn=count(config, "intermediate_size"),
        vocab=count(config, "vocab_size"),
        context=context,
        eps=number(config, "rms_norm_eps", family.eps),
        theta=rope.theta,
        rotated=rope.rotated,
        scaling=rope.scaling,
        llama3=rope.llama3,
        long_rope=rope.long_rope,
        window=window,
        sliding=sliding,
        qkv_bias=biases or family.architecture == "qwen2",
        output_bias=biases,
        mlp_bias=family.has_biases and flag(config, "mlp_bias"),
        tied=flag(config, "tie_word_embeddings", family.tied),
    )
    if family.tied and not hparams.tied:
        raise ConversionError("tie_word_embeddings = False in config.json is not supported")
    return checked(_with_caps(config, hparams) if family.architecture == "gemma2" else hparams)


def _refuse_unsupported(config: Mapping[str, Any], family: Family) -> None:
    for key in ("hidden_act", "hidden_activation"):
        if config.get(key) is not None and config[key] not in family.activations:
            raise ConversionError(f"{key} = {config[key]!r} in config.json is not supported")
    honoured = HONOURED | _own_settings(family)
    for key, off in OFF.items():
        if key not in honoured and config.get(key) is not None and config[key] not in off:
            raise ConversionError(f"{key} = {config[key]!r} in config.json is not supported")
    unknown = sorted(key for key in config if key not in honoured | OFF.keys() | HARMLESS)
    if unknown:
        warnings.warn(
            f"settings in config.json that are not known here are left out: {', '.join(unknown)}",
            ConversionWarning,
            stacklevel=2,
        )


def _own_settings(family: Family) -> set[str]:
    """Settings that mean something in this family alone."""
    found = {"attention_bias", "mlp_bias"} if family.has_biases else set()
    if family.architecture == "gemma2":
        found |= {"attn_logit_softcapping", "final_logit_softcapping", "query_pre_attn_scalar"}
    return found


def _with_caps(config: Mapping[str, Any], hparams: Hparams) -> Hparams:
    """Gemma 2's soft caps, and its scale of queries where the sizes don't give it."""
    architecture = hparams.family
    for key in ("attn_logit_softcapping", "final_logit_softcapping"):
        if key in config and config[key] is None:  # a file without it would mean the usual cap
            raise ConversionError(f"{key} = None in config.json is not supported")
    scalar = number(config, "query_pre_attn_scalar", 256.0)
    scale = 0.0 if isclose(scalar**-0.5, hparams.derived_query_scale()) else shortest(scalar**-0.5)
    if scale:
        warnings.warn(
            f"query_pre_attn_scalar {scalar:g} is kept in gemma2.attention.scale, which llama.cpp "
            "does not read",
            ConversionWarning,
            stacklevel=3,
        )
    return replace(
        hparams,
        score_cap=number(config, "attn_logit_softcapping", architecture.score_cap),
        logit_cap=number(config, "final_logit_softcapping", architecture.logit_cap),
        query_scale=scale,
    )


def to_hf_config(hparams: Hparams) -> dict[str, Any]:
    """A config.json for the family's ForCausalLM class (without token ids and dtype).

    Raises ConversionError for a combination that no class of transformers computes.
    """
    family = _family_for(hparams)
    config: dict[str, Any] = {
        "architectures": [family.model_class],
        "model_type": family.model_type,
        "hidden_size": hparams.dim,
        "num_hidden_layers": hparams.layers,
        "num_attention_heads": hparams.heads,
        "num_key_value_heads": hparams.kv_heads,
        "head_dim": hparams.head_dim,
        "intermediate_size": hparams.ffn,
        "vocab_size": hparams.vocab,
        "max_position_embeddings": hparams.context,
        "rms_norm_eps": hparams.eps,
        **rope_settings(hparams),
        "hidden_act": family.activations[0],
        "tie_word_embeddings": hparams.tied,
        "pad_token_id": None,  # some classes would take one outside a small vocabulary
    }
    if family.has_biases:
        config["attention_bias"] = hparams.qkv_bias
        config["mlp_bias"] = hparams.mlp_bias
    if family.has_windows:
        config.update(window_settings(hparams, family))
    if family.architecture == "gemma2":
        config["hidden_activation"] = family.activations[0]
        config["attn_logit_softcapping"] = hparams.score_cap
        config["final_logit_softcapping"] = hparams.logit_cap
        scale = hparams.query_scale or hparams.derived_query_scale()
        config["query_pre_attn_scalar"] = round(scale**-2)
    return config


def _family_for(hparams: Hparams) -> Family:
    family = FAMILIES[hparams.architecture]
    if hparams.architecture == "llama" and hparams.window:
        family = FAMILIES["mistral"]
    elif hparams.window and not family.has_windows:
        raise ConversionError(f"{family.model_class} has no sliding windows")
    if (hparams.rotated or hparams.long_rope) and not family.is_long:
        raise ConversionError(f"{family.model_class} has no partial or long rotation")
    biases = (hparams.qkv_bias, hparams.output_bias, hparams.mlp_bias)
    if family.has_biases:
        possible = hparams.qkv_bias == hparams.output_bias
    else:
        possible = biases == (family.architecture == "qwen2", False, False)
    if not possible:
        raise ConversionError(f"{family.model_class} has not the biases of this model")
    if family.architecture == "gemma2":
        if not (hparams.score_cap and hparams.logit_cap):
            raise ConversionError(f"{family.model_class} without soft caps is not supported")
    elif hparams.score_cap or hparams.logit_cap or hparams.query_scale:
        raise ConversionError(f"{family.model_class} neither caps logits nor scales queries")
    return family
