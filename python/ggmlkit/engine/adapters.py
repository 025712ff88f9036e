"""Gives LoRA adapters to the decoder, which adds their updates while it computes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ggmlkit import _core
from ggmlkit.arch.hparams import Hparams
from ggmlkit.conversion.lora.adapter import AdapterPath, BaseModel, Scaled, with_scales
from ggmlkit.conversion.lora.open_adapter import open_adapter
from ggmlkit.engine.fused_tensors import fused_rows
from ggmlkit.errors import ConversionError, ModelError
from ggmlkit.io.base import ModelFile
from ggmlkit.io.gguf_view import as_gguf

if TYPE_CHECKING:
    from numpy.typing import NDArray


class _Halves(NamedTuple):
    """A and B of one weight's update: float32 ``(rank, in)`` and ``(rank, out)``; B is scaled."""

    a: NDArray[np.float32]
    b: NDArray[np.float32]


def load_adapters(
    weights: _core.ModelWeights,
    file: ModelFile,
    hparams: Hparams,
    adapters: AdapterPath | Sequence[Scaled],
) -> tuple[_core.Adapter, str]:
    """What these adapters, together, add to weights that were loaded from ``file``; and a digest.

    Raises ModelError if an adapter is not for the model or is not low-rank only, FormatError if it
    is damaged, ValueError if its scale is not a number up to a million.
    """
    _, tensors = as_gguf(file)
    base = BaseModel(hparams.architecture, lambda: hparams)
    shapes = {name: tensor.shape for name, tensor in tensors.items()}
    halves: dict[str, list[_Halves]] = {}
    scaled = with_scales(adapters)
    joined, digest = _core.Adapter(weights), hashlib.sha256()
    try:
        for path, scale in scaled:
            with closing(open_adapter(path, base)) as adapter:
                adapter.check_is_low_rank("a model at run time")
                adapter.check_fits(shapes, base.architecture)
                for name, update in adapter.updates.items():
                    if factor := np.float32(scale * update.scale):
                        a, b = update.a.dequantize(), factor * update.b.dequantize().T
                        rows = fused_rows(name, tensors, hparams)
                        for part, part_of_b in _divided(name, b, rows):
                            halves.setdefault(part, []).append(_Halves(a, part_of_b))
        for name, found in halves.items():
            # With the ranks concatenated, B·A is the sum of all updates.
            a = np.concatenate([each.a for each in found])
            b = np.concatenate([each.b for each in found])
            joined.set(name, a, np.ascontiguousarray(b))
            digest.update(b"".join((name.encode(), a.tobytes(), b.tobytes())))
    except (ConversionError, ValueError) as error:
        raise ModelError(str(error)) from error
    return joined, digest.hexdigest()


def _divided(
    name: str, b: NDArray[np.float32], rows: dict[str, int] | None
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The columns of ``(rank, out)`` of each matrix in the weight; A is the same for all."""
    if rows is None:
        yield name, b
        return
    ends = np.cumsum(list(rows.values()))
    yield from zip(rows, np.split(b, ends[:-1], axis=1), strict=True)
