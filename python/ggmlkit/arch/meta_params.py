"""Reads hyper-parameters from Meta's params.json, and writes them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ggmlkit.arch.hparams import ConversionWarning, Hparams, checked_layers
from ggmlkit.arch.read_fields import count, epsilon, flag, number
from ggmlkit.arch.rope import DEFAULT_BASE, LinearScaling, Llama3Scaling, Rope
from ggmlkit.errors import HparamsError

# Settings that are read, or that the tensors' shapes show.
_READ = """
dim n_layers n_heads n_kv_heads head_dim hidden_dim vocab_size multiple_of ffn_dim_multiplier
norm_eps rope_theta max_seq_len use_scaled_rope rope_scaling_factor rope_high_freq_factor
"""
_HARMLESS = "dropout flash max_batch_size model_parallel_size"
# Features of models with such a file that Hparams has no field for, and values that mean "off".
_OFF: Mapping[str, tuple[Any, ...]] = {
    "attention_chunk_size": (),
    "attn_bias": (False,),
    "attn_temperature_tuning": (0, False),
    "causal": (True,),
    "llama_4_scaling": (),
    "lora_args": (),
    "moe": (),
    "moe_args": (),
    "n_experts": (0, 1),
    "nope_layer_interval": (),
    "num_experts": (0, 1),
    "quantization_args": (),
    "rope_low_freq_factor": (1,),
    "sliding_window": (),
    "use_qk_norm": (False,),
    "use_sliding_window": (False,),
    "vision_args": (),
    "vision_chunk_size": (-1, 0),
    "vision_num_cross_attention_layers": (-1, 0),
    "yarn": (),
}


def meta_ffn(dim: int, multiple_of: int, multiplier: float | None = None) -> int:
    """Meta's feed-forward width: two thirds of ``4 dim``, scaled, rounded up."""
    hidden = int(2 * (4 * dim) / 3)
    if multiplier is not None:
        hidden = int(multiplier * hidden)
    return -(-hidden // multiple_of) * multiple_of


def meta_ffn_rule(dim: int, ffn: int) -> tuple[int, float | None]:
    """``(multiple_of, ffn_dim_multiplier)`` that make Meta's rule give ``ffn``."""
    for multiple_of in (256, 128, 64, 32, ffn):
        if meta_ffn(dim, multiple_of) == ffn:
            return multiple_of, None
    hidden = int(2 * (4 * dim) / 3)
    return 1, (ffn + 0.5) / hidden  # half a unit more, so that truncation gives ``ffn``


def from_meta_params(params: Mapping[str, Any], *, vocab: int, ffn: int, tied: bool) -> Hparams:
    """Hyper-parameters of a params.json; ``vocab`` and ``ffn`` come from the tensors' shapes.

    Raises HparamsError, which names the setting, for anything that the decoder doesn't support.
    """
    _refuse_unsupported(params)
    dim, heads = count(params, "dim"), count(params, "n_heads")
    layers = checked_layers(count(params, "n_layers"))
    head_dim = count(params, "head_dim", dim // heads)
    base = number(params, "rope_theta", DEFAULT_BASE)
    eps = epsilon(params, "norm_eps", 1e-5)
    if (hidden := count(params, "hidden_dim", ffn)) != ffn:
        raise HparamsError(f"hidden_dim is {hidden}, but the feed-forward tensors have {ffn} rows")
    llama3 = _llama3(params, dim)
    return Hparams(
        architecture="llama",
        layers=layers,
        dim=dim,
        heads=heads,
        kv_heads=count(params, "n_kv_heads", heads),
        head_dim=head_dim,
        ffn=ffn,
        vocab=vocab,
        context=count(params, "max_seq_len", _context(eps, base, llama3)),
        eps=eps,
        rope=Rope(head_dim, base, factors=llama3),
        windows=(0,) * layers,
        tied=tied,
    )


def _refuse_unsupported(params: Mapping[str, Any]) -> None:
    for key, off in _OFF.items():
        if params.get(key) is not None and params[key] not in off:
            raise HparamsError(f"{key} = {params[key]!r} in params.json is not supported")
    known = {*_READ.split(), *_HARMLESS.split(), *_OFF}
    unknown = sorted(map(str, params.keys() - known))
    if unknown:
        warnings.warn(
            f"unknown settings in params.json are left out: {', '.join(unknown)}",
            ConversionWarning,
            stacklevel=2,
        )


def _llama3(params: Mapping[str, Any], dim: int) -> Llama3Scaling | None:
    if not flag(params, "use_scaled_rope"):
        return None
    # Meta's files do not always store the factor: 32 in the small Llama 3.2 models, 8 in 3.1.
    return Llama3Scaling(
        number(params, "rope_scaling_factor", 32.0 if dim <= 3072 else 8.0),
        1.0,
        number(params, "rope_high_freq_factor", 4.0),
        8192,
    )


def _context(eps: float, base: float, llama3: Llama3Scaling | None) -> int:
    """The trained context, which Meta's files don't store; other settings show the generation."""
    if llama3:
        return 131072
    if base == 500000.0:  # Llama 3
        return 8192
    if base == 1000000.0:  # Code Llama
        return 16384
    return 2048 if eps == 1e-6 else 4096  # Llama 1, Llama 2


def to_meta_params(hparams: Hparams) -> dict[str, Any]:
    """A params.json. Raises HparamsError if Meta's format has no field for something."""
    if (what := _without_a_field(hparams)) is not None:
        raise HparamsError(f"params.json has no field for {what}")
    multiple_of, multiplier = meta_ffn_rule(hparams.dim, hparams.ffn)
    params: dict[str, Any] = {
        "dim": hparams.dim,
        "n_layers": hparams.layers,
        "n_heads": hparams.heads,
        "n_kv_heads": hparams.kv_heads,
        "vocab_size": hparams.vocab,
        "multiple_of": multiple_of,
        "norm_eps": hparams.eps,
        "rope_theta": hparams.rope.base,
        "max_seq_len": hparams.context,
    }
    if multiplier is not None:
        params["ffn_dim_multiplier"] = multiplier
    if isinstance(llama3 := hparams.rope.factors, Llama3Scaling):
        params["use_scaled_rope"] = True
        params["rope_scaling_factor"] = llama3.factor
        params["rope_high_freq_factor"] = llama3.high_freq_factor
    return params


def _without_a_field(hparams: Hparams) -> str | None:
    rope = hparams.rope
    if hparams.architecture != "llama":
        return f"the architecture {hparams.architecture!r}"
    if rope.scaling is not None:
        kind = "linear" if isinstance(rope.scaling, LinearScaling) else "yarn"
        return f"{kind} rope scaling"
    if hparams.head_dim * hparams.heads != hparams.dim:
        return "a head size that is not dim / n_heads"
    if not hparams.rotates_whole_heads or not isinstance(rope.factors, Llama3Scaling | None):
        return "partial or long rotation"
    if rope.attention_factor != 1.0:
        return "a factor of cosine and sine"
    if hparams.window:
        return "a sliding window"
    if hparams.qkv_bias or hparams.output_bias or hparams.mlp_bias:
        return "biases"
    if hparams.query_scale or hparams.attn_softcap or hparams.final_softcap:
        return "scaled or capped scores and logits"
    llama3 = rope.factors
    if llama3 and (llama3.low_freq_factor != 1.0 or llama3.original_context != 8192):
        return "these llama3 rope scaling values"
    return None
