"""Rotation in Hugging Face's config.json: its base, the part of a head, and changes for length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ggmlkit.arch.hparams import DEFAULT_THETA, Hparams
from ggmlkit.arch.read_fields import count, number, numbers, shortest
from ggmlkit.arch.rope_scaling import Llama3Scaling, LongRope, long_attention_factor
from ggmlkit.errors import ConversionError


@dataclass(frozen=True)
class HfRope:
    """What :class:`Hparams` says of rotation, in its words."""

    theta: float
    rotated: int
    scaling: Mapping[str, Any] = field(default_factory=dict)
    llama3: Llama3Scaling | None = None
    long_rope: LongRope | None = None


def rope_of(config: Mapping[str, Any], context: int, head_dim: int, *, may_be_long: bool) -> HfRope:
    """From ``rope_parameters`` or the older ``rope_theta`` and ``rope_scaling``.

    ``may_be_long`` allows LongRoPE and the rotation of a part of each head, as in Phi-3.
    Raises ConversionError, naming it, for what is not honoured.
    """
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(rope, Mapping):
        raise ConversionError(f"rope parameters {rope!r} in config.json are not an object")
    if any(isinstance(value, Mapping) for value in rope.values()):
        raise ConversionError("rope parameters that differ between layers are not supported")
    has_theta = rope.get("rope_theta") is not None
    theta = number(rope if has_theta else config, "rope_theta", DEFAULT_THETA)
    rotated = _rotated(config, rope, head_dim, may_be_long)
    kind = rope.get("rope_type", rope.get("type", "default"))
    original = _original_context(config, rope, context)
    if kind == "default":
        return HfRope(theta, rotated)
    if kind == "linear":
        return HfRope(theta, rotated, {"type": "linear", "factor": number(rope, "factor")})
    if kind == "yarn" and not may_be_long:
        return HfRope(theta, rotated, _yarn(rope, original))
    if kind == "llama3":
        return HfRope(theta, rotated, llama3=_llama3(rope, original))
    if kind in ("longrope", "su") and may_be_long:
        long_rope = _long_rope(rope, original, context, (rotated or head_dim) // 2)
        return HfRope(theta, rotated, long_rope=long_rope)
    raise ConversionError(f"rope type {kind!r} in config.json is not supported")


def _rotated(
    config: Mapping[str, Any], rope: Mapping[str, Any], head_dim: int, may_be_part: bool
) -> int:
    """Rotated elements of a head, 0 for all."""
    source = rope if rope.get("partial_rotary_factor") is not None else config
    part = number(source, "partial_rotary_factor", 1.0)
    if part == 1.0:
        return 0
    if not may_be_part or part > 1.0:
        raise ConversionError(f"partial_rotary_factor = {part} in config.json is not supported")
    rotated = int(head_dim * part)
    if rotated == 0:
        raise ConversionError(f"partial_rotary_factor = {part} in config.json rotates nothing")
    return rotated


def _original_context(config: Mapping[str, Any], rope: Mapping[str, Any], context: int) -> int:
    key = "original_max_position_embeddings"
    return count(rope if rope.get(key) is not None else config, key, context)


def _llama3(rope: Mapping[str, Any], original: int) -> Llama3Scaling:
    return Llama3Scaling(
        number(rope, "factor"),
        number(rope, "low_freq_factor"),
        number(rope, "high_freq_factor"),
        original,
    )


def _yarn(rope: Mapping[str, Any], original: int) -> dict[str, Any]:
    # The decoder derives the attention factor from the scale and rounds the ramp's ends.
    for key, only in (("attention_factor", None), ("mscale", None), ("mscale_all_dim", None)):
        if rope.get(key) is not only:
            raise ConversionError(f"yarn rope scaling with {key} is not supported")
    if rope.get("truncate", True) is not True:
        raise ConversionError("yarn rope scaling with truncate = false is not supported")
    found: dict[str, Any] = {
        "type": "yarn",
        "factor": number(rope, "factor"),
        "original_context_length": original,
    }
    for key, usual in (("beta_fast", 32.0), ("beta_slow", 1.0)):
        value = number(rope, key, usual)
        if value != usual:
            found[f"yarn_{key}"] = value
    return found


def _long_rope(rope: Mapping[str, Any], original: int, context: int, pairs: int) -> LongRope:
    if original < 2:  # its logarithm is a divisor
        raise ConversionError("original_max_position_embeddings of 1 with longrope is no context")
    factor = number(rope, "factor", context / original)
    usual = long_attention_factor(factor, original)
    return LongRope(
        short=numbers(rope, "short_factor", pairs),
        long=numbers(rope, "long_factor", pairs),
        original_context=original,
        attention_factor=shortest(number(rope, "attention_factor", usual)),
    )


def rope_settings(hparams: Hparams) -> dict[str, Any]:
    """The settings of a config.json that say how it rotates."""
    found: dict[str, Any] = {"rope_theta": hparams.theta, "rope_scaling": _rope_scaling(hparams)}
    if hparams.rotated:
        # Half an element keeps the truncation on the right side.
        found["partial_rotary_factor"] = (hparams.rotated + 0.5) / hparams.head_dim
    if hparams.long_rope:
        found["original_max_position_embeddings"] = hparams.long_rope.original_context
    return found


def _rope_scaling(hparams: Hparams) -> dict[str, Any] | None:
    if llama3 := hparams.llama3:
        return {
            "rope_type": "llama3",
            "factor": llama3.factor,
            "low_freq_factor": llama3.low_freq_factor,
            "high_freq_factor": llama3.high_freq_factor,
            "original_max_position_embeddings": llama3.original_context,
        }
    if long_rope := hparams.long_rope:
        return {
            "rope_type": "longrope",
            "short_factor": list(long_rope.short),
            "long_factor": list(long_rope.long),
            "original_max_position_embeddings": long_rope.original_context,
            "attention_factor": long_rope.attention_factor,
        }
    kind = hparams.scaling.get("type")
    if kind is None:
        return None
    rope: dict[str, Any] = {"rope_type": kind, "factor": hparams.scaling["factor"]}
    if kind == "yarn":
        rope["original_max_position_embeddings"] = hparams.scaling["original_context_length"]
        for key in ("beta_fast", "beta_slow"):
            if f"yarn_{key}" in hparams.scaling:
                rope[key] = hparams.scaling[f"yarn_{key}"]
    return rope
