"""gguf keys of features that Hparams has no field for: refused, unless they are off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ggmlkit.arch.key_values import KeyValues
from ggmlkit.errors import HparamsError

_ABSENT = (0, False, "", "none")
_NEUTRAL = (0, 1)  # of factors: some writers store 0 for "none"

# Keys that change what a model computes, and the values that mean "off".
_OFF: Mapping[str, tuple[Any, ...]] = {
    "attention.causal": (True,),
    "attention.clamp_kqv": _ABSENT,
    "attention.compress_ratios": _ABSENT,
    "attention.kv_lora_rank": _ABSENT,
    "attention.max_alibi_bias": _ABSENT,
    "attention.output_scale": _NEUTRAL,
    "attention.q_lora_rank": _ABSENT,
    "attention.relative_buckets_count": _ABSENT,
    "attention.rope_pattern": (),
    "attention.shared_kv_layers": _ABSENT,
    "attention.temperature_length": _ABSENT,
    "attention.temperature_scale": _NEUTRAL,
    "attention.value_scale": _NEUTRAL,
    "activation_sparsity_scale": _ABSENT,
    "altup.num_inputs": _ABSENT,
    "embedding_length_per_layer_input": _ABSENT,
    "embedding_scale": _NEUTRAL,
    "expert_count": _ABSENT,
    "full_attention_interval": _ABSENT,
    "hyper_connection.count": _NEUTRAL,
    "logit_scale": _NEUTRAL,
    "n_deepstack_layers": _ABSENT,
    "nextn_predict_layers": _ABSENT,
    "num_loops": _NEUTRAL,
    "residual_scale": _NEUTRAL,
    "rope.dimension_sections": _ABSENT,
    "rope.scaling.alpha": _NEUTRAL,
    "rope.scaling.yarn_log_multiplier": _ABSENT,
    "swiglu_clamp_exp": _ABSENT,
    "swin_norm": _ABSENT,
    "use_parallel_residual": _ABSENT,
}
_NAMES = {"expert_count": "mixture-of-experts models"}

# Keys that must have the same value as another key.
_SAME: Mapping[str, str] = {
    "attention.value_length": "attention.key_length",
    "attention.key_length_swa": "attention.key_length",
    "attention.value_length_swa": "attention.key_length",
    "rope.dimension_count_swa": "rope.dimension_count",
    "rope.freq_base_swa": "rope.freq_base",
}


def refuse_features(keys: KeyValues, own: Mapping[str, float]) -> None:
    """Raise HparamsError, which names the key, for a feature that is not supported.

    Args:
        keys: the file's keys.
        own: the head size, the rotated elements and the RoPE base, by their keys;
            ``rope.freq_base_swa`` is among them if the architecture has one.
    """
    for key, off in _OFF.items():
        if key in keys and (value := keys.get(key)) not in off:
            what = f" ({_NAMES[key]})" if key in _NAMES else ""
            raise HparamsError(f"{keys.name(key)} is {value!r}{what}, which is not supported")
    for key, other in _SAME.items():
        if key in own or key not in keys:
            continue
        if (value := keys.number(key, 0.0)) != own[other]:
            raise HparamsError(
                f"{keys.name(key)} is {value:g} where {keys.name(other)} is {own[other]:g}, "
                "which is not supported"
            )
