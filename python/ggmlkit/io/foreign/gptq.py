"""GPTQ's layout of a linear layer: ``qweight``, ``qzeros``, ``scales``, ``g_idx``.

``qweight`` i32 ``(in · bits / 32, out)`` packs the integers of neighbouring inputs, ``qzeros`` i32
``(groups, out · bits / 32)`` the zero points of neighbouring outputs; ``scales`` are ``(groups,
out)``. ``g_idx`` i32 ``(in,)`` is the group of each input, in any order if the layer was quantized
in the order of activations. Version 1 of the format stores zero points minus 1. Like its kernels,
this code adds 1 after unpacking, so a stored 15 means 16. Source: AutoGPTQ,
nn_modules/qlinear/qlinear_cuda_old.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ggmlkit.errors import FormatError
from ggmlkit.io.foreign.group_quantized import Bytes, Grouped, Integers, check_parts, misfit
from ggmlkit.io.foreign.packed_integers import unpacked
from ggmlkit.tensor import Tensor

_BITS = (2, 3, 4, 8)


def gptq_matrix(
    path: Path, name: str, parts: Mapping[str, Tensor], *, group_size: int, version: int
) -> Grouped:
    """The matrix of a layer called ``name``.

    Args:
        path: the checkpoint, for errors.
        name: the layer's name.
        parts: its tensors by the last part of their names.
        group_size: inputs in a group if there is no ``g_idx``; −1 for one group.
        version: 1 or 2 of the format.

    Raises FormatError if parts are missing or do not fit each other.
    """
    rows, columns, bits = _sizes(path, name, parts)
    qweight, qzeros, scales = parts["qweight"], parts["qzeros"], parts["scales"]
    g_idx = parts.get("g_idx")
    size = columns if group_size <= 0 else group_size
    if g_idx is not None and (g_idx.type.name != "i32" or g_idx.shape != (columns,)):
        raise FormatError(path, None, f"{name}.g_idx is {g_idx.type} of shape {g_idx.shape}")

    def integers() -> Integers:
        words = qweight.numpy().view(np.uint32)

        def read(first: int, end: int) -> Bytes:
            return unpacked(words[:, first:end].T, bits)

        return read

    def zeros() -> npt.NDArray[np.int16]:
        stored = unpacked(qzeros.numpy().view(np.uint32), bits).T.astype(np.int16)
        return stored + np.int16(1) if version == 1 else stored

    def groups() -> npt.NDArray[np.int64]:
        if g_idx is None:
            return np.arange(columns) // size
        return g_idx.numpy().astype(np.int64)

    return Grouped(
        path=path,
        name=name,
        shape=(rows, columns),
        bits=bits,
        half=scales.type.name == "f16",
        integers=integers,
        scales=lambda: np.ascontiguousarray(scales.dequantize().T),
        zeros=zeros,
        groups=groups,
        sources=tuple(parts.values()),
    )


def _sizes(path: Path, name: str, parts: Mapping[str, Tensor]) -> tuple[int, int, int]:
    """Outputs, inputs and bits, computed from the shapes alone."""
    check_parts(path, name, parts)
    (words, rows), (zero_groups, zero_words) = parts["qweight"].shape, parts["qzeros"].shape
    groups, outputs = parts["scales"].shape
    bits = 32 * zero_words // max(1, rows)
    fits = bits in _BITS and 32 * zero_words == bits * rows and 32 * words % bits == 0
    if not fits or outputs != rows or zero_groups != groups:
        raise misfit(path, name)
    return rows, 32 * words // bits, bits
