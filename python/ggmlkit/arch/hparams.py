"""The hyper-parameters of a model, whatever kind of file they were read from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

import numpy as np
import numpy.typing as npt

from ggmlkit.arch import tensor_names as names
from ggmlkit.arch.architectures import ARCHITECTURES, Architecture
from ggmlkit.arch.rope import LongRope, Rope, checked_rope
from ggmlkit.errors import HparamsError

_MAX_HEAD_DIM = 1 << 16  # tables of this size are made before any tensor is read
_MAX_LAYERS = 1 << 16


class ConversionWarning(UserWarning):
    """The result is usable, but something of the source could not be converted exactly."""


@dataclass(frozen=True)
class Hparams:
    """All that distinguishes a model, beside its weights.

    Made by ``from_gguf_keys``, ``from_hf_config`` and ``from_meta_params``, which refuse, by name,
    any setting without a field here. Raises HparamsError if sizes contradict each other.

    Attributes:
        architecture: gguf's name; :attr:`switches` are its switches.
        layers, dim, heads, kv_heads, head_dim, ffn, vocab: sizes.
        context: context length in tokens that the model was trained for.
        eps: added to the mean square in RMSNorm.
        rope: RoPE settings.
        windows: for each layer, the positions that a token sees, including its own; 0 for all.
        sliding_rope: RoPE settings of layers with a window; None if the same as the others'.
        query_scale: factor of queries; 0 for the one derived from the sizes.
        attn_softcap, final_softcap: soft caps of attention scores and of logits; 0 for none.
        qkv_bias, output_bias, mlp_bias: which matrices have biases.
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
    context: int
    eps: float
    rope: Rope
    windows: tuple[int, ...]
    sliding_rope: Rope | None = None
    query_scale: float = 0.0
    attn_softcap: float = 0.0
    final_softcap: float = 0.0
    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    tied: bool = False

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads:
            raise HparamsError(
                f"{self.heads} heads are not a multiple of {self.kv_heads} key/value heads"
            )
        if not 0 < self.head_dim <= _MAX_HEAD_DIM:
            raise HparamsError(f"a head size of {self.head_dim} is not between 1 and 65536")
        if self.switches.is_tied and not self.tied:
            raise HparamsError(
                f"an output matrix that differs from the embeddings (tie_word_embeddings = false, "
                f"or a tensor {names.OUTPUT}) is not supported for {self.architecture}"
            )
        if len(self.windows) != self.layers:
            raise HparamsError(f"there are {len(self.windows)} windows for {self.layers} layers")
        for rope in filter(None, (self.rope, self.sliding_rope)):
            checked_rope(rope, self.head_dim)

    @property
    def switches(self) -> Architecture:
        """The architecture's switches."""
        return ARCHITECTURES[self.architecture]

    @property
    def window(self) -> int:
        """Positions that tokens of sliding layers see; 0 if no layer slides."""
        return max(self.windows)

    @property
    def rotates_whole_heads(self) -> bool:
        """Whether all elements of a head are rotated."""
        return self.rope.dims == self.head_dim

    def derived_query_scale(self) -> float:
        """The factor of queries that is derived from the sizes."""
        is_wide = self.layers == self.switches.wide_scale_layers
        return 1 / sqrt(self.dim / self.heads if is_wide else self.head_dim)

    def rope_tensors(self) -> dict[str, npt.NDArray[np.float32]]:
        """The tensors of rotation factors that a gguf file must hold, by name."""
        factors = np.array(self.rope.freq_factors(), np.float32)
        if isinstance(self.rope.factors, LongRope):
            long = np.array(self.rope.long_freq_factors(), np.float32)
            return {names.ROPE_LONG: long, names.ROPE_SHORT: factors}
        return {names.ROPE_FREQS: factors} if factors.size else {}

    def layer_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of a layer's tensors by name without ``blk.N.``, in the order of a file."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        dim, ffn = self.dim, self.ffn
        found: dict[str, tuple[int, ...]] = {"attn_norm.weight": (dim,)}

        def add(name: str, rows: int, columns: int, biased: bool) -> None:
            found[f"{name}.weight"] = (rows, columns)
            if biased:
                found[f"{name}.bias"] = (rows,)

        if self.switches.is_fused:
            add("attn_qkv", q + 2 * kv, dim, biased=False)
        else:
            add("attn_q", q, dim, self.qkv_bias)
            add("attn_k", kv, dim, self.qkv_bias)
            add("attn_v", kv, dim, self.qkv_bias)
        if self.switches.has_head_norms:
            found["attn_q_norm.weight"] = found["attn_k_norm.weight"] = (self.head_dim,)
        add("attn_output", dim, q, self.output_bias)
        if self.switches.has_post_norms:
            found["post_attention_norm.weight"] = (dim,)
        found["ffn_norm.weight"] = (dim,)
        if self.switches.is_fused:
            add("ffn_up", 2 * ffn, dim, biased=False)
        else:
            add("ffn_gate", ffn, dim, self.mlp_bias)
            add("ffn_up", ffn, dim, self.mlp_bias)
        add("ffn_down", dim, ffn, self.mlp_bias)
        if self.switches.has_post_norms:
            found["post_ffw_norm.weight"] = (dim,)
        return found

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every tensor's gguf name and shape, in the order of a file."""
        yield names.EMBEDDINGS, (self.vocab, self.dim)
        for name, values in self.rope_tensors().items():
            yield name, values.shape
        layer = self.layer_shapes()
        for index in range(self.layers):
            for name, shape in layer.items():
                yield f"blk.{index}.{name}", shape
        yield names.OUTPUT_NORM, (self.dim,)
        if not self.tied:
            yield names.OUTPUT, (self.vocab, self.dim)


def checked_layers(layers: int) -> int:
    """``layers``; raises HparamsError if it is too large to make lists of that length."""
    if layers > _MAX_LAYERS:
        raise HparamsError(f"{layers} layers are more than any model has")
    return layers
