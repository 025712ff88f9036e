"""RoPE in Hugging Face's config.json: base, rotated part of a head, and scaling."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ggmlkit.arch.architectures import ARCHITECTURES
from ggmlkit.arch.hf_families import Family
from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.read_fields import count, number, numbers, shortest
from ggmlkit.arch.rope import (
    LinearScaling,
    Llama3Scaling,
    LongRope,
    Rope,
    YarnScaling,
    long_attention_factor,
)
from ggmlkit.errors import HparamsError

_KINDS = ("full_attention", "sliding_attention")


def ropes_of(
    config: Mapping[str, Any], family: Family, head_dim: int, context: int
) -> tuple[Rope, Rope | None]:
    """The RoPE settings, and those of sliding layers if the architecture has separate ones.

    From ``rope_parameters`` or the older ``rope_theta``, ``rope_scaling`` and
    ``rope_local_base_freq``. Raises HparamsError, which names the setting, if one is not supported.
    """
    rope = _parameters(config)
    local_base = ARCHITECTURES[family.architecture].sliding_base
    is_by_kind = any(isinstance(value, Mapping) for value in rope.values())
    if is_by_kind and (not local_base or not rope.keys() <= set(_KINDS)):
        raise HparamsError("rope parameters that differ between layers are not supported")
    if not local_base:
        return _rope(config, rope, family, head_dim, context), None
    if config.get("rope_parameters") and not is_by_kind:  # transformers would ignore them
        raise HparamsError(
            f"rope_parameters in config.json must be given for {' and '.join(_KINDS)} apart"
        )
    full, sliding = (_of_kind(rope, kind) for kind in _KINDS) if is_by_kind else (rope, {})
    base = number(config, "rope_local_base_freq", local_base)
    rotated = _rotated(config, sliding, head_dim, family.is_long)
    local = Rope(rotated, number(sliding, "rope_theta", base))
    if (kind := _type_of(sliding)) != "default":
        raise HparamsError(f"rope type {kind!r} of sliding layers is not supported")
    return _rope(config, full, family, head_dim, context), local


def _parameters(config: Mapping[str, Any]) -> Mapping[str, Any]:
    found = [config[key] for key in ("rope_parameters", "rope_scaling") if config.get(key)]
    if len(found) == 2 and found[0] != found[1]:
        raise HparamsError(
            "rope_parameters and rope_scaling in config.json differ: remove the one that is wrong"
        )
    rope = found[0] if found else {}
    if not isinstance(rope, Mapping):
        raise HparamsError(f"rope parameters {rope!r} in config.json are not an object")
    return rope


def _type_of(rope: Mapping[str, Any]) -> Any:
    return rope.get("rope_type", rope.get("type", "default"))


def _of_kind(rope: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found = rope.get(kind) or {}
    if not isinstance(found, Mapping):
        raise HparamsError(f"rope parameters {kind} = {found!r} in config.json are not an object")
    return found


def _rope(
    config: Mapping[str, Any], rope: Mapping[str, Any], family: Family, head_dim: int, context: int
) -> Rope:
    has_theta = rope.get("rope_theta") is not None
    plain = Rope(
        dims=_rotated(config, rope, head_dim, family.is_long),
        base=number(rope if has_theta else config, "rope_theta", family.theta),
    )
    kind = _type_of(rope)
    if kind == "default":
        return plain
    if kind == "linear":
        factor = number(rope, "factor")
        return plain if factor == 1 else replace(plain, scaling=LinearScaling(factor))
    original = _original_context(config, rope, context)
    if kind == "yarn" and not family.is_long:
        return _yarn(plain, rope, original)
    if kind == "llama3":
        return replace(plain, factors=_llama3(rope, original))
    if kind in ("longrope", "su") and family.is_long:
        return _long_rope(plain, rope, original, context)
    raise HparamsError(f"rope type {kind!r} in config.json is not supported")


def _rotated(
    config: Mapping[str, Any], rope: Mapping[str, Any], head_dim: int, can_be_partial: bool
) -> int:
    source = rope if rope.get("partial_rotary_factor") is not None else config
    part = number(source, "partial_rotary_factor", 1.0)
    if part == 1.0:
        return head_dim
    if not can_be_partial or part > 1.0:
        raise HparamsError(f"partial_rotary_factor = {part} in config.json is not supported")
    rotated = int(head_dim * part)
    if rotated == 0:
        raise HparamsError(f"partial_rotary_factor = {part} in config.json rotates nothing")
    return rotated


def _original_context(config: Mapping[str, Any], rope: Mapping[str, Any], context: int) -> int:
    key = "original_max_position_embeddings"
    own, other = count(rope, key, context), count(config, key, context)
    if rope.get(key) is None:
        return other
    if config.get(key) is not None and own != other:
        raise HparamsError(
            f"{key} = {other} in config.json differs from {own} in its rope parameters"
        )
    return own


def _llama3(rope: Mapping[str, Any], original: int) -> Llama3Scaling:
    return Llama3Scaling(
        number(rope, "factor"),
        number(rope, "low_freq_factor"),
        number(rope, "high_freq_factor"),
        original,
    )


def _yarn(plain: Rope, rope: Mapping[str, Any], original: int) -> Rope:
    for key in ("mscale", "mscale_all_dim"):
        if rope.get(key) is not None:
            raise HparamsError(f"yarn rope scaling with {key} is not supported")
    if rope.get("truncate", True) is not True:  # the decoder always truncates the ramp's ends
        raise HparamsError("yarn rope scaling with truncate = false is not supported")
    factor = number(rope, "factor")
    scaling = YarnScaling(
        factor, original, number(rope, "beta_fast", 32.0), number(rope, "beta_slow", 1.0)
    )
    magnitude = number(rope, "attention_factor", scaling.magnitude)
    return replace(
        plain,
        scaling=None if factor == 1 else scaling,
        attention_factor=shortest(magnitude / scaling.magnitude),
    )


def _long_rope(plain: Rope, rope: Mapping[str, Any], original: int, context: int) -> Rope:
    if original < 2:  # the formula divides by its logarithm
        raise HparamsError("original_max_position_embeddings must be above 1 with longrope")
    factor = number(rope, "factor", context / original)
    usual = long_attention_factor(factor, original)
    pairs = plain.dims // 2
    factors = LongRope(
        short=numbers(rope, "short_factor", pairs),
        long=numbers(rope, "long_factor", pairs),
        original_context=original,
    )
    magnitude = shortest(number(rope, "attention_factor", usual))
    return replace(plain, factors=factors, attention_factor=magnitude)


def rope_settings(hparams: Hparams) -> dict[str, Any]:
    """The RoPE settings of a config.json.

    Raises HparamsError if transformers has no settings for this RoPE.
    """
    rope = hparams.rope
    found: dict[str, Any] = {"rope_theta": rope.base, "rope_scaling": _rope_scaling(rope)}
    if hparams.sliding_rope is not None:
        found["rope_local_base_freq"] = hparams.sliding_rope.base
    if not hparams.rotates_whole_heads:
        # Half an element more, so that truncation gives the exact number.
        found["partial_rotary_factor"] = (rope.dims + 0.5) / hparams.head_dim
    if isinstance(rope.factors, LongRope):
        found["original_max_position_embeddings"] = rope.factors.original_context
    return found


def _rope_scaling(rope: Rope) -> dict[str, Any] | None:
    if rope.scaling is not None and rope.factors is not None:
        raise HparamsError("config.json has no settings for RoPE scaling beside RoPE factors")
    if isinstance(rope.factors, LongRope):
        return {
            "rope_type": "longrope",
            "short_factor": list(rope.factors.short),
            "long_factor": list(rope.factors.long),
            "original_max_position_embeddings": rope.factors.original_context,
            "attention_factor": rope.attention_factor,
        }
    if isinstance(rope.scaling, YarnScaling):
        return _yarn_settings(rope.scaling, rope.attention_factor)
    if rope.attention_factor != 1.0:
        raise HparamsError(
            f"config.json has no setting for rope.scaling.attn_factor = {rope.attention_factor:g} "
            "without yarn or longrope"
        )
    if isinstance(rope.factors, Llama3Scaling):
        return {
            "rope_type": "llama3",
            "factor": rope.factors.factor,
            "low_freq_factor": rope.factors.low_freq_factor,
            "high_freq_factor": rope.factors.high_freq_factor,
            "original_max_position_embeddings": rope.factors.original_context,
        }
    if rope.factors is not None:
        raise HparamsError("rope_freqs.weight is not that of a known llama3 scaling")
    if rope.scaling is None:
        return None
    return {"rope_type": "linear", "factor": rope.scaling.factor}


def _yarn_settings(yarn: YarnScaling, attention_factor: float) -> dict[str, Any]:
    found: dict[str, Any] = {
        "rope_type": "yarn",
        "factor": yarn.factor,
        "original_max_position_embeddings": yarn.original_context,
    }
    usual = YarnScaling(yarn.factor, yarn.original_context)
    for key in ("beta_fast", "beta_slow"):
        if (value := getattr(yarn, key)) != getattr(usual, key):
            found[key] = value
    if attention_factor != 1.0:
        found["attention_factor"] = attention_factor * yarn.magnitude
    return found
