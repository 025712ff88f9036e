"""Row order of the q and k projections: Hugging Face's halves or Meta's neighbouring pairs.

Meta, ggml and gguf rotate elements (2i, 2i+1) of a head together, Hugging Face (i, i + half).
Only whole rows move, so this works on the bytes of any type.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ggmlkit.errors import ConversionError
from ggmlkit.tensor import Tensor


def hf_to_meta(tensor: Tensor, heads: int) -> Tensor:
    """A lazy Tensor of the same type and shape ``(heads * head_dim, in)`` in Meta's row order.

    The elements of a bias ``(heads * head_dim,)`` are reordered in the same way.

    ``heads`` is the number of heads of this projection (the key/value count for k).
    Raises ConversionError if the rows do not divide into heads of even size.
    """
    return _reordered(tensor, heads, first=2)


def meta_to_hf(tensor: Tensor, heads: int) -> Tensor:
    """The inverse of :func:`hf_to_meta`."""
    return _reordered(tensor, heads, first=0)


def _reordered(tensor: Tensor, heads: int, first: int) -> Tensor:
    is_bias = len(tensor.shape) == 1 and tensor.type.block_size == 1
    rows = tensor.shape[0] if len(tensor.shape) == 2 or is_bias else 0
    if heads <= 0 or rows == 0 or rows % (2 * heads):
        raise ConversionError(
            f"{tensor.name or 'a q or k projection'} has shape {tuple(tensor.shape)}, "
            f"which does not divide into {heads} heads of even size"
        )
    pairs = rows // heads // 2
    split = (heads, 2, pairs) if first == 2 else (heads, pairs, 2)

    def data() -> npt.NDArray[np.uint8]:
        blocks = tensor.data.reshape(*split, -1).swapaxes(1, 2)
        return np.ascontiguousarray(blocks).reshape(-1)

    return Tensor(tensor.type, tensor.shape, data, tensor.name, [tensor])
