"""What a checkpoint says about its shape, and the gguf keys and tensors that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from ggmlkit.arch import tensor_names as names
from ggmlkit.arch.architectures import ARCHITECTURES, Architecture, slides
from ggmlkit.arch.rope_scaling import Llama3Scaling, LongRope
from ggmlkit.errors import ConversionError

DEFAULT_THETA = 10000.0
_MAX_HEAD_DIM = 1 << 16  # tables of this size are made before any tensor is looked at
_MAX_LAYERS = 1 << 16


class ConversionWarning(UserWarning):
    """The result is sound, but something of the source could not be carried over whole."""


@dataclass(frozen=True)
class Hparams:
    """A model's sizes and switches, whichever way they were written.

    Attributes:
        architecture: as gguf calls it.
        rotated: elements of a head that are rotated, the first ones; 0 for all.
        scaling: what follows ``rope.scaling.`` in gguf keys.
        sliding: for each layer whether it slides; empty where this is as the architecture has it.
        window: positions that tokens of sliding layers see; 0 for all.
        query_scale: multiplies queries; 0 for what the architecture derives from the sizes.
        score_cap, logit_cap: soft caps of attention scores and of logits; 0 for none.
        qkv_bias, output_bias, mlp_bias: which matrices have biases.
        tied: whether the output matrix is the embedding matrix.
    """

    dim: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    context: int
    eps: float
    architecture: str = "llama"
    theta: float = DEFAULT_THETA
    rotated: int = 0
    scaling: Mapping[str, Any] = field(default_factory=dict)
    llama3: Llama3Scaling | None = None
    long_rope: LongRope | None = None
    window: int = 0
    sliding: tuple[bool, ...] = ()
    query_scale: float = 0.0
    score_cap: float = 0.0
    logit_cap: float = 0.0
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    tied: bool = False

    @property
    def family(self) -> Architecture:
        """The architecture's switches."""
        return ARCHITECTURES[self.architecture]

    @property
    def rope_dims(self) -> int:
        """Elements of a head that are rotated."""
        return self.rotated or self.head_dim

    def sliding_layers(self) -> list[bool]:
        """For each layer whether it slides."""
        period = self.family.window_period
        return list(self.sliding) or [slides(layer, period) for layer in range(self.layers)]

    def derived_query_scale(self) -> float:
        """What multiplies queries where no key says."""
        wide = self.layers == self.family.wide_scale_layers
        return 1 / sqrt(self.dim / self.heads if wide else self.head_dim)

    def metadata(self) -> dict[str, Any]:
        """The gguf keys."""
        found: dict[str, Any] = {
            "vocab_size": self.vocab,
            "context_length": self.context,
            "embedding_length": self.dim,
            "block_count": self.layers,
            "feed_forward_length": self.ffn,
            "rope.dimension_count": self.rope_dims,
            "attention.head_count": self.heads,
            "attention.head_count_kv": self.kv_heads,
            "attention.layer_norm_rms_epsilon": self.eps,
            "rope.freq_base": self.theta,
        }
        if self.head_dim * self.heads != self.dim:
            found["attention.key_length"] = self.head_dim
            found["attention.value_length"] = self.head_dim
        found.update({f"rope.scaling.{key}": value for key, value in self.scaling.items()})
        if self.llama3:
            # rope_freqs.weight carries the effect; the trained context lets export invert it.
            found["rope.scaling.original_context_length"] = self.llama3.original_context
        if self.long_rope:
            found["rope.scaling.original_context_length"] = self.long_rope.original_context
            found["rope.scaling.attn_factor"] = self.long_rope.attention_factor
        if self.window:
            found["attention.sliding_window"] = self.window
        if self.sliding:
            found["attention.sliding_window_pattern"] = list(self.sliding)
        switches = {
            "attention.scale": self.query_scale,
            "attn_logit_softcapping": self.score_cap,
            "final_logit_softcapping": self.logit_cap,
        }
        found.update({key: value for key, value in switches.items() if value})
        prefix = self.architecture
        keys = {f"{prefix}.{key}": value for key, value in found.items()}
        return {"general.architecture": prefix, **keys}

    def rope_divisors(self) -> npt.NDArray[np.float32] | None:
        """The values of rope_freqs.weight, or None where no such tensor is needed."""
        return self.llama3.divisors(self.theta, self.rope_dims) if self.llama3 else None

    def rope_tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """The tensors of divisors that the file must hold, by name."""
        found: dict[str, npt.NDArray[np.float32]] = {}
        divisors = self.rope_divisors()
        if divisors is not None:
            found[names.ROPE_FREQS] = divisors
        if self.long_rope:
            found[names.ROPE_LONG] = np.array(self.long_rope.long, np.float32)
            found[names.ROPE_SHORT] = np.array(self.long_rope.short, np.float32)
        return found

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """What follows ``blk.N.`` in a layer's tensor names, and shapes, in the order written."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        dim, ffn = self.dim, self.ffn
        found: dict[str, tuple[int, ...]] = {"attn_norm.weight": (dim,)}

        def add(name: str, rows: int, columns: int, biased: bool) -> None:
            found[f"{name}.weight"] = (rows, columns)
            if biased:
                found[f"{name}.bias"] = (rows,)

        if self.family.is_fused:
            add("attn_qkv", q + 2 * kv, dim, biased=False)
        else:
            add("attn_q", q, dim, self.qkv_bias)
            add("attn_k", kv, dim, self.qkv_bias)
            add("attn_v", kv, dim, self.qkv_bias)
        if self.family.has_head_norms:
            found["attn_q_norm.weight"] = found["attn_k_norm.weight"] = (self.head_dim,)
        add("attn_output", dim, q, self.output_bias)
        if self.family.has_post_norms:
            found["post_attention_norm.weight"] = (dim,)
        found["ffn_norm.weight"] = (dim,)
        if self.family.is_fused:
            add("ffn_up", 2 * ffn, dim, biased=False)
        else:
            add("ffn_gate", ffn, dim, self.mlp_bias)
            add("ffn_up", ffn, dim, self.mlp_bias)
        add("ffn_down", dim, ffn, self.mlp_bias)
        if self.family.has_post_norms:
            found["post_ffw_norm.weight"] = (dim,)
        return found

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every tensor's gguf name and shape, in the order they are written."""
        yield "token_embd.weight", (self.vocab, self.dim)
        for name, values in self.rope_tensors().items():
            yield name, values.shape
        layer = self.layer_shapes()
        for index in range(self.layers):
            for name, shape in layer.items():
                yield f"blk.{index}.{name}", shape
        yield "output_norm.weight", (self.dim,)
        if not self.tied:
            yield "output.weight", (self.vocab, self.dim)


def checked(hparams: Hparams) -> Hparams:
    """The same; raises ConversionError where sizes contradict each other."""
    if hparams.heads % hparams.kv_heads:
        raise ConversionError(
            f"{hparams.heads} heads do not divide into {hparams.kv_heads} key/value heads"
        )
    if hparams.head_dim % 2 or hparams.head_dim > _MAX_HEAD_DIM:
        raise ConversionError(f"a head size of {hparams.head_dim} is not even, or beyond reason")
    if hparams.rope_dims % 2 or hparams.rope_dims > hparams.head_dim:
        raise ConversionError(
            f"{hparams.rope_dims} rotated elements of {hparams.head_dim} are not even, or too many"
        )
    return hparams


def checked_layers(layers: int) -> int:
    """The same; raises ConversionError for more than lists are made of before tensors are seen."""
    if layers > _MAX_LAYERS:
        raise ConversionError(f"{layers} layers are beyond reason")
    return layers
