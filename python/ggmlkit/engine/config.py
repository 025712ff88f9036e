"""Converts hyper-parameters to the fields of the compiled decoder."""

from __future__ import annotations

from math import sqrt

from ggmlkit import _core
from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.rope import LinearScaling, LongRope, Rope, YarnScaling

_PAIRS = {"neighbours": _core.RopePairs.NEIGHBOURS, "halves": _core.RopePairs.HALVES}
_GATES = {"silu": _core.Gate.SILU, "gelu": _core.Gate.GELU}


def model_config(hparams: Hparams) -> _core.ModelConfig:
    """What the compiled decoder must know of a model."""
    switches = hparams.switches
    config = _core.ModelConfig()
    config.layers = hparams.layers
    config.dim = hparams.dim
    config.heads = hparams.heads
    config.kv_heads = hparams.kv_heads
    config.head_dim = hparams.head_dim
    config.ffn = hparams.ffn
    config.vocab = hparams.vocab
    config.norm_eps = hparams.eps
    config.rope = _rope(hparams.rope, hparams)
    if hparams.sliding_rope is not None:
        config.sliding_rope = _rope(hparams.sliding_rope, hparams)
    config.gate = _GATES[switches.gate]
    config.embedding_scale = sqrt(hparams.dim) if switches.scales_embeddings else 1.0
    config.query_scale = _query_scale(hparams)
    config.attn_softcap = hparams.attn_softcap
    config.final_softcap = hparams.final_softcap
    config.has_head_norms = switches.has_head_norms
    config.has_post_norms = switches.has_post_norms
    config.windows = list(hparams.windows) if hparams.window else []
    return config


def layer_config(hparams: Hparams, layer: int, tokens: int) -> _core.ModelConfig:
    """What the decoder must know of a model's layer alone.

    Its embeddings are the hidden states of so many tokens, its results those behind the layer.
    """
    config = model_config(hparams)
    config.layers = 1
    config.vocab = tokens
    config.embedding_scale = 1.0
    config.windows = [hparams.windows[layer]] if hparams.window else []
    config.has_output = False
    return config


def _query_scale(hparams: Hparams) -> float:
    """The scale of queries; 0 if the decoder derives it from the head size."""
    is_wide = hparams.layers == hparams.switches.wide_scale_layers
    if is_wide and not hparams.query_scale:
        return hparams.derived_query_scale()
    return hparams.query_scale


def _rope(rope: Rope, hparams: Hparams) -> _core.RopeConfig:
    config = _core.RopeConfig()
    config.dims = rope.dims
    config.pairs = _PAIRS[hparams.switches.rope_pairs]
    config.base = rope.base
    config.original_context = hparams.context
    config.attention_factor = rope.attention_factor
    if isinstance(rope.scaling, LinearScaling):
        config.scaling = _core.RopeScaling.LINEAR
        config.factor = rope.scaling.factor
    elif isinstance(rope.scaling, YarnScaling):
        config.scaling = _core.RopeScaling.YARN
        config.factor = rope.scaling.factor
        config.original_context = rope.scaling.original_context
        config.beta_fast = rope.scaling.beta_fast
        config.beta_slow = rope.scaling.beta_slow
    if isinstance(rope.factors, LongRope):
        config.original_context = rope.factors.original_context
    config.freq_factors = list(rope.freq_factors())
    config.long_freq_factors = list(rope.long_freq_factors())
    return config
