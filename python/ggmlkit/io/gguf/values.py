"""Chooses the GGUF type of a metadata value, and encodes it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ggmlkit.arguments import mapping, whole, with_article
from ggmlkit.errors import ArgumentError, ConversionError
from ggmlkit.io.base import ARRAY_OF, ByteOrder
from ggmlkit.io.gguf.header import ARRAY, BOOL, NUMPY_CODES, STRING

_U32, _I32, _F32, _U64, _I64, _F64 = 4, 5, 6, 10, 11, 12
_TYPE_OF_CODE = {np.dtype(code): number for number, code in NUMPY_CODES.items()}

# Integers are written as u32 unless negative or too large; these keys differ.
_TYPE_OF_KEY = {
    "split.no": 2,
    "split.count": 2,
    "split.tensors.count": _I32,
    "tokenizer.ggml.token_type": ARRAY_OF + _I32,
}

# Keys that llama.cpp accepts as f32 only, with or without an architecture before the first dot.
# Their arrays are f32, too.
_F32_KEYS = frozenset((
    "activation.situ_beta", "activation.situ_linear_beta", "attention.clamp_kqv",
    "attention.compress_rope_freq_base", "attention.group_norm_epsilon",
    "attention.layer_norm_epsilon", "attention.layer_norm_rms_epsilon",
    "attention.max_alibi_bias", "attention.output_scale", "attention.scale",
    "attention.temperature_scale", "attention.value_scale", "attn_logit_softcapping",
    "embedding_scale", "expert_group_scale", "expert_weights_scale", "final_logit_softcapping",
    "hyper_connection.epsilon", "hyper_connection.magnitude", "kda.gate_lower_bound",
    "logit_scale", "residual_scale", "rope.freq_base", "rope.freq_base_swa", "rope.scale_linear",
    "rope.scaling.alpha", "rope.scaling.attn_factor", "rope.scaling.factor",
    "rope.scaling.yarn_attn_factor", "rope.scaling.yarn_beta_fast", "rope.scaling.yarn_beta_slow",
    "rope.scaling.yarn_ext_factor", "rope.scaling.yarn_log_multiplier", "router_logit_softcapping",
    "swiglu_clamp_exp", "swiglu_clamp_shexp", "xielu.alpha_n", "xielu.alpha_p", "xielu.beta",
    "xielu.eps", "adapter.lora.alpha", "tokenizer.ggml.scores",
    "general.sampling.min_p", "general.sampling.mirostat_eta", "general.sampling.mirostat_tau",
    "general.sampling.penalty_repeat", "general.sampling.temp", "general.sampling.top_p",
    "general.sampling.xtc_probability", "general.sampling.xtc_threshold",
    "vision.image_mean", "vision.image_std", "vision.attention.layer_norm_epsilon",
    "audio.attention.layer_norm_epsilon",
))  # fmt: skip

# Short names of types; an array's name is that of its elements plus "[]".
TYPE_NAMES = {
    "u8": 0, "i8": 1, "u16": 2, "i16": 3, "u32": 4, "i32": 5, "f32": 6, "bool": BOOL, "str": STRING,
    "u64": 10, "i64": 11, "f64": 12,
}  # fmt: skip


def checked_types(value_types: Mapping[str, int]) -> dict[str, int]:
    """GGUF types by key, as :attr:`ModelFile.value_types` has them, checked.

    Raises:
        ArgumentError: they are not a mapping, or one is not the number of a type.
    """
    found: dict[str, int] = {}
    for key, kind in mapping(value_types, "value_types", '{"my.key": 4}').items():
        found[key] = whole(kind, f"the type of {key}")
        if found[key] % ARRAY_OF > _F64 or not 0 <= found[key] < 2 * ARRAY_OF:
            raise ArgumentError(f"the type of {key} is {kind}, which is not a GGUF value type")
    return found


def value_type(name: str) -> int:
    """The GGUF type of a name such as ``u32`` or ``f32[]``; ValueError if there is none."""
    element = TYPE_NAMES.get(name.removesuffix("[]"))
    if element is None:
        raise ValueError(f"there is no type {name!r}; there are {', '.join(TYPE_NAMES)}")
    return element + ARRAY_OF if name.endswith("[]") else element


def parsed_value(text: str, kind: int | None) -> Any:
    """``text`` parsed as a GGUF type; without ``kind``, as the type that it looks like.

    Arrays are JSON. Raises ValueError if the text is not a value of the type.
    """
    if kind == STRING:
        return text
    try:
        value = json.loads(text, parse_float=_finite)
    except OverflowError:
        raise ValueError(f"{text!r} holds a number beyond float64") from None
    except ValueError:
        value = None if kind is not None else text
    if kind is None:
        return text if value is None or isinstance(value, (dict, str)) else value
    if value is None or packed_as(value, kind) is None or isinstance(value, bool) != (kind == BOOL):
        name = next((n for n, k in TYPE_NAMES.items() if k == kind % ARRAY_OF), "array")
        raise ValueError(f"{text!r} is not of type {name}{'[]' if kind >= ARRAY_OF else ''}")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise OverflowError(text)
    return value


def numbers(values: Any, kind: int, byte_order: ByteOrder = "little") -> bytes:
    """Numbers encoded in a GGUF type; OverflowError or ValueError if they don't fit it."""
    if kind == BOOL:
        return np.asarray(values, np.bool_).tobytes()
    dtype = np.dtype(NUMPY_CODES[kind]).newbyteorder("<" if byte_order == "little" else ">")
    source = np.asarray(values)
    if dtype.kind in "iu":
        if source.size and source.dtype.kind not in "iub":
            raise ValueError("a fraction, but an integer is needed")
        limits = np.iinfo(dtype)
        if source.size and not (limits.min <= int(source.min()) <= int(source.max()) <= limits.max):
            raise OverflowError(f"out of range for {dtype.name}")
    elif source.size and source.dtype.kind not in "iuf":
        raise ValueError("not a number, but one is needed")
    with np.errstate(over="ignore"):
        found = source.astype(dtype)
    if dtype.kind == "f" and (np.isinf(found) & np.isfinite(source.astype(np.float64))).any():
        raise OverflowError(f"out of range for {dtype.name}")
    return found.tobytes()


