"""Hyper-parameters: config.json (Hugging Face) and params.json (Meta) to gguf keys, and back."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import pi
from typing import Any

import numpy as np
import numpy.typing as npt

from ggmlkit.errors import ConversionError

_MODEL_TYPES = ("llama", "mistral")
_DEFAULT_THETA = 10000.0
_MAX_HEAD_DIM = 1 << 16  # tables of this size are made before any tensor is looked at


class ConversionWarning(UserWarning):
    """The result is sound, but something of the source could not be carried over whole."""


@dataclass(frozen=True)
class Llama3Scaling:
    """Llama 3.1's change of the rotation frequencies."""

    factor: float
    low_freq_factor: float
    high_freq_factor: float
    original_context: int

    def divisors(self, theta: float, head_dim: int) -> npt.NDArray[np.float32]:
        """What each frequency is divided by: float32 ``(head_dim / 2,)``, for rope_freqs.weight.

        Wavelengths short against the trained context stay, long ones are stretched by
        ``factor``, those between are blended.
        """
        exponent = np.arange(0, head_dim, 2, dtype=np.float64) / head_dim
        turns = self.original_context / (2 * pi * theta**exponent)  # in the trained context
        blend = (turns - self.low_freq_factor) / (self.high_freq_factor - self.low_freq_factor)
        blend = np.clip(blend, 0.0, 1.0)
        return (1.0 / ((1.0 - blend) / self.factor + blend)).astype(np.float32)


