"""A decoder of the LLaMA family in torch, layer by layer, for gradients.

It computes what the engine does, but keeps keys and values in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor, log, pi, sqrt
from typing import Any

import numpy as np

import torch
from ggmlkit.arch.hparams import Hparams
from ggmlkit.arch.rope import LinearScaling, LongRope, Rope, YarnScaling

# torch's own annotations differ between versions.
Values = Any

_F: Any = torch.nn.functional


class Layers:
    """What a model's layers compute, given their weights.

    Args:
        hparams: of the model.
        tokens: of each sample.
    """

    def __init__(self, hparams: Hparams, tokens: int) -> None:
        self._hparams = hparams
        self._tokens = tokens
        self._rotation = _rotation(hparams.rope, tokens)
        sliding = hparams.sliding_rope
        self._sliding_rotation = self._rotation if sliding is None else _rotation(sliding, tokens)
        self._query_scale = hparams.query_scale or hparams.derived_query_scale()

    def embedded(self, embeddings: Values, ids: Values) -> Values:
        """Hidden states before the first layer, float32 ``(samples, tokens, dim)``."""
        scale = sqrt(self._hparams.dim) if self._hparams.switches.scales_embeddings else 1.0
        return _F.embedding(ids, embeddings) * scale

    def layer(self, number: int, x: Values, weights: Mapping[str, Values]) -> Values:
        """Hidden states behind a layer.

        Args:
            number: of the layer.
            x: hidden states before it, float32 ``(samples, tokens, dim)``.
            weights: of the layer, not fused, by name without ``blk.N.``.
        """
        y = self._attention(number, self._normed(x, weights["attn_norm.weight"]), weights)
        x = x + self._post_normed(y, weights, "post_attention_norm.weight")
        y = self._feed_forward(self._normed(x, weights["ffn_norm.weight"]), weights)
        return x + self._post_normed(y, weights, "post_ffw_norm.weight")

    def end(self, x: Values, norm: Values) -> Values:
        """What enters the output matrix, of the hidden states behind the last layer."""
        return self._normed(x, norm)

    def logits(self, end: Values, output: Values) -> Values:
        """Logits of what enters the output matrix."""
        return _capped(end @ output.T, self._hparams.final_softcap)

    def _normed(self, x: Values, weight: Values) -> Values:
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self._hparams.eps) * weight

    def _post_normed(self, x: Values, weights: Mapping[str, Values], name: str) -> Values:
        return self._normed(x, weights[name]) if name in weights else x

    def _attention(self, number: int, x: Values, weights: Mapping[str, Values]) -> Values:
        hparams = self._hparams
        window = hparams.windows[number]
        rotation = self._sliding_rotation if window else self._rotation
        q, k = (
            self._rotated(self._heads(x, weights, name, count), rotation)
            for name, count in (("attn_q", hparams.heads), ("attn_k", hparams.kv_heads))
        )
        v = self._heads(x, weights, "attn_v", hparams.kv_heads)
        group = hparams.heads // hparams.kv_heads
        k, v = (each.repeat_interleave(group, 1) for each in (k, v))
        scores = _capped(q @ k.mT * self._query_scale, hparams.attn_softcap)
        scores = scores.masked_fill(~self._seen(window), -torch.inf)
        y = (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)
        return _product(y, weights, "attn_output")

    def _heads(self, x: Values, weights: Mapping[str, Values], name: str, count: int) -> Values:
        """``(samples, heads, tokens, elements)``."""
        y = _product(x, weights, name).unflatten(-1, (count, self._hparams.head_dim))
        return self._post_normed(y, weights, f"{name}_norm.weight").transpose(1, 2)

    def _rotated(self, x: Values, rotation: tuple[Values, Values]) -> Values:
        """Pairs of a head's first elements turned by their positions' angles."""
        cosine, sine = rotation
        pairs = cosine.shape[-1]
        turned, rest = x[..., : 2 * pairs], x[..., 2 * pairs :]
        is_halved = self._hparams.switches.rope_pairs == "halves"
        shape, axis = ((2, pairs), -2) if is_halved else ((pairs, 2), -1)
        first, second = turned.unflatten(-1, shape).unbind(axis)
        ends = (first * cosine - second * sine, first * sine + second * cosine)
        return torch.cat((torch.stack(ends, axis).flatten(-2), rest), -1)

    def _seen(self, window: int) -> Values:
        """Which positions (columns) each token attends to."""
        places = torch.arange(self._tokens)
        back = places[:, None] - places
        return (back >= 0) & (back < (window or self._tokens))

    def _feed_forward(self, x: Values, weights: Mapping[str, Values]) -> Values:
        gate = _product(x, weights, "ffn_gate")
        is_gelu = self._hparams.switches.gate == "gelu"
        gate = _F.gelu(gate, approximate="tanh") if is_gelu else _F.silu(gate)
        return _product(gate * _product(x, weights, "ffn_up"), weights, "ffn_down")


def _product(x: Values, weights: Mapping[str, Values], name: str) -> Values:
    return _F.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))


def _capped(x: Values, cap: float) -> Values:
    return cap * torch.tanh(x / cap) if cap else x


def _rotation(rope: Rope, tokens: int) -> tuple[Values, Values]:
    """Cosine and sine for each position and pair, float32 ``(tokens, pairs)``."""
    angles = np.outer(np.arange(tokens), _frequencies(rope, tokens))
    magnitude = rope.attention_factor
    if isinstance(rope.scaling, YarnScaling):
        magnitude *= rope.scaling.magnitude
    cosine, sine = (np.float32(f(angles) * magnitude) for f in (np.cos, np.sin))
    return torch.from_numpy(cosine), torch.from_numpy(sine)


def _frequencies(rope: Rope, tokens: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Radians a position, of each pair."""
    found = rope.base ** (-np.arange(0, rope.dims, 2) / rope.dims)
    factors = rope.freq_factors()
    if isinstance(rope.factors, LongRope) and tokens > rope.factors.original_context:
        factors = rope.long_freq_factors()
    if factors:
        found = found / np.array(factors)
    if isinstance(rope.scaling, LinearScaling):
        return np.asarray(found / rope.scaling.factor)
    if isinstance(rope.scaling, YarnScaling):
        stretched = _stretched(rope, rope.scaling)
        return np.asarray(found * (1 - stretched) + found / rope.scaling.factor * stretched)
    return np.asarray(found)


def _stretched(rope: Rope, yarn: YarnScaling) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How much of YaRN's factor each pair gets: 0 to 1."""

    def pair(turns: float) -> float:
        return rope.dims * log(yarn.original_context / (turns * 2 * pi)) / (2 * log(rope.base))

    low = max(0, floor(pair(yarn.beta_fast)))
    high = min(rope.dims - 1, ceil(pair(yarn.beta_slow)))
    places = np.arange(rope.dims // 2)
    return np.clip((places - low) / max(0.001, high - low), 0.0, 1.0)
