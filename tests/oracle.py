"""A decoder of the LLaMA family in plain numpy: the expected results of the compiled one.

Everything is float64 except where the compiled decoder rounds by design: cached keys and values,
and, if requested, the inputs of matrix products: to 8 bits per 32 elements, or, together with the
weights, to bfloat16 if this processor multiplies so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, floor, log, pi, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

import matrices
from ggmlkit.tensor import Tensor

F = NDArray[np.float64]


class Oracle:
    """One model, from gguf metadata and gguf-named tensors.

    Args:
        round_activations: whether inputs are rounded as for quantized weights: the largest
            magnitude of 32 inputs becomes 127, and the rest is rounded too if the 32 are coarse;
            see matrices.py for inputs that are rounded to bfloat16 instead.
        cached: the rounding of keys and values in the cache.
        cached_values: that of values, if it is another.
    """

    def __init__(
        self,
        metadata: Mapping[str, Any],
        tensors: Mapping[str, Tensor],
        *,
        round_activations: bool = False,
        cached: Callable[[F], F] | None = None,
        cached_values: Callable[[F], F] | None = None,
    ) -> None:
        self.cached_keys = cached or as_f16
        self.cached_values = cached_values or self.cached_keys
        self.round_activations = round_activations
        self.w: dict[str, F] = {k: t.dequantize().astype(np.float64) for k, t in tensors.items()}
        self.metadata = metadata
        self.architecture = str(metadata.get("general.architecture", "llama"))
        self.is_gemma = self.architecture.startswith("gemma")
        self.layers = int(self.key("block_count"))
        self.dim = int(self.key("embedding_length"))
        self.heads = int(self.key("attention.head_count"))
        self.kv_heads = int(self.key("attention.head_count_kv", self.heads))
        self.head_dim = int(self.key("attention.key_length", self.dim // self.heads))
        self.eps = float(self.key("attention.layer_norm_rms_epsilon", 1e-6))
        self.rope_dims = int(self.key("rope.dimension_count", self.head_dim))

    def key(self, name: str, default: Any = None) -> Any:
        return self.metadata.get(f"{self.architecture}.{name}", default)

    def logits(self, tokens: Sequence[int]) -> F:
        """Logits after each token: float64 ``(n, vocab)``."""
        x = self.w["token_embd.weight"][list(tokens)] * (sqrt(self.dim) if self.is_gemma else 1)
        for i in range(self.layers):
            angles, magnitude = self.rotations(i, len(tokens))
            y = self.attention(i, self.norm(x, f"blk.{i}.attn_norm"), angles, magnitude)
            x = x + self.norm(y, f"blk.{i}.post_attention_norm", optional=True)
            y = self.feed_forward(i, self.norm(x, f"blk.{i}.ffn_norm"))
            x = x + self.norm(y, f"blk.{i}.post_ffw_norm", optional=True)
        x = self.norm(x, "output_norm")
        output = "output" if "output.weight" in self.w else "token_embd"
        return capped(self.linear(x, output), self.key("final_logit_softcapping"))

    def norm(self, x: F, name: str, *, optional: bool = False) -> F:
        if optional and f"{name}.weight" not in self.w:
            return x
        scale = 1 / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps)
        return np.asarray(x * scale * self.w[f"{name}.weight"])

    def linear(self, x: F, name: str) -> F:
        w = self.w[f"{name}.weight"]
        y = self.rounding_product(x, w, name) if self.round_activations else x @ w.T
        return np.asarray(y + self.w.get(f"{name}.bias", 0))

    def rounding_product(self, x: F, w: F, name: str) -> F:
        n = matrices.multiplied(len(x))
        first = matrices.as_bfloat16(x[:n]) @ matrices.as_bfloat16(w).T
        return np.concatenate([first, rounded(x[n:], _COARSE[name.split(".")[-1]]) @ w.T])

    def attention(self, layer: int, x: F, angles: F, magnitude: float) -> F:
        n = len(x)

        def heads(name: str, count: int) -> F:
            y = self.linear(x, f"blk.{layer}.{name}")
            y = y.reshape(n, count, self.head_dim).swapaxes(0, 1)
            return self.norm(y, f"blk.{layer}.{name}_norm", optional=True)

        q = self.rotate(heads("attn_q", self.heads), angles, magnitude)
        k = self.rotate(heads("attn_k", self.kv_heads), angles, magnitude)
        v = heads("attn_v", self.kv_heads)
        group = self.heads // self.kv_heads
        k, v = (np.repeat(t, group, axis=0) for t in (self.cached_keys(k), self.cached_values(v)))
        scores = q @ k.swapaxes(1, 2) * float(self.key("attention.scale", self.head_dim**-0.5))
        scores = capped(scores, self.key("attn_logit_softcapping"))
        scores[:, ~self.seen(layer, n)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        y = (weights @ v).swapaxes(0, 1).reshape(n, self.heads * self.head_dim)
        return self.linear(y, f"blk.{layer}.attn_output")

    def seen(self, layer: int, n: int) -> NDArray[np.bool_]:
        """Which positions (columns) each token attends to."""
        back = np.arange(n)[:, None] - np.arange(n)
        window = int(self.key("attention.sliding_window", 0))
        return (back >= 0) & ((back < window) | (not self.slides(layer)))

    def feed_forward(self, layer: int, x: F) -> F:
        gate = self.linear(x, f"blk.{layer}.ffn_gate")
        up = self.linear(x, f"blk.{layer}.ffn_up")
        if self.is_gemma:
            gate = gate * (1 + np.tanh(sqrt(2 / pi) * (gate + 0.044715 * gate**3))) / 2
        else:
            gate = gate / (1 + np.exp(-gate))
        return self.linear(gate * up, f"blk.{layer}.ffn_down")

    def rotate(self, x: F, angles: F, magnitude: float) -> F:
        """Rotates pairs as complex numbers: neighbours in LLaMA, else one of each half."""
        d = self.rope_dims
        first, second = slice(0, d, 2), slice(1, d, 2)
        if self.architecture != "llama":
            first, second = slice(0, d // 2), slice(d // 2, d)
        pairs = (x[..., first] + 1j * x[..., second]) * np.exp(1j * angles) * magnitude
        out = x.copy()
        out[..., first], out[..., second] = pairs.real, pairs.imag
        return out

    def slides(self, layer: int) -> bool:
        pattern = self.key("attention.sliding_window_pattern", [True] * self.layers)
        return bool(self.key("attention.sliding_window", 0) and pattern[layer])

    def rotations(self, layer: int, n: int) -> tuple[F, float]:
        """Angle of every position and pair ``(n, rope_dims / 2)``, and the attention factor."""
        base = float(self.key("rope.freq_base", 10000.0))
        d = self.rope_dims
        if self.architecture == "gemma3" and self.slides(layer):
            local = float(self.key("rope.freq_base_swa", 10000.0))
            return np.outer(np.arange(n), local ** -(np.arange(0, d, 2) / d)), 1.0
        frequencies = base ** -(np.arange(0, d, 2) / d)
        if "rope_freqs.weight" in self.w:
            frequencies = frequencies / self.w["rope_freqs.weight"]
        kind = self.key("rope.scaling.type", "none")
        factor = float(self.key("rope.scaling.factor", 1.0))
        magnitude = float(self.key("rope.scaling.attn_factor", 1.0))
        if kind == "linear":
            frequencies = frequencies / factor
        elif kind == "yarn":
            trained = float(self.key("rope.scaling.original_context_length"))

            def pair(turns: float) -> float:
                return d * log(trained / (turns * 2 * pi)) / (2 * log(base))

            low = max(0, floor(pair(float(self.key("rope.scaling.yarn_beta_fast", 32.0)))))
            high = min(d - 1, ceil(pair(float(self.key("rope.scaling.yarn_beta_slow", 1.0)))))
            ramp = np.clip((np.arange(d // 2) - low) / max(0.001, high - low), 0, 1)
            frequencies = frequencies / factor * ramp + frequencies * (1 - ramp)
            magnitude *= 0.1 * log(factor) + 1
        return np.outer(np.arange(n), frequencies), magnitude


def capped(x: F, cap: float | None) -> F:
    return np.asarray(cap * np.tanh(x / cap)) if cap else x


# The decoder rounds in two parts if a scale is this much larger than the row's mean.
_COARSE = {
    **dict.fromkeys(("attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"), 2.0),
    "attn_output": np.inf,
    "ffn_down": 3.0,
    **dict.fromkeys(("output", "token_embd"), 0.75),
}


def rounded(x: F, coarse: float) -> F:
    """Rounded to 8 bits per 32 elements, or to twice 8 where they are coarse."""
    blocks = x.reshape(*x.shape[:-1], -1, 32)
    first = rounded_once(blocks)
    scale = np.abs(blocks).max(-1, keepdims=True)
    is_coarse = scale > coarse * scale.mean(-2, keepdims=True)
    return np.asarray((first + is_coarse * rounded_once(blocks - first)).reshape(x.shape))


def rounded_once(blocks: F) -> F:
    scale = np.abs(blocks).max(-1, keepdims=True) / 127
    return np.asarray(np.rint(blocks / np.where(scale > 0, scale, 1)) * scale)


def as_f16(x: F) -> F:
    return x.astype(np.float16).astype(np.float64)


def as_q8_0(x: F) -> F:
    """Rounded to 8 bits per 32 elements, with a float16 scale."""
    blocks = x.reshape(*x.shape[:-1], -1, 32)
    scale = as_f16(np.abs(blocks).max(-1, keepdims=True) / 127)
    return np.asarray((np.rint(blocks / scale).clip(-127, 127) * scale).reshape(x.shape))


def as_q4_0(x: F) -> F:
    """Rounded to 4 bits per 32 elements, with a float16 scale, after a Walsh-Hadamard transform."""
    d = x.shape[-1]
    length = min(64, d & -d)
    signs = np.array(
        [[1 - 2 * ((i & j).bit_count() % 2) for i in range(length)] for j in range(length)]
    )
    blocks = spread(x, signs).reshape(*x.shape[:-1], -1, 32)
    above, below = blocks.max(-1, keepdims=True), blocks.min(-1, keepdims=True)
    scale = as_f16(np.where(above >= -below, above, below) / -8)
    return spread((np.rint(blocks / scale).clip(-8, 7) * scale).reshape(x.shape), signs) / length


def spread(x: F, signs: NDArray[np.int64]) -> F:
    """Elements that are `d / length` apart, as sums of each other with these signs."""
    runs = x.reshape(*x.shape[:-1], len(signs), -1)
    return np.asarray((signs @ runs).reshape(x.shape))
