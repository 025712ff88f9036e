"""Reads hyper-parameters from Hugging Face's config.json, and writes them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from math import isclose
from typing import Any

from ggmlkit.arch.architectures import ARCHITECTURES
from ggmlkit.arch.hf_families import FAMILIES, Family, family_for, family_of
from ggmlkit.arch.hf_rope import rope_settings, ropes_of
from ggmlkit.arch.hf_settings import HARMLESS, OFF, SUPPORTED
from ggmlkit.arch.hf_windows import window_settings, windows_of
from ggmlkit.arch.hparams import ConversionWarning, Hparams, checked_layers
from ggmlkit.arch.read_fields import count, epsilon, flag, number, shortest
from ggmlkit.arch.rope import LongRope, YarnScaling
from ggmlkit.errors import HparamsError


def from_hf_config(config: Mapping[str, Any]) -> Hparams:
    """Hyper-parameters of a config.json.

    Raises HparamsError, which names the setting, for anything that the decoder doesn't support.
    """
    family = family_of(config)
    switches = ARCHITECTURES[family.architecture]
    _refuse_unsupported(config, family)
    dim = count(config, "hidden_size")
    heads = count(config, "num_attention_heads")
    layers = checked_layers(count(config, "num_hidden_layers"))
    head_dim = count(config, "head_dim", family.head_dim or dim // heads)
    context = count(config, "max_position_embeddings", family.context)
    rope, sliding_rope = ropes_of(config, family, head_dim, context)
    biases = family.has_biases and flag(config, "attention_bias")
    hparams = Hparams(
        architecture=family.architecture,
        layers=layers,
        dim=dim,
        heads=heads,
        kv_heads=count(config, "num_key_value_heads", heads),
        head_dim=head_dim,
        ffn=count(config, "intermediate_size"),
        vocab=count(config, "vocab_size"),
        context=context,
        eps=epsilon(config, "rms_norm_eps", family.eps),
        rope=rope,
        windows=windows_of(config, family, layers, context),
        sliding_rope=sliding_rope,
        qkv_bias=biases or switches.has_qkv_bias,
        output_bias=biases,
        mlp_bias=family.has_biases and flag(config, "mlp_bias"),
        tied=flag(config, "tie_word_embeddings", family.tied),
        **_softcaps(config, family),
    )
    if not family.has_query_scale:
        return hparams
    return replace(hparams, query_scale=_query_scale(config, hparams))


def _refuse_unsupported(config: Mapping[str, Any], family: Family) -> None:
    for key in ("hidden_act", "hidden_activation"):
        if config.get(key) is not None and config[key] not in family.activations:
            raise HparamsError(f"{key} = {config[key]!r} in config.json is not supported")
    supported = SUPPORTED | _own_settings(family)
    for key, off in OFF.items():
        if key not in supported and config.get(key) is not None and config[key] not in off:
            raise HparamsError(f"{key} = {config[key]!r} in config.json is not supported")
    unknown = sorted(key for key in config if key not in supported | OFF.keys() | HARMLESS)
    if unknown:
        warnings.warn(
            f"unknown settings in config.json are left out: {', '.join(unknown)}",
            ConversionWarning,
            stacklevel=2,
        )


def _own_settings(family: Family) -> set[str]:
    """Settings that are used in this family only."""
    found = set(family.softcaps)
    if family.has_biases:
        found |= {"attention_bias", "mlp_bias"}
    if family.has_query_scale:
        found.add("query_pre_attn_scalar")
    if ARCHITECTURES[family.architecture].sliding_base:
        found |= {"rope_local_base_freq", "sliding_window_pattern"}
    return found


# Soft caps: config.json's names to Hparams' fields.
_SOFTCAPS = {
    "attn_logit_softcapping": "attn_softcap",
    "final_logit_softcapping": "final_softcap",
}


def _softcaps(config: Mapping[str, Any], family: Family) -> dict[str, float]:
    """The soft caps that a family uses, by field."""
    found = {}
    for key in family.softcaps:
        usual = getattr(ARCHITECTURES[family.architecture], _SOFTCAPS[key])
        if usual and key in config and config[key] is None:  # llama.cpp would use the default cap
            raise HparamsError(f"{key} = None in config.json is not supported")
        has_cap = usual or config.get(key) is not None
        found[_SOFTCAPS[key]] = number(config, key, usual) if has_cap else 0.0
    return found


def _query_scale(config: Mapping[str, Any], hparams: Hparams) -> float:
    """Gemma's scale of queries if it can't be derived from the sizes; else 0."""
    scalar = number(config, "query_pre_attn_scalar", 256.0)
    if isclose(scalar**-0.5, hparams.derived_query_scale()):
        return 0.0
    warnings.warn(
        f"query_pre_attn_scalar {scalar:g} is kept in {hparams.architecture}.attention.scale, "
        "which llama.cpp does not read",
        ConversionWarning,
        stacklevel=3,
    )
    return shortest(scalar**-0.5)


def to_hf_config(hparams: Hparams) -> dict[str, Any]:
    """A config.json for the family's ForCausalLM class (without token ids and dtype).

    Raises HparamsError for a combination that no class of transformers supports.
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
        "pad_token_id": None,  # some classes have a default outside small vocabularies
    }
    if family.has_biases:
        config["attention_bias"] = hparams.qkv_bias
        config["mlp_bias"] = hparams.mlp_bias
    if family.has_windows:
        config.update(window_settings(hparams, family))
    for key in family.softcaps:
        config[key] = getattr(hparams, _SOFTCAPS[key]) or None
    if family.has_query_scale:
        config["hidden_activation"] = family.activations[0]
        config["query_pre_attn_scalar"] = _query_scalar(hparams, family)
    return config


def _query_scalar(hparams: Hparams, family: Family) -> int:
    exact = (hparams.query_scale or hparams.derived_query_scale()) ** -2
    if not isclose(exact, round(exact), rel_tol=1e-5):
        raise HparamsError(
            f"{family.model_class} takes a whole number for query_pre_attn_scalar, not {exact:g}"
        )
    return round(exact)


def _family_for(hparams: Hparams) -> Family:
    family = family_for(hparams.architecture)
    if hparams.architecture == "llama" and hparams.window:
        family = FAMILIES["mistral"]
    elif hparams.window and not family.has_windows:
        raise HparamsError(f"{family.model_class} has no sliding windows")
    is_long = isinstance(hparams.rope.factors, LongRope)
    if (is_long or not hparams.rotates_whole_heads) and not family.is_long:
        raise HparamsError(f"{family.model_class} has no partial or long rotation")
    if family.is_long and isinstance(hparams.rope.scaling, YarnScaling):
        raise HparamsError(f"{family.model_class} has no yarn scaling")
    biases = (hparams.qkv_bias, hparams.output_bias, hparams.mlp_bias)
    if family.has_biases:
        possible = hparams.qkv_bias == hparams.output_bias
    else:
        possible = biases == (hparams.switches.has_qkv_bias, False, False)
    if not possible:
        raise HparamsError(f"{family.model_class} does not have the biases of this model")
    if hparams.query_scale and not family.has_query_scale:
        raise HparamsError(f"{family.model_class} has no scale of queries")
    for key, cap in _SOFTCAPS.items():
        if getattr(hparams, cap) and key not in family.softcaps:
            raise HparamsError(f"{family.model_class} has no {key}")
        if getattr(hparams.switches, cap) and not getattr(hparams, cap):
            raise HparamsError(f"{family.model_class} without {key} is not supported")
    return family
