"""SmolLM2 with weights that are on no 4-bit grid.

Its file is of q4_1: rounding it to four bits again is no test. So each weight gets a random part of
its block's step, which makes an f16 model that is nearly as good.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ggmlkit as gk
from ggmlkit.tensor import Tensor

SOURCE = "SmolLM2-135M-Instruct.Q4_1.gguf"
_SEED = 11
_BLOCK, _BLOCK_BYTES = 32, 20
# The file that the numbers of the goals were measured with.
_SHA256 = "c211c382cc9ca2e5a584c9f9da1d953a7a97532fef62b0805da620ba9c8bf7b2"
_FILE_TYPE = "general.file_type"


def dithered(source: Path, out: Path) -> Path:
    """The model, made if it is not there.

    Raises:
        ValueError: it is not the one that the goals are for.
    """
    if not out.exists():
        random = np.random.default_rng(_SEED)
        with gk.open(source) as file:
            tensors = {name: _dithered(tensor, random) for name, tensor in file.items()}
            metadata = {k: v for k, v in file.metadata.items() if k != _FILE_TYPE}
            gk.save(out, tensors, {**metadata, _FILE_TYPE: 1}, value_types=file.value_types)
    found = _digest(out)
    if found != _SHA256:
        raise ValueError(f"{out} has SHA-256 {found}, not {_SHA256}; delete it and try again")
    return out


def _dithered(tensor: Tensor, random: np.random.Generator) -> Tensor:
    values = tensor.dequantize()
    if values.ndim < 2:
        return gk.quantize(values, "f32", name=tensor.name)
    if tensor.type.name == "q4_1":
        moved = _moved(values, tensor.data, random)
        return gk.quantize(moved.astype(np.float16), "f16", name=tensor.name)
    return gk.quantize(values, "f16", name=tensor.name)


def _moved(
    values: NDArray[np.float32], blocks: NDArray[np.uint8], random: np.random.Generator
) -> NDArray[np.float64]:
    rows, columns = values.shape
    shape = (rows, columns // _BLOCK, _BLOCK)
    steps = blocks.reshape(rows, -1, _BLOCK_BYTES)[..., :2].copy().view(np.float16)
    moved = values.reshape(shape) + random.uniform(-0.5, 0.5, shape) * steps.astype(np.float32)
    return moved.reshape(rows, columns)


def _digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
