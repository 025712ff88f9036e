"""Rewriting a model file in another type, a tensor at a time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ggmlkit import io, types
from ggmlkit.conversion.view import as_gguf
from ggmlkit.errors import ConversionError, UnsupportedTypeError
from ggmlkit.io.pages import release
from ggmlkit.io.stream import Part, PartedTensor
from ggmlkit.io.unknown_tensor import refuse_unknown
from ggmlkit.quantization.recipe import plan, recipe
from ggmlkit.tensor import Tensor, quantize
from ggmlkit.types import TensorType

# Elements converted at a time: what is made is written while it is still in the cache, and memory
# is bounded whatever the size of a tensor.
_PART = 1 << 20

# `general.quantization_version` of today's block layouts.
_LAYOUT_VERSION = 2

# Reads some rows of a tensor, with at most so many threads.
_Read = Callable[[int | None], Tensor]


def quantize_file(
    src: str | os.PathLike[str],
    out: str | os.PathLike[str],
    type: TensorType | str,
    *,
    pure: bool = False,
    tensor_types: Sequence[tuple[str, TensorType | str]] = (),
    importance: Mapping[str, NDArray[np.float32]] | None = None,
    container: str | None = None,
    threads: int | None = None,
    progress: io.Progress | None = None,
) -> None:
    """Rewrite the model file `src` as `out` with its matrices in `type`.

    Args:
        src: any model file that `gk.open` reads.
        out: the file to write, replaced only when it is complete; its suffix tells the container
            (`.gguf`, or `.bin` for ggjt v3) unless `container` names one.
        type: a type or a mixture of several such as `"q4_K_M"`, one of `recipe.NAMES`;
            `recipe.plan` says which tensor gets what.
        pure: give every matrix the same type.
        tensor_types: regular expressions and types for the matrices whose names they are found in.
        importance: how much each column of a matrix counts, float32 `(columns,)` by gguf name, for
            the types that use it; see `Imatrix.importance`.
        threads: at most this many; all the process may use when None.
        progress: as `gk.save` calls it.

    Raises:
        FormatError: `src` is damaged.
        UnsupportedTypeError: `type` can't be written, or a tensor of `src` can't be read.
        ConversionError: a weight isn't finite.
        ValueError: an expression is none, or an importance does not fit its matrix.
    """
    target = recipe(type)
    importance = importance or {}
    with closing(io.open(src)) as source:
        metadata, tensors = as_gguf(source)
        refuse_unknown(tensors.values())
        chosen = plan(
            tensors, type, pure=pure, weighted=bool(importance), tensor_types=tensor_types
        )
        _check_readable(tensors, chosen)
        told: dict[str, Any] = {"general.file_type": target.file_type}
        if types.get(target.type).is_quantized:
            told["general.quantization_version"] = _LAYOUT_VERSION
        unchanged = {k: v for k, v in source.stored_values().items() if k not in told}
        io.save(
            Path(out),
            {
                name: in_type(tensors[name], chosen[name], threads, importance.get(name))
                for name in tensors
            },
            {**metadata, **told},
            container=container,
            value_types=source.value_types,
            stored_values=unchanged,
            threads=threads,
            progress=progress,
        )


def in_type(
    tensor: Tensor,
    target: TensorType,
    threads: int | None = None,
    importance: NDArray[np.float32] | None = None,
) -> Tensor:
    """`tensor` stored in `target`: the same shape and name, converted when its data is read."""
    if tensor.type == target:
        return tensor
    if not target.takes_importance:
        importance = None
    if importance is not None and importance.shape != tensor.shape[-1:]:
        raise ValueError(
            f"{tensor.name} has {tensor.shape[-1]} columns, its importance {importance.size}"
        )

    def parts() -> Iterator[Part]:
        for row, rows, read in _read_runs(tensor):
            yield Part(
                rows * target.row_bytes(tensor.shape[-1] if tensor.shape else 1),
                _maker(tensor, row, read, target, importance),
            )

    return PartedTensor(target, tensor.shape, parts, tensor.name, threads, [tensor])


def _maker(
    tensor: Tensor,
    row: int,
    read: _Read,
    target: TensorType,
    importance: NDArray[np.float32] | None,
) -> Callable[[NDArray[np.uint8], int | None], None]:
    def make(out: NDArray[np.uint8], threads: int | None) -> None:
        part = read(threads)
        try:
            quantize(part, target, importance=importance, out=out, threads=threads)
        except ValueError:
            raise ConversionError(_not_finite(tensor, row, part, target)) from None
        release(part.data)

    return make


def _read_runs(tensor: Tensor) -> Iterator[tuple[int, int, _Read]]:
    """First row, number of rows, and what reads them, of runs of whole rows.

    Of a tensor that is computed in parts, if they are whole rows too, each is computed when it is
    read, so that no more of them than are needed are alive.
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


def _not_finite(tensor: Tensor, first_row: int, part: Tensor, target: TensorType) -> str:
    """What is wrong with the part that could not be quantized, by its place in the tensor."""
    values = part.dequantize().reshape(-1)
    bad = int(np.argmin(np.isfinite(values)))
    flat = first_row * part.shape[-1] + bad
    index = tuple(int(i) for i in np.unravel_index(flat, tensor.shape or (1,)))
    return f"{tensor.name} holds {values[bad]} at {index}; {target} needs finite values"


def _check_readable(tensors: dict[str, Tensor], chosen: dict[str, TensorType]) -> None:
    """Fail before anything is written if a tensor to convert has a type without a kernel."""
    for name, tensor in tensors.items():
        if tensor.type != chosen[name] and not tensor.type.can_dequantize:
            raise UnsupportedTypeError(
                f"{name} is {tensor.type}, which this build can't turn into {chosen[name]}"
            )
