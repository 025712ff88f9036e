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

from ggmlkit.arch.architectures import ARCHITECTURES
from ggmlkit.arch.tensor_names import EMBEDDINGS, OUTPUT
from ggmlkit.arguments import thread_count
from ggmlkit.conversion.lora.adapter import (
    Adapter,
    AdapterPath,
    BaseModel,
    Change,
    Scaled,
    with_scales,
)
from ggmlkit.conversion.lora.open_adapter import open_adapter
from ggmlkit.conversion.open_source import open_source
from ggmlkit.conversion.pipeline import write_model
from ggmlkit.conversion.plan import container_of, conversion_plan, stored_types
from ggmlkit.conversion.source import Source
from ggmlkit.errors import ConversionError
from ggmlkit.io.pages import release
from ggmlkit.io.writing.stream import Part, PartedTensor
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

    Rows get the lengths that DoRA gives them, whole tensors that an adapter has (PEFT's
    ``modules_to_save``, trained biases) take the place of the model's.

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
        ConversionError: an adapter doesn't fit the model, has something that isn't supported, or
            has DoRA or whole tensors and a scale other than 1; or what ``gk.convert`` raises it
            for.
        FormatError: a file is damaged.
        UnsupportedTypeError: a type cannot be read or written.
        ValueError: a scale is no number up to a million.
    """
    thread_count(threads)
    container = container or container_of(Path(out))
    wanted = None if type is None else str(type).lower()
    with ExitStack() as open_files:
        source = open_files.enter_context(closing(open_source(base, wanted=wanted)))
        architecture = str(source.metadata.get("general.architecture", "llama"))
        model = BaseModel(architecture, source.hparams)
        opened = []
        for path, scale in with_scales(adapters):
            opened.append((open_adapter(path, model), scale))
            open_files.enter_context(closing(opened[-1][0]))
        _untie(source, architecture, [adapter for adapter, _ in opened])
        stored = stored_types(source, type)
        _apply(source, architecture, opened)
        plan = conversion_plan(source, Path(out), stored, container=container, threads=threads)
        write_model(plan, threads=threads, progress=progress)


def _untie(source: Source, architecture: str, adapters: Sequence[Adapter]) -> None:
    """Give a model of one matrix for both an output matrix of its own where only one is changed.

    So PEFT computes: what an adapter does to the embeddings, the head does not see.
    """
    changed = {name for adapter in adapters for name in adapter.shapes}
    if OUTPUT in source.tensors or not changed & {EMBEDDINGS, OUTPUT}:
        return
    if architecture in ARCHITECTURES and not ARCHITECTURES[architecture].is_tied:
        source.tensors[OUTPUT] = source.tensors[EMBEDDINGS].renamed(OUTPUT)


def _apply(source: Source, architecture: str, adapters: Sequence[tuple[Adapter, float]]) -> None:
    """Put sums, lazy, in place of the source's tensors."""
    shapes = {name: tensor.shape for name, tensor in source.tensors.items()}
    additions: dict[str, list[_Addition]] = {}
    alone: set[str] = set()  # what an adapter has to itself
    for adapter, scale in adapters:
        adapter.check_fits(shapes, architecture)
        own = adapter.replaced.keys() | adapter.lengthened
        if own and scale != 1:
            raise ConversionError(
                f"{adapter.path} sets {min(own)} as a whole (DoRA, modules_to_save, or a trained "
                f"bias), so it can't be applied {scale:g} times, only 1"
            )
        if twice := alone & adapter.shapes.keys() | own & additions.keys():
            raise ConversionError(
                f"{adapter.path} and another adapter both change {min(twice)}, which one of them "
                "sets as a whole"
            )
        alone |= own
        for name, change in adapter.changes.items():
            additions.setdefault(name, []).append(_Addition(change, scale * change.scale))
        source.tensors.update(adapter.replaced)
    for name, changes in additions.items():
        source.tensors[name] = _sum(source.tensors[name], changes)


class _Addition(NamedTuple):
    """A change, and what it is multiplied by in all."""

    change: Change
    factor: float


class _Factors(NamedTuple):
    """The same with its halves read: float32 ``(rank, in)``, ``(out, rank)``, the factor in b.

    And DoRA's length of each row, ``(out,)``, which is set where there are no other changes.
    """

    a: npt.NDArray[np.float32]
    b: npt.NDArray[np.float32]
    magnitude: npt.NDArray[np.float32] | None


def _sum(tensor: Tensor, additions: Sequence[_Addition]) -> Tensor:
    """The weight with the changes added, float32, computed when it is asked for."""

    def parts() -> Iterator[Part]:
        factors = [_factors(each) for each in additions if each.factor]
        for first, part in row_runs(tensor):
            yield Part(4 * part.size, partial(_add, tensor, part, first, factors))

    sources = [half for each in additions for half in each.change.tensors]
    return PartedTensor("f32", tensor.shape, parts, tensor.name, sources=[tensor, *sources])


def _factors(addition: _Addition) -> _Factors:
    change, factor = addition
    lengths = None if change.magnitude is None else change.magnitude.dequantize()
    return _Factors(change.a.dequantize(), _multiplied(change.b, factor), lengths)


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
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # the sums are looked at
        for a, b, magnitude in factors:
            rows = slice(first, first + part.rows)
            values += b[rows] @ a
            if magnitude is not None:
                values *= (magnitude[rows] / np.linalg.norm(values, axis=1))[:, None]
    check_finite(values, tensor.name, tensor.shape, first * part.shape[-1])