def packed_as(value: Any, kind: int) -> int | None:
    """``kind`` if ``value`` can be written in this type, else ``None``."""
    is_array = isinstance(value, (list, tuple)) or (
        isinstance(value, np.ndarray) and value.ndim > 0
    )
    if is_array != (kind >= ARRAY_OF):
        return None
    element = kind % ARRAY_OF
    if element in (STRING, ARRAY):
        parts = value if is_array else [value]
        wanted = (str, bytes) if element == STRING else (list, tuple, np.ndarray)
        return kind if all(isinstance(part, wanted) for part in parts) else None
    if element != BOOL and element not in NUMPY_CODES:
        return None
    try:
        numbers(value if is_array else [value], element)
    except (ValueError, OverflowError, TypeError):
        return None
    return kind


def natural_type(key: str, value: Any) -> int:
    """The GGUF type to give a value; for an array, the type of its elements plus ARRAY_OF.

    Raises ConversionError if gguf has no type for the value.
    """
    for usual in _usual_types(key):
        if packed_as(value, usual) is not None:
            return usual
    if isinstance(value, (str, bytes)):
        return STRING
    if isinstance(value, (list, tuple)):
        return ARRAY_OF + _element_type(key, value)
    array = np.asarray(value)
    kind = BOOL if array.dtype == np.bool_ else _TYPE_OF_CODE.get(array.dtype)
    if isinstance(value, (bool, np.bool_, np.generic, np.ndarray)):
        if kind is None:
            raise ConversionError(f"{key} is a {array.dtype} array, which gguf has no type for")
        return kind + ARRAY_OF if array.ndim else kind
    if isinstance(value, float):
        return _float_type([value])
    if isinstance(value, int):
        return _integer_type(key, value, value)
    raise ConversionError(
        f"{key} is {with_article(type(value).__name__)}, which gguf has no type for"
    )


def _usual_types(key: str) -> tuple[int, ...]:
    """The types that readers expect of a key, if it is a well-known one."""
    if key in _F32_KEYS or key.partition(".")[2] in _F32_KEYS:
        return _F32, ARRAY_OF + _F32
    return (_TYPE_OF_KEY[key],) if key in _TYPE_OF_KEY else ()


def _float_type(values: Sequence[Any]) -> int:
    """f32 where it holds the numbers exactly, else f64."""
    wide = np.asarray(values, np.float64)
    with np.errstate(over="ignore", under="ignore"):
        narrow = wide.astype(np.float32)
    return _F32 if np.array_equal(narrow.astype(np.float64), wide, equal_nan=True) else _F64


def _element_type(key: str, values: Iterable[Any]) -> int:
    """The GGUF type that all elements of a list share."""
    elements = list(values)
    if not elements or all(isinstance(v, (str, bytes)) for v in elements):
        return STRING
    if all(isinstance(v, (list, tuple, np.ndarray)) for v in elements):
        return ARRAY
    if all(isinstance(v, (bool, np.bool_)) for v in elements):
        return BOOL
    if all(isinstance(v, (int, np.integer)) for v in elements):
        # Token types and similar lists are signed, as other programs write them.
        low, high = int(min(elements)), int(max(elements))
        return _I32 if low >= -(1 << 31) and high < 1 << 31 else _integer_type(key, low, high)
    if all(isinstance(v, (int, float, np.number)) for v in elements):
        return _float_type(elements)
    raise ConversionError(f"the elements of {key} are of several kinds; gguf arrays have one")


def _integer_type(key: str, low: int, high: int) -> int:
    for kind in (_U32, _I32, _U64, _I64):
        limits = np.iinfo(NUMPY_CODES[kind])
        if limits.min <= low and high <= limits.max:
            return kind
    raise ConversionError(f"{key} = {high} is too large for gguf")
