"""Hyper-parameters of gguf keys."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ggmlkit.arch.architectures import ARCHITECTURES, Architecture, architecture_names, slides
from ggmlkit.arch.hparams import DEFAULT_THETA, Hparams, checked, checked_layers
from ggmlkit.arch.read_fields import count, number, shortest
from ggmlkit.arch.rope_scaling import LongRope, llama3_of
from ggmlkit.errors import ConversionError

Floats = npt.NDArray[np.float32]
_SCALING = "rope.scaling."


def from_metadata(
    metadata: Mapping[str, Any],
    *,
    vocab: int,
    tied: bool,
    rope_divisors: Floats | None = None,
    long_rope: tuple[Floats, Floats] | None = None,
    names: Collection[str] = (),
) -> Hparams:
    """Hyper-parameters of gguf keys (of any file, see ModelFile.metadata).

    Args:
        metadata: the keys.
        vocab: rows of the embeddings.
        tied: whether there is no output matrix.
        rope_divisors: values of rope_freqs.weight.
        long_rope: values of rope_factors_short.weight and rope_factors_long.weight.
        names: of the tensors; they show which matrices have biases.

    Raises ConversionError for another architecture, and for divisors no llama3 scaling gives.
    """
    architecture = _architecture(metadata)
    prefix = f"{architecture.name}."
    keys = {key[len(prefix) :]: v for key, v in metadata.items() if key.startswith(prefix)}
    dim = count(keys, "embedding_length")
    heads = count(keys, "attention.head_count")
    layers = checked_layers(count(keys, "block_count"))
    head_dim = count(keys, "attention.key_length", dim // heads)
    rotated = count(keys, "rope.dimension_count", head_dim)
    theta = shortest(number(keys, "rope.freq_base", DEFAULT_THETA))
    context = count(keys, "context_length", 2048)
    scaling = _scaling(keys)
    llama3 = None
    if rope_divisors is not None:
        if scaling:
            raise ConversionError("rope_freqs.weight together with rope scaling is not supported")
        original = keys.get(_SCALING + "original_context_length")
        llama3 = llama3_of(rope_divisors, theta, rotated, original)
    return checked(
        Hparams(
            architecture=architecture.name,
            dim=dim,
            layers=layers,
            heads=heads,
            kv_heads=count(keys, "attention.head_count_kv", heads),
            head_dim=head_dim,
            ffn=count(keys, "feed_forward_length"),
            vocab=vocab,
            context=context,
            eps=shortest(number(keys, "attention.layer_norm_rms_epsilon", 1e-6)),
            theta=theta,
            rotated=0 if rotated == head_dim else rotated,
            scaling={} if long_rope else scaling,
            llama3=llama3,
            long_rope=_long_rope(keys, long_rope, context),
            window=_window(keys, architecture),
            sliding=_sliding(keys, architecture, layers),
            query_scale=_switch(keys, "attention.scale", 0.0),
            score_cap=_switch(keys, "attn_logit_softcapping", architecture.score_cap),
            logit_cap=_switch(keys, "final_logit_softcapping", architecture.logit_cap),
            qkv_bias="blk.0.attn_q.bias" in names,
            output_bias="blk.0.attn_output.bias" in names,
            mlp_bias="blk.0.ffn_up.bias" in names,
            tied=tied,
        )
    )


def _architecture(metadata: Mapping[str, Any]) -> Architecture:
    name = metadata.get("general.architecture", "llama")
    found = ARCHITECTURES.get(name) if isinstance(name, str) else None
    if found is None:
        raise ConversionError(
            f"architecture {str(name)[:80]!r} is not supported, only {architecture_names()}"
        )
    return found


def _scaling(keys: Mapping[str, Any]) -> dict[str, Any]:
    scaling = {
        key[len(_SCALING) :]: shortest(value) if isinstance(value, float) else value
        for key, value in keys.items()
        if key.startswith(_SCALING)
    }
    return scaling if scaling.get("type", "none") != "none" else {}


def _long_rope(
    keys: Mapping[str, Any], factors: tuple[Floats, Floats] | None, context: int
) -> LongRope | None:
    if factors is None:
        return None
    short, long = (tuple(shortest(float(x)) for x in each.reshape(-1)) for each in factors)
    return LongRope(
        short=short,
        long=long,
        original_context=count(keys, _SCALING + "original_context_length", context),
        attention_factor=shortest(number(keys, _SCALING + "attn_factor", 1.0)),
    )


def _switch(keys: Mapping[str, Any], key: str, default: float) -> float:
    """A number that may be 0, for off."""
    return 0.0 if _is_zero(keys.get(key, default)) else shortest(number(keys, key, default))


def _window(keys: Mapping[str, Any], architecture: Architecture) -> int:
    key = "attention.sliding_window"
    usual = architecture.window
    return 0 if _is_zero(keys.get(key, usual)) else count(keys, key, usual)


def _is_zero(value: object) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and value == 0


def _sliding(keys: Mapping[str, Any], architecture: Architecture, layers: int) -> tuple[bool, ...]:
    """Which layers slide; empty where this is as the architecture has it."""
    key = "attention.sliding_window_pattern"
    value = keys.get(key)
    if value is None:
        return ()
    usual = tuple(slides(layer, architecture.window_period) for layer in range(layers))
    if isinstance(value, (list, tuple, np.ndarray)):
        found = tuple(bool(each) for each in value)
    else:
        period = 0 if _is_zero(value) else count(keys, key)
        found = tuple(slides(layer, period) for layer in range(layers))
    if len(found) != layers:
        raise ConversionError(f"{key} has {len(found)} values for {layers} layers")
    return () if found == usual else found
