"""RoPE in gguf files: converts keys and tensors to :class:`Rope`, and back to keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ggmlkit.arch import tensor_names as names
from ggmlkit.arch.key_values import KeyValues
from ggmlkit.arch.read_fields import shortest
from ggmlkit.arch.rope import (
    DEFAULT_BASE,
    FreqFactors,
    LinearScaling,
    Llama3Scaling,
    LongRope,
    Rope,
    YarnScaling,
    llama3_of,
)
from ggmlkit.errors import HparamsError
from ggmlkit.tensor import Tensor

_ORIGINAL = "rope.scaling.original_context_length"


def gguf_rope(keys: KeyValues, tensors: Mapping[str, Tensor], head_dim: int, context: int) -> Rope:
    """The RoPE settings from a file's keys and tensors of factors."""
    dims = keys.count("rope.dimension_count", head_dim)
    base = keys.positive("rope.freq_base", DEFAULT_BASE)
    factor = keys.positive("rope.scaling.attn_factor", 1.0)
    return Rope(
        dims=dims,
        base=base,
        scaling=_scaling(keys, tensors, context),
        factors=_factors(keys, tensors, base, dims, context),
        attention_factor=shortest(factor * keys.positive("rope.scaling.yarn_attn_factor", 1.0)),
    )


def gguf_rope_keys(rope: Rope) -> dict[str, Any]:
    """The keys, without the architecture's prefix."""
    found: dict[str, Any] = {"rope.dimension_count": rope.dims, "rope.freq_base": rope.base}
    if isinstance(rope.scaling, LinearScaling):
        found |= {"rope.scaling.type": "linear", "rope.scaling.factor": rope.scaling.factor}
    if isinstance(rope.scaling, YarnScaling):
        found |= {"rope.scaling.type": "yarn", "rope.scaling.factor": rope.scaling.factor}
        found[_ORIGINAL] = rope.scaling.original_context
        usual = YarnScaling(1.0, 1)
        for key in ("beta_fast", "beta_slow"):
            if (value := getattr(rope.scaling, key)) != getattr(usual, key):
                found[f"rope.scaling.yarn_{key}"] = value
    if isinstance(rope.factors, (Llama3Scaling, LongRope)):
        # llama3 scaling itself is in rope_freqs.weight; this key allows to recognize its settings.
        found[_ORIGINAL] = rope.factors.original_context
    if rope.attention_factor != 1.0:
        found["rope.scaling.attn_factor"] = rope.attention_factor
    return found


def _scaling(
    keys: KeyValues, tensors: Mapping[str, Tensor], context: int
) -> LinearScaling | YarnScaling | None:
    # A factor without a type means linear; files from 2023 called it scale_linear.
    kind = keys.get("rope.scaling.type", "linear")
    if kind == "longrope" and names.ROPE_LONG in tensors:
        _refuse_long_factor(keys)
        return None  # the tensors have all settings
    if kind not in ("none", "linear", "yarn"):
        raise HparamsError(
            f"{keys.name('rope.scaling.type')} is {str(kind)[:80]!r}, which is not supported; "
            "none, linear and yarn are"
        )
    factor = keys.number("rope.scaling.factor", keys.number("rope.scale_linear", 1.0))
    if kind == "none" or factor in (0.0, 1.0):
        return None
    _refuse_ext_factor(keys, kind)
    if kind == "linear":
        return LinearScaling(factor)
    return YarnScaling(
        factor,
        keys.count(_ORIGINAL, context),
        keys.positive("rope.scaling.yarn_beta_fast", 32.0),
        keys.positive("rope.scaling.yarn_beta_slow", 1.0),
    )


def _refuse_ext_factor(keys: KeyValues, kind: str) -> None:
    """Refuse a weight of yarn's other than the type's own; a negative one means it isn't set."""
    own = 1.0 if kind == "yarn" else 0.0
    if (ext := keys.get("rope.scaling.yarn_ext_factor", own)) not in (own, -1.0):
        raise HparamsError(
            f"{keys.name('rope.scaling.yarn_ext_factor')} is {str(ext)[:80]}, "
            f"which is not supported; for the type {kind} only {own:g} is"
        )


def _refuse_long_factor(keys: KeyValues) -> None:
    factor = keys.number("rope.scaling.factor", 1.0)
    if factor not in (0.0, 1.0):
        raise HparamsError(
            f"{keys.name('rope.scaling.factor')} is {factor:g} beside {names.ROPE_LONG}, "
            "which is not supported"
        )


def _factors(
    keys: KeyValues, tensors: Mapping[str, Tensor], base: float, dims: int, context: int
) -> Llama3Scaling | FreqFactors | LongRope | None:
    plain, short, long = (
        _values(tensors, name) for name in (names.ROPE_FREQS, names.ROPE_SHORT, names.ROPE_LONG)
    )
    if (short is None) != (long is None):
        missing = names.ROPE_SHORT if short is None else names.ROPE_LONG
        raise HparamsError(f"tensor {missing} is missing, but the other of the two exists")
    if short is not None and long is not None:
        if plain is not None:
            raise HparamsError(f"{names.ROPE_FREQS} beside {names.ROPE_LONG} is not supported")
        return LongRope(
            short=_shortest_of(short),
            long=_shortest_of(long),
            original_context=keys.count(_ORIGINAL, context),
        )
    if plain is None or np.all(plain == 1):
        return None
    original = keys.count(_ORIGINAL) if _ORIGINAL in keys else None
    known = llama3_of(plain, base, dims, original)
    return known or FreqFactors(tuple(plain.tolist()))


def _values(tensors: Mapping[str, Tensor], name: str) -> npt.NDArray[np.float32] | None:
    tensor = tensors.get(name)
    if tensor is None:
        return None
    values = tensor.dequantize().reshape(-1)
    if not values.size or not (np.isfinite(values).all() and (values > 0).all()):
        raise HparamsError(f"{name} must hold positive numbers")
    return values


def _shortest_of(values: npt.NDArray[np.float32]) -> tuple[float, ...]:
    return tuple(shortest(float(each)) for each in values)
