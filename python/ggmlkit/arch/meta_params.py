"""Meta's params.json: hyper-parameters from it, and to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ggmlkit.arch.hparams import DEFAULT_THETA, Hparams, checked
from ggmlkit.arch.read_fields import count, number
from ggmlkit.arch.rope_scaling import Llama3Scaling
from ggmlkit.errors import ConversionError


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
    return 1, (ffn + 0.5) / hidden  # half a unit keeps the truncation on the right side


def from_meta_params(params: Mapping[str, Any], *, vocab: int, ffn: int, tied: bool) -> Hparams:
    """Hyper-parameters of a params.json; ``vocab`` and ``ffn`` come from the tensors' shapes."""
    dim, heads = count(params, "dim"), count(params, "n_heads")
    theta = number(params, "rope_theta", DEFAULT_THETA)
    eps = number(params, "norm_eps", 1e-5)
    llama3 = _rope_scaling(params, dim)
    return checked(
        Hparams(
            dim=dim,
            layers=count(params, "n_layers"),
            heads=heads,
            kv_heads=count(params, "n_kv_heads", heads),
            head_dim=count(params, "head_dim", dim // heads),
            ffn=ffn,
            vocab=vocab,
            context=count(params, "max_seq_len", _context(eps, theta, llama3)),
            eps=eps,
            theta=theta,
            llama3=llama3,
            tied=tied,
        )
    )


def _rope_scaling(params: Mapping[str, Any], dim: int) -> Llama3Scaling | None:
    if not params.get("use_scaled_rope"):
        return None
    # Meta's files do not always store the factor: 32 in the small Llama 3.2 models, 8 in 3.1.
    return Llama3Scaling(
        number(params, "rope_scaling_factor", 32.0 if dim <= 3072 else 8.0),
        1.0,
        number(params, "rope_high_freq_factor", 4.0),
        8192,
    )


def _context(eps: float, theta: float, llama3: Llama3Scaling | None) -> int:
    """Meta's files do not store the trained context; each generation has its own mark."""
    if llama3:
        return 131072
    if theta == 500000.0:  # Llama 3
        return 8192
    if theta == 1000000.0:  # Code Llama
        return 16384
    return 2048 if eps == 1e-6 else 4096  # Llama 1, Llama 2


def to_meta_params(hparams: Hparams) -> dict[str, Any]:
    """A params.json. Raises ConversionError for what Meta's format has no field for."""
    if (what := _without_a_field(hparams)) is not None:
        raise ConversionError(f"params.json has no field for {what}")
    multiple_of, multiplier = meta_ffn_rule(hparams.dim, hparams.ffn)
    params: dict[str, Any] = {
        "dim": hparams.dim,
        "n_layers": hparams.layers,
        "n_heads": hparams.heads,
        "n_kv_heads": hparams.kv_heads,
        "vocab_size": hparams.vocab,
        "multiple_of": multiple_of,
        "norm_eps": hparams.eps,
        "rope_theta": hparams.theta,
        "max_seq_len": hparams.context,
    }
    if multiplier is not None:
        params["ffn_dim_multiplier"] = multiplier
    if scaling := hparams.llama3:
        params["use_scaled_rope"] = True
        params["rope_scaling_factor"] = scaling.factor
        params["rope_high_freq_factor"] = scaling.high_freq_factor
    return params


def _without_a_field(hparams: Hparams) -> str | None:
    if hparams.architecture != "llama":
        return f"the architecture {hparams.architecture!r}"
    if hparams.scaling:
        return f"{hparams.scaling.get('type')} rope scaling"
    if hparams.head_dim * hparams.heads != hparams.dim:
        return "a head size that is not dim / n_heads"
    if hparams.rotated or hparams.long_rope:
        return "partial or long rotation"
    if hparams.window:
        return "a sliding window"
    if hparams.qkv_bias or hparams.output_bias or hparams.mlp_bias:
        return "biases"
    if hparams.query_scale or hparams.score_cap or hparams.logit_cap:
        return "scaled or capped scores and logits"
    scaling = hparams.llama3
    if scaling and (scaling.low_freq_factor != 1.0 or scaling.original_context != 8192):
        return "these llama3 rope scaling values"
    return None
