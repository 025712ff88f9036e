"""Rewrites a model file in another type, one tensor at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggmlkit import io, types
from ggmlkit.arguments import check_paths, shown, thread_count
from ggmlkit.errors import ArgumentError, ArgumentTypeError, UnsupportedTypeError
from ggmlkit.io.gguf_view import as_gguf
from ggmlkit.io.pages import release
from ggmlkit.io.targets import refuse_overwriting
from ggmlkit.io.unknown_tensor import refuse_unknown
from ggmlkit.io.writing.stream import Part, PartedTensor, parts_of
from ggmlkit.quantization.calibrating import Calibrating, Choosing, Request, Rounded
from ggmlkit.quantization.importance import fitted, left_out
from ggmlkit.quantization.recipe import (
    Planned,
    check_importance,
    chosable,
    planned,
    prevailing,
    recipe,
)
from ggmlkit.quantization.size import parsed_size
from ggmlkit.storing import Importance, check_finite_halves, store
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

# Elements converted at a time: the result is written while it is still in the cache, and memory
# stays small whatever the size of a tensor.
_PART = 1 << 20

# `general.quantization_version` of today's block layouts.
_LAYOUT_VERSION = 2

# Reads some rows of a tensor, with at most this many threads.
_Read = Callable[[int | None], Tensor]


def quantize_file(
    src: str | os.PathLike[str],
    out: str | os.PathLike[str],
    type: TensorType | str | None = None,
    *,
    size: str | int | None = None,
    pure: bool = False,
    tensor_types: Sequence[tuple[str, TensorType | str]] = (),
    importance: Mapping[str, NDArray[np.float32]] | None = None,
    calibrate: Calibrating | None = None,
    container: str | None = None,
    threads: int | None = None,
    progress: io.Progress | None = None,
) -> list[str]:
    """Rewrite the model file `src` as `out` with its matrices in `type`.

    Args:
        src: any model file that `gk.open` reads.
        out: the file to write, replaced only when it is complete; its suffix decides the container
            (`.gguf`, or `.bin` for ggjt v3) unless `container` names one.
        type: a type or a mixture of several such as `"q4_K_M"`, one of `recipe.NAMES`;
            `recipe.plan` says which tensor gets which type. None with `size`.
        size: choose the type of each matrix so that the file is no larger, and loses least:
            ``"90MB"``, ``"2GB"`` or a number of bytes; or ``"4.5bpw"``, bits a weight of the
            tensors' data. It needs `calibrate` and the extra ``calibration``; only gguf.
        pure: give every matrix the same type.
        tensor_types: pairs of a regular expression and a type, for matrices whose name it matches.
        importance: how much each column of a matrix counts, by gguf name: `(columns,)`, or
            `(experts, columns)` for a tensor of several experts. It is for the types that use it;
            see `Imatrix.importance`. A matrix whose columns all have 0 is stored as without it.
        calibrate: a `gk.Calibration`, which runs the model on a text and rounds its matrices by
            what enters them: the same types and size, less error. Or a `gk.ScaleSearch`, which
            works by `importance` alone.
        threads: at most this many; all the process may use when None.
        progress: as `gk.save` calls it; with `calibrate`, of that work, in weights.

    Returns:
        Notes on the file, one sentence each, such as which matrices got another type than the
        recipe's, and why. Empty if there are none.

    Raises:
        FormatError: `src` is damaged.
        UnsupportedTypeError: `type` can't be written, or a tensor of `src` can't be read.
        UnstorableError: a weight isn't finite, or too large for the type.
        ImportanceError: an importance does not fit its matrix, or isn't finite; or a type of few
            bits needs one that is not given.
        ConversionError: an expression matches no matrix's name.
        ModelError: `calibrate` is given, and the engine can't run the model.
        ArgumentError: `out` is `src`, an expression is not a regular expression, `importance` is
            given with a `calibrate` that measures it, or not given with one that needs it, `type`
            and `size` are both or neither; or `size` has no such form, or is less than any choice
            of types makes.
    """
    check_paths(src=src, out=out)
    refuse_overwriting(out, src)
    thread_count(threads)
    io.container_of(out, container)
    _check_calibrate(calibrate, importance)
    _check_size(size, type, pure, calibrate, container, Path(out))
    with closing(io.open(src)) as source, ExitStack() as stack:
        metadata, tensors = as_gguf(source)
        refuse_unknown(tensors.values())
        weights, notes = fitted({} if importance is None else importance, tensors)
        new_keys: dict[str, Any] = {}
        # With a size, the largest type stands for those that are not chosen yet.
        named = type if type is not None else "q8_0"
        chosen = planned(
            tensors, named, pure=pure, weighted=bool(weights), tensor_types=tensor_types
        )
        chooser: object = calibrate
        if size is not None and isinstance(chooser, Choosing):
            names = chosable(tensors, tensor_types)
            request = Request(
                source, metadata, tensors, chosen.types, Path(out), weights, threads, progress
            )
            found = chooser.choosing(request, size, names)
            chosen = Planned({**chosen.types, **found.types}, {})
            new_keys |= found.metadata
            notes += found.notes
            named = prevailing(tensors, chosen.types)
        target = recipe(named)
        check_importance(chosen.types, tensors, weights)
        _check_readable(tensors, chosen.types)
        new_keys["general.file_type"] = target.file_type
        if types.get(target.type).is_quantized:
            new_keys["general.quantization_version"] = _LAYOUT_VERSION
        made = Rounded()
        if calibrate is not None:
            request = Request(
                source, metadata, tensors, chosen.types, Path(out), weights, threads, progress
            )
            made = stack.enter_context(calibrate.rounding(request))
            new_keys |= made.metadata
            notes += made.notes
            progress = None
        notes += left_out(importance or {}, tensors, chosen.types, made.tensors)
        unchanged = {k: v for k, v in source.stored_values().items() if k not in new_keys}
        io.save(
            Path(out),
            {
                name: made.tensors[name]
                if name in made.tensors
                else in_type(tensors[name], chosen.types[name], threads, weights.get(name))
                for name in tensors
            },
            {**metadata, **new_keys},
            container=container,
            value_types=source.value_types,
            stored_values=unchanged,
            threads=threads,
            progress=progress,
        )
    return [*chosen.notes(tensors), *notes]


def _check_size(
    size: str | int | None,
    type: object,
    pure: bool,
    calibrate: object,
    container: str | None,
    out: Path,
) -> None:
    if size is None:
        if type is None:
            raise ArgumentError("give a type, or a size to choose the types for")
        return
    parsed_size(size)
    if type is not None or pure:
        raise ArgumentError("give either a type or a size, which chooses the types")
    if not isinstance(calibrate, Choosing):
        raise ArgumentError(
            "size needs calibrate: what types cost is measured on its text, as in "
            'calibrate=gk.Calibration("text.txt")'
        )
    if container not in (None, "gguf") or (container is None and out.suffix.lower() != ".gguf"):
        raise ArgumentError("a size can be given for gguf files alone")


def _check_calibrate(calibrate: object, importance: object) -> None:
    if calibrate is None:
        return
    if not callable(getattr(calibrate, "rounding", None)):
        raise ArgumentTypeError(
            f'calibrate must be a calibration such as gk.Calibration("text.txt"), not '
            f"{shown(calibrate)}"
        )
    if getattr(calibrate, "takes_importance", False):
        if not importance:
            raise ArgumentError("a search for scales needs importance: give an importance matrix")
    elif importance is not None:
        raise ArgumentError(
            "give either importance or calibrate: a calibration measures what importance says"
        )


def in_type(
    tensor: Tensor,
    target: TensorType,
    threads: int | None = None,
    importance: Importance | None = None,
) -> Tensor:
    """`tensor` stored in `target`: the same shape and name, converted when its data is read.

    Reading raises UnstorableError for a weight that `target` can't hold. f16 in a file holds only
    finite numbers, because it is the type in which weights become infinite.
    """
    if tensor.type == target:
        return _finite_halves(tensor) if target.name == "f16" else tensor
    if not target.takes_importance:
        importance = None

    def parts() -> Iterator[Part]:
        for row, rows, read in _read_runs(tensor):
            yield Part(
                rows * target.row_bytes(tensor.shape[-1] if tensor.shape else 1),
                partial(_make, tensor, row, read, target, importance),
            )

    return PartedTensor(target, tensor.shape, parts, tensor.name, threads, [tensor])


def _make(
    tensor: Tensor,
    row: int,
    read: _Read,
    target: TensorType,
    importance: Importance | None,
    out: NDArray[np.uint8],
    threads: int | None,
) -> None:
    part = read(threads)
    store(
        part.type,
        part.data,
        part.shape,
        target,
        out,
        name=tensor.name,
        importance=importance,
        whole=tensor.shape,
        first_row=row,
        threads=threads,
    )
    if target.name == "f16":
        check_finite_halves(out, tensor.shape, tensor.name, row * part.shape[-1])
    release(part.data)


def _finite_halves(tensor: Tensor) -> Tensor:
    """A float16 tensor, unchanged; reading it raises an error for values that are not finite."""

    def parts() -> Iterator[Part]:
        first = 0
        for part in parts_of(tensor):
            yield Part(part.nbytes, partial(_make_finite, tensor, part, first))
            first += part.nbytes // 2

    threads = tensor.threads if isinstance(tensor, PartedTensor) else None
    return PartedTensor(tensor.type, tensor.shape, parts, tensor.name, threads, [tensor])


def _make_finite(
    tensor: Tensor, part: Part, first: int, out: NDArray[np.uint8], threads: int | None
) -> None:
    part.make(out, threads)
    check_finite_halves(out, tensor.shape, tensor.name, first)


def _read_runs(tensor: Tensor) -> Iterator[tuple[int, int, _Read]]:
    """Runs of whole rows: the first row, the number of rows, and the function that reads them.

    If the tensor is computed in parts of whole rows, each part is computed when it is read, so that
    only the parts in use take memory.
    """
    columns = tensor.shape[-1] if tensor.shape else 1
    row_bytes = tensor.type.row_bytes(columns)
    parts = list(tensor.parts()) if isinstance(tensor, PartedTensor) and row_bytes else []
    if not parts or any(part.nbytes % row_bytes for part in parts):
        for row, part in row_runs(tensor):
            yield row, part.rows, partial(_as_it_is, part)
        return
    row = 0
    for computed in parts:
        rows = computed.nbytes // row_bytes
        yield row, rows, partial(_computed, computed, tensor, (rows, columns))
        row += rows


def _as_it_is(part: Tensor, _threads: int | None) -> Tensor:
    return part


def _computed(part: Part, tensor: Tensor, shape: tuple[int, int], threads: int | None) -> Tensor:
    data = np.empty(part.nbytes, np.uint8)
    part.make(data, threads)
    return Tensor(tensor.type, shape, data, tensor.name)


def row_runs(tensor: Tensor) -> Iterator[tuple[int, Tensor]]:
    """The tensor in runs of whole rows, each with the number of its first row."""
    columns = tensor.shape[-1] if tensor.shape else 1
    row_bytes = tensor.type.row_bytes(columns)
    step = max(1, _PART // max(1, columns))
    data = tensor.data
    for row in range(0, tensor.rows, step):
        rows = min(step, tensor.rows - row)
        part = data[row * row_bytes : (row + rows) * row_bytes]
        yield row, Tensor(tensor.type, (rows, columns), part, tensor.name)


def _check_readable(tensors: dict[str, Tensor], chosen: dict[str, TensorType]) -> None:
    """Raise before anything is written if a tensor to convert has a type without a kernel."""
    for name, tensor in tensors.items():
        if tensor.type != chosen[name] and not tensor.type.can_dequantize:
            raise UnsupportedTypeError(
                f"{name} is {tensor.type}, which this build can't turn into {chosen[name]}"
            )
