"""What the decoder must know of a model, read from its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np

from ggmlkit.arch.architectures import (
    ARCHITECTURES,
    Architecture,
    architecture_names,
    slides,
)
from ggmlkit.errors import ModelError
from ggmlkit.tensor import Tensor

EMBEDDINGS = "token_embd.weight"
OUTPUT = "output.weight"
ROPE_FREQS = "rope_freqs.weight"
ROPE_SHORT = "rope_factors_short.weight"
ROPE_LONG = "rope_factors_long.weight"
ROPE_TENSORS = (ROPE_FREQS, ROPE_SHORT, ROPE_LONG)  # parts of the configuration
_LEGACY_EPS = 1e-6  # what the containers before gguf, which store none, were run with

# Keys of features that the decoder does not compute, and the values that switch them off.
_OFF: Mapping[str, tuple[Any, ...]] = {
    "attention.causal": (True,),
    "attention.clamp_kqv": (0,),
    "attention.max_alibi_bias": (0,),
    "embedding_scale": (0, 1),
    "logit_scale": (0, 1),
    "residual_scale": (0, 1),
    "use_parallel_residual": (False,),
}


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes and switches of a LLaMA-family model.

    Attributes:
        architecture: ``general.architecture``.
        layers, dim, heads, kv_heads, head_dim, ffn, vocab: sizes.
        trained_context: tokens of context that the model was trained for.
        norm_eps: added to the mean square in RMSNorm.
        rope_dims: rotated elements of a head, the first ones.
        rope_pairs: which of them turn together: ``"neighbours"`` or ``"halves"``.
        rope_base: of the rotation frequencies.
        rope_scaling: ``"none"``, ``"linear"`` or ``"yarn"``.
        rope_factor: how much longer than the trained context it stretches.
        rope_original_context: tokens trained for before the stretching.
        rope_attention_factor: multiplies cosine and sine.
        rope_beta_fast, rope_beta_slow: yarn's bounds, in turns within the original context.
        rope_divisors: empty, or one divisor a frequency (Llama 3.1's ``rope_freqs.weight``).
        rope_long_divisors: empty, or those of contexts longer than the original one (Phi-3's
            ``rope_factors_long.weight``).
        gate: activation of the feed-forward gate, ``"silu"`` or ``"gelu"``.
        embedding_scale: multiplies embeddings.
        query_scale: multiplies queries; 0 for one over the root of the head size.
        score_cap, logit_cap: soft caps of attention scores and of logits; 0 for none.
        has_head_norms: whether each query and key is normed before it is rotated.
        has_post_norms: whether what a block adds to the stream is normed before.
        windows: empty, or for each layer how many positions a token sees, its own included; 0 for
            all.
        tied: whether the output matrix is the embedding matrix.
    """

    architecture: str
    layers: int
    dim: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    trained_context: int
    norm_eps: float
    rope_dims: int
    rope_pairs: str
    rope_base: float
    rope_scaling: str
    rope_factor: float
    rope_original_context: float
    rope_attention_factor: float
    rope_beta_fast: float
    rope_beta_slow: float
    rope_divisors: tuple[float, ...]
    rope_long_divisors: tuple[float, ...]
    gate: str
    embedding_scale: float
    query_scale: float
    score_cap: float
    logit_cap: float
    has_head_norms: bool
    has_post_norms: bool
    windows: tuple[int, ...]
    tied: bool

    def asdict(self) -> dict[str, Any]:
        """The fields by name, as the compiled decoder takes them."""
        return asdict(self)

    @classmethod
    def from_metadata(
        cls, metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]
    ) -> LlamaConfig:
        """Read gguf keys; widths that the keys leave out follow from the tensors' shapes.

        Raises:
            ModelError: another architecture, a missing key or tensor, a value out of range, or a
                feature that the decoder does not compute.
        """
        architecture = _architecture(metadata)
        keys = _Keys(metadata, architecture.name)
        _refuse_features(keys)
        heads = keys.count("attention.head_count")
        dim = keys.count("embedding_length")
        head_dim = keys.count("attention.key_length", max(dim // heads, 1))
        if keys.count("attention.value_length", head_dim) != head_dim:
            raise ModelError("heads whose keys and values differ in length are not supported")
        vocab, ffn = _rows(tensors, EMBEDDINGS), _hidden_rows(tensors)
        if keys.count("vocab_size", vocab) != vocab:
            raise ModelError(
                f"{keys.name('vocab_size')} is {keys.count('vocab_size')}, "
                f"{EMBEDDINGS} has {vocab} rows"
            )
        layers = keys.count("block_count")
        if layers > len(tensors):  # before memory is taken for them
            raise ModelError(f"{keys.name('block_count')} is {layers}, more than there are tensors")
        context = keys.count("context_length", 2048)
        scaling, factor = _scaling(keys, tensors)
        return cls(
            architecture=architecture.name,
            layers=layers,
            dim=dim,
            heads=heads,
            kv_heads=keys.count("attention.head_count_kv", heads),
            head_dim=head_dim,
            ffn=keys.count("feed_forward_length", ffn),
            vocab=vocab,
            trained_context=context,
            norm_eps=keys.number("attention.layer_norm_rms_epsilon", _LEGACY_EPS),
            rope_dims=keys.count("rope.dimension_count", head_dim),
            rope_pairs=architecture.rope_pairs,
            rope_base=keys.number("rope.freq_base", 10000.0),
            rope_scaling=scaling,
            rope_factor=factor,
            rope_original_context=keys.count("rope.scaling.original_context_length", context),
            rope_attention_factor=_attention_factor(keys),
            rope_beta_fast=keys.number("rope.scaling.yarn_beta_fast", 32.0),
            rope_beta_slow=keys.number("rope.scaling.yarn_beta_slow", 1.0),
            rope_divisors=_divisors(tensors, ROPE_FREQS) or _divisors(tensors, ROPE_SHORT),
            rope_long_divisors=_divisors(tensors, ROPE_LONG),
            gate=architecture.gate,
            embedding_scale=sqrt(dim) if architecture.scales_embeddings else 1.0,
            query_scale=_query_scale(keys, architecture, layers, dim, heads),
            score_cap=keys.number("attn_logit_softcapping", architecture.score_cap),
            logit_cap=keys.number("final_logit_softcapping", architecture.logit_cap),
            has_head_norms=architecture.has_head_norms,
            has_post_norms=architecture.has_post_norms,
            windows=_windows(keys, architecture, layers),
            tied=OUTPUT not in tensors,
        )


class _Keys:
    """Typed access to the keys of one architecture."""

    def __init__(self, metadata: Mapping[str, Any], architecture: str) -> None:
        self._metadata = metadata
        self._architecture = architecture

    def name(self, key: str) -> str:
        """The whole key."""
        return f"{self._architecture}.{key}"

    def flags(self, key: str) -> list[bool] | None:
        """The truth of each value of a list, or None where there is no list."""
        value = self._metadata.get(self.name(key))
        if not isinstance(value, (list, tuple, np.ndarray)):
            return None
        return [bool(each) for each in value]

    def get(self, key: str, default: Any = None) -> Any:
        value = self._metadata.get(self.name(key), default)
        if value is None:
            raise ModelError(f"the file lacks {self.name(key)}")
        if isinstance(value, (list, tuple, np.ndarray)):
            # Some families store one number a layer; this decoder takes them where all agree.
            listed = value.tolist() if isinstance(value, np.ndarray) else value
            values = {each if isinstance(each, (int, float)) else str(each) for each in listed}
            if len(values) != 1:
                raise ModelError(f"{self.name(key)} differs between layers, which is not supported")
            return values.pop()
        return value

    def count(self, key: str, default: int | None = None) -> int:
        value = self.get(key, default)
        if isinstance(value, (str, bytes)) or not 0 < value < 1 << 31 or int(value) != value:
            raise ModelError(f"{self.name(key)} is {value!r}, no sensible count")
        return int(value)

    def number(self, key: str, default: float) -> float:
        value = self.get(key, default)
        if isinstance(value, (str, bytes)) or not np.isfinite(value) or value < 0:
            raise ModelError(f"{self.name(key)} is {value!r}, no sensible number")
        return float(value)


def _architecture(metadata: Mapping[str, Any]) -> Architecture:
    name = metadata.get("general.architecture", "llama")
    found = ARCHITECTURES.get(name) if isinstance(name, str) else None
    if found is None:
        raise ModelError(
            f"no decoder for the architecture {str(name)[:80]!r}; "
            f"there is for {architecture_names()}"
        )
    return found


def _refuse_features(keys: _Keys) -> None:
    if int(keys.number("expert_count", 0)) > 0:
        raise ModelError("mixture-of-experts models are not supported")
    for key, off in _OFF.items():
        value = keys.get(key, off[0])
        if value not in off:
            raise ModelError(f"{keys.name(key)} is {value!r}, which is not supported")


def _query_scale(
    keys: _Keys, architecture: Architecture, layers: int, dim: int, heads: int
) -> float:
    if layers == architecture.wide_scale_layers:
        return keys.number("attention.scale", 1 / sqrt(dim / heads))
    return keys.number("attention.scale", 0.0)


def _windows(keys: _Keys, architecture: Architecture, layers: int) -> tuple[int, ...]:
    """Positions seen in each layer, 0 for all; empty where no layer slides."""
    window = 0
    if keys.number("attention.sliding_window", architecture.window):
        window = keys.count("attention.sliding_window", architecture.window)
    sliding = keys.flags("attention.sliding_window_pattern")
    if sliding is None:  # one number, or none: every so many layers one sees everything
        period = keys.number("attention.sliding_window_pattern", architecture.window_period)
        sliding = [slides(layer, int(period)) for layer in range(layers)]
    if len(sliding) != layers:
        raise ModelError(
            f"{keys.name('attention.sliding_window_pattern')} has {len(sliding)} values "
            f"for {layers} layers"
        )
    if window == 0 or not any(sliding):
        return ()
    return tuple(window if each else 0 for each in sliding)


def _scaling(keys: _Keys, tensors: Mapping[str, Tensor]) -> tuple[str, float]:
    # A factor without a type means linear; files of 2023 called it scale_linear.
    name = keys.get("rope.scaling.type", "linear")
    if name == "longrope" and ROPE_LONG in tensors and ROPE_SHORT in tensors:
        return "none", 1.0  # the tensors say it all
    if name not in ("none", "linear", "yarn"):
        raise ModelError(f"RoPE scaling {name!r} is not supported; none, linear and yarn are")
    factor = keys.number("rope.scaling.factor", keys.number("rope.scale_linear", 1.0))
    if name == "none" or factor in (0.0, 1.0):
        return "none", 1.0
    if name == "yarn" and keys.get("rope.scaling.yarn_ext_factor", 1.0) not in (1.0, -1.0):
        raise ModelError("yarn scaling with an extrapolation factor other than 1 is not supported")
    return str(name), factor


def _attention_factor(keys: _Keys) -> float:
    return keys.number("rope.scaling.attn_factor", 1.0) * keys.number(
        "rope.scaling.yarn_attn_factor", 1.0
    )


def _rows(tensors: Mapping[str, Tensor], name: str) -> int:
    tensor = tensors.get(name)
    if tensor is None:
        raise ModelError(f"tensor {name} is missing")
    return tensor.shape[0] if tensor.shape else 1


def _hidden_rows(tensors: Mapping[str, Tensor]) -> int:
    """Width of the feed-forward part; where gate and up are one tensor, half of its rows."""
    if "blk.0.ffn_gate.weight" in tensors:
        return _rows(tensors, "blk.0.ffn_gate.weight")
    return _rows(tensors, "blk.0.ffn_up.weight") // 2


def _divisors(tensors: Mapping[str, Tensor], name: str) -> tuple[float, ...]:
    tensor = tensors.get(name)
    if tensor is None:
        return ()
    values = tensor.dequantize().reshape(-1)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ModelError(f"{name} must hold positive numbers")
    return tuple(values.tolist())
