"""Reads hyper-parameters from gguf keys, and writes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isclose
from typing import Any

from ggmlkit.arch import tensor_names as names
from ggmlkit.arch.architectures import ARCHITECTURES, Architecture, architecture_names, slides
from ggmlkit.arch.gguf_features import refuse_features
from ggmlkit.arch.gguf_rope import gguf_rope, gguf_rope_keys
from ggmlkit.arch.hparams import Hparams, checked_layers
from ggmlkit.arch.key_values import KeyValues
from ggmlkit.arch.rope import Rope
from ggmlkit.errors import HparamsError
from ggmlkit.tensor import Tensor

_LEGACY_EPS = 1e-6  # the value of models older than gguf, whose files don't store it
_PATTERN = "attention.sliding_window_pattern"
_SLIDING_BASE = "rope.freq_base_swa"


def from_gguf_keys(metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Hparams:
    """Hyper-parameters from gguf keys and from the tensors' shapes.

    Args:
        metadata: the keys (of any file, see ModelFile.metadata).
        tensors: by gguf name. Sizes without a key come from their shapes; no data is read except
            RoPE factors.

    Raises:
        HparamsError: the architecture is not supported, a key or tensor is missing, a value is out
            of range, or a key's feature is not supported.
    """
    architecture = _architecture(metadata)
    keys = KeyValues(metadata, architecture.name)
    layers = checked_layers(_layers(keys, tensors))
    dim, heads = keys.count("embedding_length"), keys.count("attention.head_count")
    head_dim = keys.count("attention.key_length", max(dim // heads, 1))
    context = keys.count("context_length", 2048)
    rope = gguf_rope(keys, tensors, head_dim, context)
    sliding_rope = None
    own: dict[str, float] = {
        "attention.key_length": head_dim,
        "rope.dimension_count": rope.dims,
        "rope.freq_base": rope.base,
    }
    if architecture.sliding_base:
        own[_SLIDING_BASE] = keys.positive(_SLIDING_BASE, architecture.sliding_base)
        sliding_rope = Rope(rope.dims, own[_SLIDING_BASE])
    refuse_features(keys, own)
    found = Hparams(
        architecture=architecture.name,
        layers=layers,
        dim=dim,
        heads=heads,
        kv_heads=keys.count("attention.head_count_kv", heads),
        head_dim=head_dim,
        ffn=_ffn(keys, tensors),
        vocab=_vocab(keys, tensors),
        context=context,
        eps=keys.number("attention.layer_norm_rms_epsilon", _LEGACY_EPS),
        rope=rope,
        windows=_windows(keys, architecture, layers),
        sliding_rope=sliding_rope,
        query_scale=keys.number("attention.scale", 0.0),
        attn_softcap=keys.number("attn_logit_softcapping", architecture.attn_softcap),
        final_softcap=keys.number("final_logit_softcapping", architecture.final_softcap),
        qkv_bias="blk.0.attn_q.bias" in tensors,
        output_bias="blk.0.attn_output.bias" in tensors,
        mlp_bias="blk.0.ffn_up.bias" in tensors,
        tied=names.OUTPUT not in tensors,
    )
    if isclose(found.query_scale, found.derived_query_scale(), rel_tol=1e-6):
        return replace(found, query_scale=0.0)  # the key says what is so without it
    return found


def _architecture(metadata: Mapping[str, Any]) -> Architecture:
    name = metadata.get("general.architecture", "llama")
    found = ARCHITECTURES.get(name) if isinstance(name, str) else None
    if found is None:
        raise HparamsError(
            f"architecture {str(name)[:80]!r} is not supported, only {architecture_names()}"
        )
    return found


def _layers(keys: KeyValues, tensors: Mapping[str, Tensor]) -> int:
    layers = keys.count("block_count")
    if layers > len(tensors):  # checked before memory is allocated for them
        raise HparamsError(f"{keys.name('block_count')} is {layers}, more than there are tensors")
    return layers


def _vocab(keys: KeyValues, tensors: Mapping[str, Tensor]) -> int:
    rows = _rows(tensors, names.EMBEDDINGS)
    if keys.count("vocab_size", rows) != rows:
        raise HparamsError(
            f"{keys.name('vocab_size')} is {keys.count('vocab_size')}, but {names.EMBEDDINGS} "
            f"has {rows} rows"
        )
    return rows


def _ffn(keys: KeyValues, tensors: Mapping[str, Tensor]) -> int:
    """Width of the feed-forward part; if gate and up are one tensor, half of its rows."""
    key = "feed_forward_length"
    if key in keys:
        return keys.count(key)
    gate = "blk.0.ffn_gate.weight"
    return _rows(tensors, gate) if gate in tensors else _rows(tensors, "blk.0.ffn_up.weight") // 2


def _rows(tensors: Mapping[str, Tensor], name: str) -> int:
    tensor = tensors.get(name)
    if tensor is None:
        raise HparamsError(f"tensor {name} is missing")
    if len(tensor.shape) != 2:
        raise HparamsError(f"tensor {name} of shape {tensor.shape} is not a matrix")
    return tensor.shape[0]


def _windows(keys: KeyValues, architecture: Architecture, layers: int) -> tuple[int, ...]:
    window = keys.count_or_none("attention.sliding_window", architecture.window)
    sliding = keys.flags(_PATTERN)
    if sliding is None:  # a number or nothing: the period of layers that see everything
        period = keys.count_or_none(_PATTERN, architecture.window_period)
        sliding = tuple(slides(layer, period) for layer in range(layers))
    if len(sliding) != layers:
        raise HparamsError(f"{keys.name(_PATTERN)} has {len(sliding)} values for {layers} layers")
    return tuple(window if each else 0 for each in sliding)


def to_gguf_keys(hparams: Hparams) -> dict[str, Any]:
    """The gguf keys; a file needs :meth:`Hparams.rope_tensors`, too.

    Raises HparamsError if windows have different sizes, as there is no key for it.
    """
    found: dict[str, Any] = {
        "vocab_size": hparams.vocab,
        "context_length": hparams.context,
        "embedding_length": hparams.dim,
        "block_count": hparams.layers,
        "feed_forward_length": hparams.ffn,
        "attention.head_count": hparams.heads,
        "attention.head_count_kv": hparams.kv_heads,
        "attention.layer_norm_rms_epsilon": hparams.eps,
        **gguf_rope_keys(hparams.rope),
        **_window_keys(hparams),
    }
    if hparams.head_dim * hparams.heads != hparams.dim:
        found["attention.key_length"] = hparams.head_dim
        found["attention.value_length"] = hparams.head_dim
    if hparams.sliding_rope is not None:
        found[_SLIDING_BASE] = hparams.sliding_rope.base
    usual = hparams.switches
    optional = {
        "attention.scale": (hparams.query_scale, 0.0),
        "attn_logit_softcapping": (hparams.attn_softcap, usual.attn_softcap),
        "final_logit_softcapping": (hparams.final_softcap, usual.final_softcap),
    }
    found.update({key: value for key, (value, usually) in optional.items() if value or usually})
    prefix = hparams.architecture
    return {"general.architecture": prefix} | {f"{prefix}.{key}": v for key, v in found.items()}


def _window_keys(hparams: Hparams) -> dict[str, Any]:
    sizes = set(hparams.windows) - {0}
    if len(sizes) > 1:
        raise HparamsError("layers with windows of several sizes have no gguf key")
    found: dict[str, Any] = {}
    if sizes:
        found["attention.sliding_window"] = hparams.window
    sliding = tuple(window > 0 for window in hparams.windows)
    has_windows = bool(sizes) or hparams.switches.window > 0
    if has_windows and sliding != hparams.switches.sliding_layers(hparams.layers):
        found[_PATTERN] = list(sliding)
    return found
