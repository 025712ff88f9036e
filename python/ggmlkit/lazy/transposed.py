"""Matrices that a file has the other way round."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ggmlkit.tensor import Tensor

_ROWS = 64


def transposed(tensor: Tensor) -> Tensor:
    """The matrix ``(columns, rows)`` of a matrix ``(rows, columns)`` of single numbers, lazy.

    Raises:
        ValueError: the tensor is no matrix, or quantized.
    """
    if len(tensor.shape) != 2 or tensor.type.is_quantized:
        raise ValueError(f"{tensor.name} of shape {tensor.shape} is no matrix that can be turned")
    rows, columns = tensor.shape

    def data() -> npt.NDArray[np.uint8]:
        matrix = tensor.data.view(f"u{tensor.type.block_bytes}").reshape(rows, columns)
        turned = np.empty((columns, rows), matrix.dtype)
        # A few rows at a time stay in the cache while their columns are gathered.
        for row in range(0, rows, _ROWS):
            turned[:, row : row + _ROWS] = matrix[row : row + _ROWS].T
        return turned.reshape(-1).view(np.uint8)

    return Tensor(tensor.type, (columns, rows), data, tensor.name, [tensor])
