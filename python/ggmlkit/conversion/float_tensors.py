"""A model's tensors as floats, for checkpoints that other programs read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ggmlkit import types
from ggmlkit.arch import tensor_names as names
from ggmlkit.errors import UnstorableError
from ggmlkit.quantization.file import in_type
from ggmlkit.tensor import Tensor

FLOATS = ("f32", "f16", "bf16")
TORCH_DTYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16"}
"""Their names in PyTorch and in config.json."""


def shared_float_type(tensors: Mapping[str, Tensor]) -> str:
    """The type of all matrices if that is one float type, else f32, which holds any value."""
    found = {tensor.type.name for tensor in tensors.values() if len(tensor.shape) > 1}
    return found.pop() if len(found) == 1 and found <= set(FLOATS) else "f32"


def float_tensors(
    tensors: Mapping[str, Tensor], type: str, threads: int | None, *, rounding: bool
) -> dict[str, Tensor]:
    """All weights in one float type, lazy.

    Args:
        tensors: by gguf name; those that follow from the hyper-parameters are left out.
        type: ``"f32"``, ``"f16"`` or ``"bf16"``.
        threads: to convert a tensor with.
        rounding: whether vectors are rounded to ``type``; if not, those that it cannot hold
            exactly become f32. Model files keep vectors as f32, whatever the checkpoint had.
    """
    target = types.get(type)
    found = {}
    for name, tensor in tensors.items():
        if name in names.ROPE_TENSORS:
            continue
        converted = in_type(tensor, target, threads)
        if not rounding and len(tensor.shape) < 2 and not _is_exact(tensor, converted):
            converted = in_type(tensor, types.get("f32"), threads)
        found[name] = converted
    return found


def _is_exact(tensor: Tensor, converted: Tensor) -> bool:
    try:
        return np.array_equal(tensor.dequantize(), converted.dequantize())
    except UnstorableError:
        return False
