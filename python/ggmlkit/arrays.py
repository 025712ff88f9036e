"""Whatever holds numbers, as numpy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def as_numpy(array: ArrayLike) -> NDArray[Any]:
    """The array as numpy sees it: a quantized tensor's values, a torch tensor's floats."""
    # A torch tensor that needs gradients, or of bfloat16, refuses numpy's protocol.
    detach = getattr(array, "detach", None)
    if detach is not None:
        values = detach().cpu()
        is_double = str(values.dtype) == "torch.float64"
        return np.asarray(values if is_double else values.float())
    return np.asarray(array)
