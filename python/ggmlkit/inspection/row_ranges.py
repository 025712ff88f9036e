"""Tensors read a few megabytes at a time."""

from __future__ import annotations

from collections.abc import Iterator

from ggmlkit.io.pages import release
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

# Elements at once: memory stays small whatever the size of a tensor.
_RUN = 1 << 20


def runs(tensor: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The tensor in flat runs of whole blocks, each with the number of its first block.

    The memory of a run of a mapped file is released when the next run is read.
    """
    kind, data = tensor.type, tensor.data
    blocks = data.size // kind.block_bytes
    step = max(1, _RUN // kind.block_size)
    for first in range(0, blocks, step):
        count = min(step, blocks - first)
        part = data[first * kind.block_bytes : (first + count) * kind.block_bytes]
        yield first, Tensor(kind, (count * kind.block_size,), part, tensor.name)
        tensor.check()
        release(part)


def is_readable(type: TensorType) -> bool:
    """Whether this build can read the values of a type."""
    return type.can_dequantize or (not type.is_quantized and type.block_bytes > 0)
