"""GPTQ and AWQ layers packed by hand, from the definitions of the formats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

import torch

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Layer:
    """A linear layer's integers ``(in, out)``, their scales and zero points.

    Attributes:
        integers: below ``2**bits``.
        zeros: (groups, out).
        scales: (groups, out), a tensor of torch.
        groups: the group of each input, (in,).
        bits: of an integer.
    """

    integers: Array
    zeros: Array
    scales: torch.Tensor
    groups: Array
    bits: int

    def reference(self) -> torch.Tensor:
        """The weight ``(out, in)`` by torch's arithmetic, in the scales' type."""
        zeros = torch.from_numpy(self.zeros.astype(np.int16))[self.groups]
        steps = torch.from_numpy(self.integers.astype(np.int16)) - zeros
        return (self.scales[self.groups] * steps).T.contiguous()

    def exact(self) -> Array:
        """The weight in float64, without rounding."""
        scales = self.scales.double().numpy()[self.groups]
        steps = self.integers.astype(np.float64) - self.zeros[self.groups].astype(np.float64)
        return np.ascontiguousarray((scales * steps).T)


def random_layer(
    inputs: int,
    outputs: int,
    *,
    bits: int = 4,
    group_size: int = 32,
    symmetric: bool = False,
    act_order: bool = False,
    dtype: torch.dtype = torch.float16,
    seed: int = 0,
) -> Layer:
    """A layer of random integers; with ``act_order`` the inputs' groups are shuffled."""
    rng = np.random.default_rng(seed)
    size = inputs if group_size == -1 else group_size
    groups = np.arange(inputs) // size
    if act_order:
        groups = rng.permutation(groups)
    shape = (int(groups.max()) + 1, outputs)
    top = 1 << bits
    zeros = np.full(shape, top // 2) if symmetric else rng.integers(1, top, shape)
    scales = torch.from_numpy(rng.uniform(0.01, 0.05, shape) * 16 / top).to(dtype)
    return Layer(rng.integers(0, top, (inputs, outputs)), zeros, scales, groups, bits)


def packed(values: Array, bits: int) -> Array:
    """Integers of a column one after another in int32 words ``(n · bits / 32, columns)``."""
    words = np.zeros((len(values) * bits // 32, values.shape[1]), np.uint64)
    for number, row in enumerate(values.astype(np.uint64)):
        word, shift = divmod(number * bits, 32)
        words[word] |= row << np.uint64(shift) & np.uint64(0xFFFFFFFF)
        if shift + bits > 32:
            words[word + 1] |= row >> np.uint64(32 - shift)
    return words.astype(np.uint32).view(np.int32)


def gptq(layer: Layer, version: int = 1) -> dict[str, torch.Tensor]:
    """A layer as GPTQ stores it; version 1 stores zero points minus 1."""
    zeros = layer.zeros - 1 if version == 1 else layer.zeros
    return {
        "qweight": torch.from_numpy(packed(layer.integers, layer.bits)),
        "qzeros": torch.from_numpy(np.ascontiguousarray(packed(zeros.T, layer.bits).T)),
        "scales": layer.scales,
        "g_idx": torch.from_numpy(layer.groups.astype(np.int32)),
    }


def awq_gemm(layer: Layer) -> dict[str, torch.Tensor]:
    """A layer as AWQ stores it for its GEMM kernels: eight outputs to a word, even ones first."""

    def words(values: Array) -> torch.Tensor:
        eights = values.reshape(len(values), -1, 8)[:, :, [0, 2, 4, 6, 1, 3, 5, 7]]
        in_order = eights.reshape(len(values), -1)
        return torch.from_numpy(np.ascontiguousarray(packed(in_order.T, 4).T))

    return {"qweight": words(layer.integers), "qzeros": words(layer.zeros), "scales": layer.scales}


def awq_gemv(layer: Layer, width: int) -> dict[str, torch.Tensor]:
    """A layer as AWQ stores it for its GEMV kernels; zero points fill ``width`` words a row."""
    groups, outputs = layer.zeros.shape
    zeros = np.zeros((8 * width, outputs), np.int64)
    zeros[:groups] = layer.zeros
    scales = torch.zeros(outputs, 8 * width, dtype=layer.scales.dtype)
    scales[:, :groups] = layer.scales.T
    return {
        "qweight": torch.from_numpy(np.ascontiguousarray(packed(layer.integers, 4).T)),
        "qzeros": torch.from_numpy(np.ascontiguousarray(packed(zeros, 4).T)),
        "scales": scales,
    }
