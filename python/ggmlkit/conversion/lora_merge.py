"""LoRA adapters added to a model's weights for good."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ggmlkit.conversion.lora import AdapterPath, Change, Scaled, open_adapter, with_scales
from ggmlkit.conversion.pipeline import write_model
from ggmlkit.conversion.plan import container_of, conversion_plan, stored_types
from ggmlkit.conversion.source import open_source
from ggmlkit.io.pages import release
from ggmlkit.io.stream import Part, PartedTensor
from ggmlkit.quantization.file import row_runs
from ggmlkit.storing import check_finite
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType


def apply_lora(
    base: str | os.PathLike[str],
    adapters: AdapterPath | Sequence[Scaled],
    out: str | os.PathLike[str],
    *,
    type: str | TensorType | None = None,
    container: str | None = None,
    threads: int | None = None,
    progress: Callable[..., None] | None = None,
) -> None:
    """Write a model with adapters added to its weights: ``W + scale · alpha / rank · B·A``.

    The sum is computed in float32, a few rows at a time, and then rounded.

    Args:
        base: a Hugging Face folder, a Meta folder, or any model file ``gk.open`` reads.
        adapters: a path, or several, or pairs of a path and a scale: PEFT folders, gguf or ggla
            files.
        out: the file to write, replaced only when it is complete.
        type: of the matrices, as for ``gk.convert``; None for the one that each has.
        container: ``"gguf"`` or ``"ggjt"``; by default the suffix of ``out`` tells.
        threads: at most this many; all the process may use when None.
        progress: as ``gk.save`` calls it.

    Raises:
        ConversionError: an adapter doesn't fit the model, or has something that isn't supported;
            or what ``gk.convert`` raises it for.
        FormatError: a file is damaged.
        UnsupportedTypeError: a type cannot be read or written.
        ValueError: a scale is no number up to a million.
    """
    container = container or container_of(Path(out))
    wanted = None if type is None else str(type).lower()
    with ExitStack() as open_files:
        source = open_files.enter_context(closing(open_source(base, wanted=wanted)))
        stored = stored_types(source, type)
        shapes = {name: tensor.shape for name, tensor in source.tensors.items()}
        architecture = str(source.metadata.get("general.architecture", "llama"))
        additions: dict[str, list[_Addition]] = {}
        for path, scale in with_scales(adapters):
            adapter = open_files.enter_context(closing(open_adapter(path, source.hparams)))
            adapter.check_fits(shapes, architecture)
            for name, change in adapter.changes.items():
                additions.setdefault(name, []).append(_Addition(change, scale * change.scale))
        for name, changes in additions.items():
            source.tensors[name] = _sum(source.tensors[name], changes)
        plan = conversion_plan(source, Path(out), stored, container=container, threads=threads)
        write_model(plan, threads=threads, progress=progress)


class _Addition(NamedTuple):
    """A change, and what it is multiplied by in all."""

    change: Change
    factor: float


class _Factors(NamedTuple):
    """The same with its halves read: float32 ``(rank, in)``, ``(out, rank)``, the factor in b."""

    a: npt.NDArray[np.float32]
    b: npt.NDArray[np.float32]


def _sum(tensor: Tensor, additions: Sequence[_Addition]) -> Tensor:
    """The weight with the changes added, float32, computed when it is asked for."""

    def parts() -> Iterator[Part]:
        factors = [
            _Factors(each.change.a.dequantize(), _multiplied(each.change.b, factor))
            for each in additions
            if (factor := each.factor)
        ]
        for first, part in row_runs(tensor):
            yield Part(4 * part.size, partial(_add, tensor, part, first, factors))

    halves = [half for each in additions for half in (each.change.a, each.change.b)]
    return PartedTensor("f32", tensor.shape, parts, tensor.name, sources=[tensor, *halves])


def _multiplied(tensor: Tensor, factor: float) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # the sums are looked at
        return tensor.dequantize() * np.float32(factor)


def _add(
    tensor: Tensor,
    part: Tensor,
    first: int,
    factors: Sequence[_Factors],
    out: npt.NDArray[np.uint8],
    threads: int | None,
) -> None:
    values = out.view(np.float32).reshape(part.shape)
    part.dequantize(out=values, threads=threads)
    release(part.data)
    with np.errstate(over="ignore", invalid="ignore"):
        for a, b in factors:
            values += b[first : first + part.rows] @ a
    check_finite(values, tensor.name, tensor.shape, first * part.shape[-1])
