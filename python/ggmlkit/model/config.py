"""What the decoder must know of a model, read from its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ggmlkit.errors import ModelError
from ggmlkit.tensor import Tensor

EMBEDDINGS = "token_embd.weight"
OUTPUT = "output.weight"
ROPE_FREQS = "rope_freqs.weight"
_LEGACY_EPS = 1e-6  # what the containers before gguf, which store none, were run with


@dataclass(frozen=True)
class LlamaConfig:
    """Sizes and switches of a LLaMA-family model.

    Attributes:
        layers, dim, heads, kv_heads, head_dim, ffn, vocab: sizes.
        trained_context: tokens of context that the model was trained for.
        norm_eps: added to the mean square in RMSNorm.
        rope_dims: rotated elements of a head, the first ones.
        rope_base: of the rotation frequencies.
        rope_scaling: ``"none"``, ``"linear"`` or ``"yarn"``.
        rope_factor: how much longer than the trained context it stretches.
        rope_original_context: tokens trained for before the stretching.
        rope_attention_factor: multiplies cosine and sine.
        rope_beta_fast, rope_beta_slow: yarn's bounds, in turns within the original context.
        rope_divisors: empty, or one divisor a frequency (Llama 3.1's ``rope_freqs.weight``).
        tied: whether the output matrix is the embedding matrix.
    """

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
    rope_base: float
    rope_scaling: str
    rope_factor: float
    rope_original_context: float
    rope_attention_factor: float
    rope_beta_fast: float
    rope_beta_slow: float
    rope_divisors: tuple[float, ...]
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
        architecture = metadata.get("general.architecture", "llama")
        if not isinstance(architecture, str) or architecture != "llama":
            raise ModelError(
                f"no decoder for the architecture {str(architecture)[:80]!r}; there is for llama"
            )
        keys = _Keys(metadata)
        if int(keys.number("expert_count", 0)) > 0:
            raise ModelError("mixture-of-experts models are not supported")
        heads = keys.count("attention.head_count")
        dim = keys.count("embedding_length")
        head_dim = keys.count("attention.key_length", max(dim // heads, 1))
        if keys.count("attention.value_length", head_dim) != head_dim:
            raise ModelError("heads whose keys and values differ in length are not supported")
        vocab, ffn = _rows(tensors, EMBEDDINGS), _rows(tensors, "blk.0.ffn_gate.weight")
        if keys.count("vocab_size", vocab) != vocab:
            raise ModelError(
                f"llama.vocab_size is {keys.count('vocab_size')}, {EMBEDDINGS} has {vocab} rows"
            )
        layers = keys.count("block_count")
        if layers > len(tensors):  # before memory is taken for them
            raise ModelError(f"llama.block_count is {layers}, more than there are tensors")
        context = keys.count("context_length", 2048)
        scaling, factor = _scaling(keys)
        return cls(
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
            rope_base=keys.number("rope.freq_base", 10000.0),
            rope_scaling=scaling,
            rope_factor=factor,
            rope_original_context=keys.count("rope.scaling.original_context_length", context),
            rope_attention_factor=_attention_factor(keys),
            rope_beta_fast=keys.number("rope.scaling.yarn_beta_fast", 32.0),
            rope_beta_slow=keys.number("rope.scaling.yarn_beta_slow", 1.0),
            rope_divisors=_divisors(tensors),
            tied=OUTPUT not in tensors,
        )


class _Keys:
    """Typed access to ``llama.*`` keys."""

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._metadata = metadata

    def get(self, key: str, default: Any = None) -> Any:
        value = self._metadata.get(f"llama.{key}", default)
        if value is None:
            raise ModelError(f"the file lacks llama.{key}")
        if isinstance(value, (list, tuple, np.ndarray)):
            # Some families store one number a layer; this decoder takes them where all agree.
            listed = value.tolist() if isinstance(value, np.ndarray) else value
            values = {each if isinstance(each, (int, float)) else str(each) for each in listed}
            if len(values) != 1:
                raise ModelError(f"llama.{key} differs between layers, which is not supported")
            return values.pop()
        return value

    def count(self, key: str, default: int | None = None) -> int:
        value = self.get(key, default)
        if isinstance(value, (str, bytes)) or not 0 < value < 1 << 31 or int(value) != value:
            raise ModelError(f"llama.{key} is {value!r}, no sensible count")
        return int(value)

    def number(self, key: str, default: float) -> float:
        value = self.get(key, default)
        if isinstance(value, (str, bytes)) or not np.isfinite(value) or value < 0:
            raise ModelError(f"llama.{key} is {value!r}, no sensible number")
        return float(value)


def _scaling(keys: _Keys) -> tuple[str, float]:
    # A factor without a type means linear; files of 2023 called it scale_linear.
    name = keys.get("rope.scaling.type", "linear")
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


def _divisors(tensors: Mapping[str, Tensor]) -> tuple[float, ...]:
    tensor = tensors.get(ROPE_FREQS)
    if tensor is None:
        return ()
    values = tensor.dequantize().reshape(-1)
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ModelError(f"{ROPE_FREQS} must hold positive numbers")
    return tuple(values.tolist())
