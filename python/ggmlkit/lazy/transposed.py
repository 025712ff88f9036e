"""Transposed matrices, computed on demand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ggmlkit.tensor import Tensor

_ROWS = 64


def transposed(tensor: Tensor) -> Tensor:
    """The lazy transpose ``(columns, rows)`` of a matrix ``(rows, columns)`` of plain numbers.

    Raises:
        ValueError: the tensor is not a matrix, or is quantized.
    """
    if len(tensor.shape) != 2 or tensor.type.is_quantized:
        raise ValueError(
            f"{tensor.name} of type {tensor.type} and shape {tensor.shape} can't be transposed"
        )
    rows, columns = tensor.shape

    def data() -> npt.NDArray[np.uint8]:
        matrix = tensor.data.view(f"u{tensor.type.block_bytes}").reshape(rows, columns)
        result = np.empty((columns, rows), matrix.dtype)
        # A few rows at a time stay in the cache while their columns are copied.
        for row in range(0, rows, _ROWS):
            result[:, row : row + _ROWS] = matrix[row : row + _ROWS].T
        return result.reshape(-1).view(np.uint8)

    return Tensor(tensor.type, (columns, rows), data, tensor.name, [tensor])