@dataclass(frozen=True)
class Hparams:
    """What a checkpoint says about its shape, whichever way it was written."""

    dim: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    ffn: int
    vocab: int
    context: int
    eps: float
    theta: float = _DEFAULT_THETA
    scaling: Mapping[str, Any] = field(default_factory=dict)  # llama.rope.scaling.*
    llama3: Llama3Scaling | None = None
    tied: bool = False

    def metadata(self) -> dict[str, Any]:
        """The gguf keys."""
        found: dict[str, Any] = {
            "general.architecture": "llama",
            "llama.vocab_size": self.vocab,
            "llama.context_length": self.context,
            "llama.embedding_length": self.dim,
            "llama.block_count": self.layers,
            "llama.feed_forward_length": self.ffn,
            "llama.rope.dimension_count": self.head_dim,
            "llama.attention.head_count": self.heads,
            "llama.attention.head_count_kv": self.kv_heads,
            "llama.attention.layer_norm_rms_epsilon": self.eps,
            "llama.rope.freq_base": self.theta,
        }
        if self.head_dim * self.heads != self.dim:
            found["llama.attention.key_length"] = self.head_dim
            found["llama.attention.value_length"] = self.head_dim
        found.update({f"llama.rope.scaling.{key}": value for key, value in self.scaling.items()})
        if self.llama3:
            # rope_freqs.weight carries the effect; the trained context lets export invert it.
            found["llama.rope.scaling.original_context_length"] = self.llama3.original_context
        return found

    def rope_divisors(self) -> npt.NDArray[np.float32] | None:
        """The values of rope_freqs.weight, or None where no such tensor is needed."""
        return self.llama3.divisors(self.theta, self.head_dim) if self.llama3 else None

    def shapes(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Every tensor's gguf name and shape, in the order they are written."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        layer = {
            "attn_norm": (self.dim,),
            "attn_q": (q, self.dim),
            "attn_k": (kv, self.dim),
            "attn_v": (kv, self.dim),
            "attn_output": (self.dim, q),
            "ffn_norm": (self.dim,),
            "ffn_gate": (self.ffn, self.dim),
            "ffn_up": (self.ffn, self.dim),
            "ffn_down": (self.dim, self.ffn),
        }
        yield "token_embd.weight", (self.vocab, self.dim)
        if self.llama3:
            yield "rope_freqs.weight", (self.head_dim // 2,)
        for number in range(self.layers):
            for name, shape in layer.items():
                yield f"blk.{number}.{name}.weight", shape
        yield "output_norm.weight", (self.dim,)
        if not self.tied:
            yield "output.weight", (self.vocab, self.dim)


# ---------------------------------------------------------------- Hugging Face


def from_hf_config(config: Mapping[str, Any]) -> Hparams:
    """Hyper-parameters of a config.json.

    Raises ConversionError, naming the setting, for anything a LLaMA decoder does not honour.
    """
    _refuse_unsupported(config)
    dim = _count(config, "hidden_size")
    heads = _count(config, "num_attention_heads")
    head_dim = _count(config, "head_dim", dim // heads)
    theta, rope = _hf_rope(config)
    context = _count(config, "max_position_embeddings", 2048)
    scaling, llama3 = _rope_scaling(rope, context)
    return _checked(
        Hparams(
            dim=dim,
            layers=_count(config, "num_hidden_layers"),
            heads=heads,
            kv_heads=_count(config, "num_key_value_heads", heads),
            head_dim=head_dim,
            ffn=_count(config, "intermediate_size"),
            vocab=_count(config, "vocab_size"),
            context=_context_within_window(config, context),
            eps=_number(config, "rms_norm_eps", 1e-6),
            theta=theta,
            scaling=scaling,
            llama3=llama3,
            tied=bool(config.get("tie_word_embeddings", False)),
        )
    )


def _refuse_unsupported(config: Mapping[str, Any]) -> None:
    model_type = config.get("model_type", "llama")
    if model_type not in _MODEL_TYPES:
        known = " and ".join(_MODEL_TYPES)
        raise ConversionError(f"model_type {model_type!r} is not supported, only {known}")
    only = {
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "quantization_config": None,
        "partial_rotary_factor": 1.0,
    }
    for key, value in only.items():
        if config.get(key) is not None and config[key] != value:
            raise ConversionError(f"{key} = {config[key]!r} in config.json is not supported")


def _context_within_window(config: Mapping[str, Any], context: int) -> int:
    """Within the window, sliding attention is full attention; beyond it, it is not ours."""
    window = config.get("sliding_window")
    if not isinstance(window, int) or window <= 0 or window >= context:
        return context
    warnings.warn(
        f"sliding_window {window} is not supported: the context length is set to it "
        f"(the checkpoint says {context}), within which the results are the same",
        ConversionWarning,
        stacklevel=2,
    )
    return window


def _hf_rope(config: Mapping[str, Any]) -> tuple[float, Mapping[str, Any]]:
    """Base and scaling, from ``rope_parameters`` or the older ``rope_theta``/``rope_scaling``."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if not isinstance(rope, Mapping):
        raise ConversionError(f"rope parameters {rope!r} in config.json are not an object")
    if rope.get("partial_rotary_factor", 1.0) != 1.0:
        raise ConversionError("partial_rotary_factor in config.json is not supported")
    source = rope if rope.get("rope_theta") is not None else config
    return _number(source, "rope_theta", _DEFAULT_THETA), rope


def _rope_scaling(
    rope: Mapping[str, Any], context: int
) -> tuple[dict[str, Any], Llama3Scaling | None]:
    kind = rope.get("rope_type", rope.get("type", "default"))
    if kind == "default":
        return {}, None
    original = _count(rope, "original_max_position_embeddings", context)
    if kind == "linear":
        return {"type": "linear", "factor": _number(rope, "factor")}, None
    if kind == "llama3":
        return {}, Llama3Scaling(
            _number(rope, "factor"),
            _number(rope, "low_freq_factor"),
            _number(rope, "high_freq_factor"),
            original,
        )
    if kind == "yarn":
        return _yarn_scaling(rope, original), None
    raise ConversionError(f"rope type {kind!r} in config.json is not supported")


def _yarn_scaling(rope: Mapping[str, Any], original: int) -> dict[str, Any]:
    # The decoder derives the attention factor from the scale and rounds the ramp's ends.
    for key, only in (("attention_factor", None), ("mscale", None), ("mscale_all_dim", None)):
        if rope.get(key) is not only:
            raise ConversionError(f"yarn rope scaling with {key} is not supported")
    if rope.get("truncate", True) is not True:
        raise ConversionError("yarn rope scaling with truncate = false is not supported")
    found: dict[str, Any] = {
        "type": "yarn",
        "factor": _number(rope, "factor"),
        "original_context_length": original,
    }
    for key, usual in (("beta_fast", 32.0), ("beta_slow", 1.0)):
        value = _number(rope, key, usual)
        if value != usual:
            found[f"yarn_{key}"] = value
    return found


def to_hf_config(hparams: Hparams) -> dict[str, Any]:
    """A config.json for LlamaForCausalLM (without token ids and dtype)."""
    scaling = dict(hparams.scaling)
    kind = scaling.get("type")
    rope: dict[str, Any] | None = None
    if hparams.llama3:
        rope = {
            "rope_type": "llama3",
            "factor": hparams.llama3.factor,
            "low_freq_factor": hparams.llama3.low_freq_factor,
            "high_freq_factor": hparams.llama3.high_freq_factor,
            "original_max_position_embeddings": hparams.llama3.original_context,
        }
    elif kind is not None:
        rope = {"rope_type": kind, "factor": scaling["factor"]}
        if kind == "yarn":
            rope["original_max_position_embeddings"] = scaling["original_context_length"]
            for key in ("beta_fast", "beta_slow"):
                if f"yarn_{key}" in scaling:
                    rope[key] = scaling[f"yarn_{key}"]
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": hparams.dim,
        "num_hidden_layers": hparams.layers,
        "num_attention_heads": hparams.heads,
        "num_key_value_heads": hparams.kv_heads,
        "head_dim": hparams.head_dim,
        "intermediate_size": hparams.ffn,
        "vocab_size": hparams.vocab,
        "max_position_embeddings": hparams.context,
        "rms_norm_eps": hparams.eps,
        "rope_theta": hparams.theta,
        "rope_scaling": rope,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": hparams.tied,
    }


# ------------------------------------------------------------------------ Meta


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
    dim, heads = _count(params, "dim"), _count(params, "n_heads")
    theta = _number(params, "rope_theta", _DEFAULT_THETA)
    eps = _number(params, "norm_eps", 1e-5)
    llama3 = _meta_rope_scaling(params, dim)
    return _checked(
        Hparams(
            dim=dim,
            layers=_count(params, "n_layers"),
            heads=heads,
            kv_heads=_count(params, "n_kv_heads", heads),
            head_dim=_count(params, "head_dim", dim // heads),
            ffn=ffn,
            vocab=vocab,
            context=_count(params, "max_seq_len", _meta_context(eps, theta, llama3)),
            eps=eps,
            theta=theta,
            llama3=llama3,
            tied=tied,
        )
    )


def _meta_rope_scaling(params: Mapping[str, Any], dim: int) -> Llama3Scaling | None:
    if not params.get("use_scaled_rope"):
        return None
    # Meta's files do not always store the factor: 32 in the small Llama 3.2 models, 8 in 3.1.
    return Llama3Scaling(
        _number(params, "rope_scaling_factor", 32.0 if dim <= 3072 else 8.0),
        1.0,
        _number(params, "rope_high_freq_factor", 4.0),
        8192,
    )


def _meta_context(eps: float, theta: float, llama3: Llama3Scaling | None) -> int:
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
    if hparams.scaling:
        raise ConversionError(
            f"params.json has no field for {hparams.scaling.get('type')} rope scaling"
        )
    if hparams.head_dim * hparams.heads != hparams.dim:
        raise ConversionError("params.json has no field for a head size that is not dim / n_heads")
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
        if scaling.low_freq_factor != 1.0 or scaling.original_context != 8192:
            raise ConversionError("params.json has no field for these llama3 rope scaling values")
        params["use_scaled_rope"] = True
        params["rope_scaling_factor"] = scaling.factor
        params["rope_high_freq_factor"] = scaling.high_freq_factor
    return params


# ------------------------------------------------------------------------ gguf


def from_metadata(
    metadata: Mapping[str, Any],
    *,
    vocab: int,
    tied: bool,
    rope_divisors: npt.NDArray[np.float32] | None = None,
) -> Hparams:
    """Hyper-parameters of gguf keys (of any file, see ModelFile.metadata).

    Raises ConversionError for another architecture, and for divisors no llama3 scaling gives.
    """
    architecture = metadata.get("general.architecture", "llama")
    if not isinstance(architecture, str) or architecture != "llama":
        raise ConversionError(
            f"architecture {str(architecture)[:80]!r} is not supported, only 'llama'"
        )
    keys = {key[6:]: value for key, value in metadata.items() if key.startswith("llama.")}
    dim = _count(keys, "embedding_length")
    heads = _count(keys, "attention.head_count")
    head_dim = _count(keys, "attention.key_length", dim // heads)
    rotated = _count(keys, "rope.dimension_count", head_dim)
    if rotated != head_dim:
        raise ConversionError(f"{rotated} of {head_dim} elements rotated is not supported")
    theta = _shortest(_number(keys, "rope.freq_base", _DEFAULT_THETA))
    prefix = "rope.scaling."
    scaling = {
        key[len(prefix) :]: _shortest(value) if isinstance(value, float) else value
        for key, value in keys.items()
        if key.startswith(prefix)
    }
    original = scaling.get("original_context_length")
    if scaling.get("type", "none") == "none":
        scaling = {}
    llama3 = None
    if rope_divisors is not None:
        if scaling:
            raise ConversionError("rope_freqs.weight together with rope scaling is not supported")
        llama3 = _llama3_of(rope_divisors, theta, head_dim, original)
    return _checked(
        Hparams(
            dim=dim,
            layers=_count(keys, "block_count"),
            heads=heads,
            kv_heads=_count(keys, "attention.head_count_kv", heads),
            head_dim=head_dim,
            ffn=_count(keys, "feed_forward_length"),
            vocab=vocab,
            context=_count(keys, "context_length", 2048),
            eps=_shortest(_number(keys, "attention.layer_norm_rms_epsilon", 1e-6)),
            theta=theta,
            scaling=scaling,
            llama3=llama3,
            tied=tied,
        )
    )


def _llama3_of(
    divisors: npt.NDArray[np.float32], theta: float, head_dim: int, original: object
) -> Llama3Scaling | None:
    if np.all(divisors == 1):
        return None
    factor = _shortest(float(divisors.max()))
    contexts = [8192] + ([original] if isinstance(original, int) else [])
    for context in contexts:
        guess = Llama3Scaling(factor, 1.0, 4.0, context)
        expected = guess.divisors(theta, head_dim)
        if expected.shape == divisors.shape and np.allclose(expected, divisors, rtol=1e-5, atol=0):
            return guess
    raise ConversionError("rope_freqs.weight does not come from a llama3 scaling that is known")


def _shortest(value: float) -> float:
    """The shortest decimal that is the same float32: 1e-05, where the file's float says 9.9e-06."""
    return float(str(np.float32(value)))


# --------------------------------------------------------------------- reading


def _count(source: Mapping[str, Any], key: str, default: int | None = None) -> int:
    value = source.get(key)
    if value is None:
        if default is None:
            raise ConversionError(f"the hyper-parameter {key} is missing")
        return default
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value <= 0:
        raise ConversionError(f"the hyper-parameter {key} = {value!r} is not a positive integer")
    return int(value)


def _number(source: Mapping[str, Any], key: str, default: float | None = None) -> float:
    value = source.get(key)
    if value is None:
        if default is None:
            raise ConversionError(f"the hyper-parameter {key} is missing")
        return default
    number_types = (int, float, np.integer, np.floating)
    if isinstance(value, bool) or not isinstance(value, number_types) or not 0 < value < 1e30:
        raise ConversionError(f"the hyper-parameter {key} = {value!r} is not a positive number")
    return float(value)


def _checked(hparams: Hparams) -> Hparams:
    if hparams.heads % hparams.kv_heads:
        raise ConversionError(
            f"{hparams.heads} heads do not divide into {hparams.kv_heads} key/value heads"
        )
    if hparams.head_dim % 2 or hparams.head_dim > _MAX_HEAD_DIM:
        raise ConversionError(f"a head size of {hparams.head_dim} is not even, or beyond reason")
    return hparams
