"""LoRA adapters merged into a model's weights."""

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
from ggmlkit.arguments import check_paths, thread_count
from ggmlkit.conversion.lora.adapter import (
    Adapter,
    AdapterPath,
    BaseModel,
    Scaled,
    Update,
    with_scales,
)
from ggmlkit.conversion.lora.open_adapter import open_adapter
from ggmlkit.conversion.open_source import open_source
from ggmlkit.conversion.pipeline import write_model
from ggmlkit.conversion.plan import container_of, conversion_plan, stored_types
from ggmlkit.conversion.source import Source
from ggmlkit.errors import ConversionError
from ggmlkit.io.pages import release
from ggmlkit.io.targets import refuse_overwriting
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

    Rows get the lengths that DoRA sets. Whole tensors of an adapter (PEFT's ``modules_to_save``,
    trained biases) replace the model's.

    The sum is computed in float32, a few rows at a time, and then rounded.

    Args:
        base: a Hugging Face folder, a Meta folder, or any model file ``gk.open`` reads.
        adapters: a path, or several, or pairs of a path and a scale: PEFT folders, gguf or ggla
            files.
        out: the file to write, replaced only when it is complete.
        type: of the matrices, as for ``gk.convert``; None to keep each one's type.
        container: ``"gguf"`` or ``"ggjt"``; by default the suffix of ``out`` decides.
        threads: at most this many; all the process may use when None.
        progress: as ``gk.save`` calls it.

    Raises:
        ConversionError: an adapter doesn't fit the model, has something that isn't supported, or
            has DoRA or whole tensors and a scale other than 1; or for the reasons that
            ``gk.convert`` has.
        FormatError: a file is damaged.
        UnsupportedTypeError: a type cannot be read or written.
        ArgumentError: a scale is not a number, or ``out`` is a file that is read.
    """
    check_paths(base=base, out=out)
    scaled = with_scales(adapters)
    refuse_overwriting(out, base, *(path for path, _ in scaled))
    thread_count(threads)
    container = container or container_of(Path(out))
    block_type = None if type is None else str(type).lower()
    with ExitStack() as open_files:
        source = open_files.enter_context(closing(open_source(base, block_type=block_type)))
        architecture = str(source.metadata.get("general.architecture", "llama"))
        model = BaseModel(architecture, source.hparams)
        opened = []
        for path, scale in scaled:
            opened.append((open_adapter(path, model), scale))
            open_files.enter_context(closing(opened[-1][0]))
        _untie(source, architecture, [adapter for adapter, _ in opened])
        stored = stored_types(source, type)
        _apply(source, architecture, opened)
        plan = conversion_plan(source, Path(out), stored, container=container, threads=threads)
        write_model(plan, threads=threads, progress=progress)


def _untie(source: Source, architecture: str, adapters: Sequence[Adapter]) -> None:
    """Give a model with tied embeddings its own output matrix if an adapter changes one of the two.

    PEFT computes in this way: an adapter's change of the embeddings does not reach the head.
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
    set_whole: set[str] = set()  # weights that one adapter sets as a whole
    for adapter, scale in adapters:
        adapter.check_fits(shapes, architecture)
        whole = adapter.replaced.keys() | adapter.dora_weights
        if whole and scale != 1:
            raise ConversionError(
                f"{adapter.path} sets {min(whole)} as a whole (DoRA, modules_to_save, or a trained "
                f"bias), so its scale must be 1, not {scale:g}"
            )
        if twice := set_whole & adapter.shapes.keys() | whole & additions.keys():
            raise ConversionError(
                f"{adapter.path} and another adapter both change {min(twice)}, which one of them "
                "sets as a whole"
            )
        set_whole |= whole
        for name, update in adapter.updates.items():
            additions.setdefault(name, []).append(_Addition(update, scale * update.scale))
        source.tensors.update(adapter.replaced)
    for name, updates in additions.items():
        source.tensors[name] = _sum(source.tensors[name], updates)


class _Addition(NamedTuple):
    """An update, and its total factor."""

    update: Update
    factor: float


class _Factors(NamedTuple):
    """An update read into memory, float32: ``a`` ``(rank, in)``, and ``b`` ``(out, rank)`` scaled.

    ``magnitude`` ``(out,)`` has DoRA's length of each row; its weight has no other updates.
    """

    a: npt.NDArray[np.float32]
    b: npt.NDArray[np.float32]
    magnitude: npt.NDArray[np.float32] | None


def _sum(tensor: Tensor, additions: Sequence[_Addition]) -> Tensor:
    """The weight with the updates added, float32, computed when it is read."""

    def parts() -> Iterator[Part]:
        factors = [_factors(each) for each in additions if each.factor]
        for first, part in row_runs(tensor):
            yield Part(4 * part.size, partial(_add, tensor, part, first, factors))

    sources = [tensor for each in additions for tensor in each.update.tensors]
    return PartedTensor("f32", tensor.shape, parts, tensor.name, sources=[tensor, *sources])


def _factors(addition: _Addition) -> _Factors:
    update, factor = addition
    magnitude = None if update.magnitude is None else update.magnitude.dequantize()
    return _Factors(update.a.dequantize(), _multiplied(update.b, factor), magnitude)


def _multiplied(tensor: Tensor, factor: float) -> npt.NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):  # the sums are checked
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
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):  # the sums are checked
        for a, b, magnitude in factors:
            rows = slice(first, first + part.rows)
            values += b[rows] @ a
            if magnitude is not None:
                values *= (magnitude[rows] / np.linalg.norm(values, axis=1))[:, None]
    check_finite(values, tensor.name, tensor.shape, first * part.shape[-1])
