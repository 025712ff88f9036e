"""The recipe of a quantized model file: the type each of its tensors is stored in."""

from __future__ import annotations

from collections.abc import Mapping

from ggmlkit import types
from ggmlkit.errors import UnsupportedTypeError
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

# `general.file_type` of a file whose matrices are (mostly) of this type, as llama.cpp numbers it;
# where it has mixtures of several sizes, the one that it takes the bare name for.
FILE_TYPES: dict[str, int] = {
    "f32": 0,
    "f16": 1,
    "q4_0": 2,
    "q4_1": 3,
    "q8_0": 7,
    "q5_0": 8,
    "q5_1": 9,
    "q2_K": 10,
    "q3_K": 12,
    "q4_K": 15,
    "q5_K": 17,
    "q6_K": 18,
    "iq4_nl": 25,
    "iq4_xs": 30,
    "bf16": 32,
    "tq1_0": 36,
    "tq2_0": 37,
    "mxfp4": 38,
}

# For rows that aren't whole blocks of 256, types with blocks of 32: llama.cpp's choice.
_SMALLER_BLOCKS: dict[str, str] = {
    "q2_K": "q4_0",
    "q3_K": "q4_0",
    "q4_K": "q5_0",
    "q5_K": "q5_1",
    "q6_K": "q8_0",
    "iq4_xs": "iq4_nl",
    "tq1_0": "q4_0",
    "tq2_0": "q4_0",
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


def _with_whole_blocks(wanted: TensorType, columns: int) -> TensorType:
    while columns % wanted.block_size != 0:
        wanted = types.get(_SMALLER_BLOCKS.get(wanted.name, "f16"))
    return wanted


def plan(
    tensors: Mapping[str, Tensor], type: TensorType | str, *, pure: bool = False
) -> dict[str, TensorType]:
    """The type of each tensor (by its gguf name) in a file quantized to `type`.

    Matrices get `type`, vectors f32; matrices whose rows aren't whole blocks get a type of smaller
    blocks, or f16. Unless `pure`, the matrix that makes the logits (`output.weight`, or the
    embedding when the two are tied) gets q8_0 in files of fewer bits, for its rounding shows in
    every probability.
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
        return _with_whole_blocks(wanted, tensor.shape[-1])

    return {name: chosen(name, tensor) for name, tensor in tensors.items()}
