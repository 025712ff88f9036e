"""Converts hyper-parameters to the fields of the compiled decoder."""

from __future__ import annotations

from math import sqrt
from typing import Any

from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.rope import LinearScaling, LongRope, Rope, YarnScaling


def decoder_config(hparams: Hparams) -> dict[str, Any]:
    """The fields of csrc/engine/config.h by name."""
    switches = hparams.switches
    sliding = hparams.sliding_rope
    return {
        "layers": hparams.layers,
        "dim": hparams.dim,
        "heads": hparams.heads,
        "kv_heads": hparams.kv_heads,
        "head_dim": hparams.head_dim,
        "ffn": hparams.ffn,
        "vocab": hparams.vocab,
        "norm_eps": hparams.eps,
        "rope": _rope(hparams.rope, hparams),
        "sliding_rope": None if sliding is None else _rope(sliding, hparams),
        "gate": switches.gate,
        "embedding_scale": sqrt(hparams.dim) if switches.scales_embeddings else 1.0,
        "query_scale": _query_scale(hparams),
        "attn_softcap": hparams.attn_softcap,
        "final_softcap": hparams.final_softcap,
        "has_head_norms": switches.has_head_norms,
        "has_post_norms": switches.has_post_norms,
        "windows": hparams.windows if hparams.window else (),
    }


def _query_scale(hparams: Hparams) -> float:
    """The scale of queries; 0 if the decoder derives it from the head size."""
    is_wide = hparams.layers == hparams.switches.wide_scale_layers
    if is_wide and not hparams.query_scale:
        return hparams.derived_query_scale()
    return hparams.query_scale


def _rope(rope: Rope, hparams: Hparams) -> dict[str, Any]:
    scaling, factor = "none", 1.0
    yarn = YarnScaling(1.0, hparams.context)
    original_context = hparams.context
    if isinstance(rope.scaling, LinearScaling):
        scaling, factor = "linear", rope.scaling.factor
    elif isinstance(rope.scaling, YarnScaling):
        yarn = rope.scaling
        scaling, factor, original_context = "yarn", yarn.factor, yarn.original_context
    if isinstance(rope.factors, LongRope):
        original_context = rope.factors.original_context
    return {
        "dims": rope.dims,
        "pairs": hparams.switches.rope_pairs,
        "base": rope.base,
        "scaling": scaling,
        "factor": factor,
        "original_context": original_context,
        "attention_factor": rope.attention_factor,
        "beta_fast": yarn.beta_fast,
        "beta_slow": yarn.beta_slow,
        "freq_factors": rope.freq_factors(),
        "long_freq_factors": rope.long_freq_factors(),
    }
