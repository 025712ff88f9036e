"""Tensors that are computed from another tensor's values on demand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ggmlkit.storing import check_finite
from ggmlkit.tensor import Tensor


def computed(
    tensor: Tensor,
    function: Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]],
    shape: tuple[int, ...] | None = None,
) -> Tensor:
    """A lazy float32 tensor, computed by ``function`` from another tensor's values.

    Reading it raises UnstorableError if finite values become infinite.
    """

    def data() -> npt.NDArray[np.uint8]:
        given = tensor.dequantize()
        with np.errstate(over="ignore", invalid="ignore"):
            values = np.ascontiguousarray(function(given), np.float32)
        if np.isfinite(given).all() or tensor.type.name == "f64":  # can exceed float32
            check_finite(values, tensor.name)
        return values.reshape(-1).view(np.uint8)

    return Tensor("f32", shape or tensor.shape, data, tensor.name, [tensor])
