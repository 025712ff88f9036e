"""The recipe of a quantized model file: the type each of its tensors is stored in."""

from __future__ import annotations

from collections.abc import Mapping

from ggmlkit import types
from ggmlkit.errors import UnsupportedTypeError
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

# `general.file_type` of a file whose matrices are (mostly) of this type, as llama.cpp numbers it.
FILE_TYPES: dict[str, int] = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q8_0": 7,
    "q5_0": 8,
    "q5_1": 9,
    "bf16": 32,
}

_OUTPUT = "output.weight"
_EMBEDDING = "token_embd.weight"

# The router of a mixture of experts decides discretely and is tiny: it isn't worth rounding.
_KEPT_SUFFIXES = ("ffn_gate_inp.weight",)

_FLOATS = frozenset({"f32", "f16", "bf16", "f64"})
_INTEGERS = frozenset({"i8", "i16", "i32", "i64"})


def target_type(type: TensorType | str) -> TensorType:
    """The type to quantize a file to; `UnsupportedTypeError` if no file can be written in it."""
    target = types.get(type)
    if target.name not in FILE_TYPES:
        raise UnsupportedTypeError(
            f"a file can't be quantized to {target.name}; choose one of {', '.join(FILE_TYPES)}"
        )
    return target


def plan(
    tensors: Mapping[str, Tensor], type: TensorType | str, *, pure: bool = False
) -> dict[str, TensorType]:
    """The type of each tensor (by its gguf name) in a file quantized to `type`.

    Matrices get `type`, vectors f32, and matrices whose rows aren't whole blocks f16. Unless
    `pure`, the matrix that makes the logits (`output.weight`, or the embedding when the two are
    tied) gets q8_0 in files of four and five bits, for its rounding shows in every probability.
    """
    target = target_type(type)
    logits = _OUTPUT if _OUTPUT in tensors else _EMBEDDING

    def chosen(name: str, tensor: Tensor) -> TensorType:
        if tensor.type.name in _INTEGERS or name.endswith(_KEPT_SUFFIXES):
            return tensor.type
        if len(tensor.shape) < 2:
            return types.get("f32")
        wanted = target
        if name == logits and not pure and target.name not in _FLOATS:
            wanted = types.get("q8_0")
        return wanted if tensor.shape[-1] % wanted.block_size == 0 else types.get("f16")

    return {name: chosen(name, tensor) for name, tensor in tensors.items()}
