"""Differences between two model files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from math import nan, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.arguments import check_paths, thread_count
from ggmlkit.conversion.open_source import open_source
from ggmlkit.conversion.source import Source
from ggmlkit.errors import ConversionError
from ggmlkit.inspection.row_ranges import is_readable, runs
from ggmlkit.io import Progress
from ggmlkit.io import open as open_file
from ggmlkit.io.unknown_tensor import UnknownTensor
from ggmlkit.tensor import Tensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Errors:
    """Differences of values; not finite if a value isn't and the bytes differ.

    Attributes:
        maximum: of the absolute differences.
        rms: root of the mean of the squared differences.
        cosine: of the angle between the tensors; 1 if both are all zeros, 0 if one is.
    """

    maximum: float
    rms: float
    cosine: float


@dataclass(frozen=True)
class TensorPair:
    """A tensor that both files have.

    Attributes:
        name: of both.
        types: of the first and the second.
        shapes: likewise.
        identical: whether type, shape and bytes are the same. Tensors of a type that this version
            doesn't know count as different if it is not certain how many bytes they have.
        errors: ``None`` where the shapes differ or this build can't read a type.
    """

    name: str
    types: tuple[str, str]
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    identical: bool
    errors: Errors | None


@dataclass(frozen=True)
class Comparison:
    """What two files have in common and what not.

    Attributes:
        changed: metadata whose values differ, as (first, second) by key.
        keys_of_first: metadata that only the first file has.
        keys_of_second: metadata that only the second has.
        tensors: those of both, in the first file's order.
        tensors_of_first: names only in the first file.
        tensors_of_second: names only in the second.
    """

    changed: dict[str, tuple[Any, Any]]
    keys_of_first: dict[str, Any]
    keys_of_second: dict[str, Any]
    tensors: list[TensorPair]
    tensors_of_first: list[str]
    tensors_of_second: list[str]

    @property
    def same(self) -> bool:
        """Whether metadata and tensors are the same, bit for bit."""
        lists = (self.keys_of_first, self.keys_of_second, self.tensors_of_first)
        return not (self.changed or self.tensors_of_second or any(lists)) and all(
            pair.identical for pair in self.tensors
        )


def compare_files(
    first: str | os.PathLike[str],
    second: str | os.PathLike[str],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Compare two model files, or checkpoint folders, by gguf keys and names.

    Files of any container compare with each other. If one is not a whole model, such as an adapter
    or a checkpoint without its config.json, both keep their own names. Values are compared as
    float32, a few megabytes at a time.

    Raises:
        FormatError: a file is damaged.
        ConversionError: a folder is not a checkpoint.
        OSError: a file can't be opened.
    """
    check_paths(first=first, second=second)
    thread_count(threads)
    sources = _opened([Path(first), Path(second)])
    with closing(sources[0]) as one, closing(sources[1]) as two:
        shared = [name for name in one.tensors if name in two.tensors]
        total = sum(one.tensors[name].nbytes for name in shared)
        pairs = []
        done = 0
        for name in shared:
            if progress is not None:
                progress(done, total, name)
            pairs.append(compare_tensors(name, one.tensors[name], two.tensors[name], threads))
            done += one.tensors[name].nbytes
        if progress is not None:
            progress(total, total, "")
        return Comparison(
            _changed(one.metadata, two.metadata),
            {key: value for key, value in one.metadata.items() if key not in two.metadata},
            {key: value for key, value in two.metadata.items() if key not in one.metadata},
            pairs,
            [name for name in one.tensors if name not in two.tensors],
            [name for name in two.tensors if name not in one.tensors],
        )


def compare_tensors(
    name: str, first: Tensor, second: Tensor, threads: int | None = None
) -> TensorPair:
    """Compare two tensors with the same name."""
    same_kind = first.type == second.type and first.shape == second.shape
    identical = same_kind and _same_bytes(first, second)
    readable = is_readable(first.type) and is_readable(second.type)
    errors = None
    if identical:
        errors = Errors(0.0, 0.0, 1.0)
    elif first.shape == second.shape and readable:
        errors = _errors(first, second, threads)
    return TensorPair(
        name,
        (first.type.name, second.type.name),
        (first.shape, second.shape),
        identical,
        errors,
    )


def _opened(paths: list[Path]) -> list[Source]:
    """The files by gguf's names and keys; by their own if one of them is not a LLaMA model."""
    found: list[Source] = []
    try:
        for path in paths:
            found.append(open_source(path))
    except ConversionError:
        for source in found:
            source.close()
        if any(path.is_dir() for path in paths):
            raise
    else:
        return found
    files = [open_file(path) for path in paths]
    return [Source(file.path, file.metadata, file.tensors, [file]) for file in files]


def _changed(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        key: (value, second[key])
        for key, value in first.items()
        if key in second and not _equal(value, second[key])
    }


def _equal(first: Any, second: Any) -> bool:
    lists = (list, tuple, np.ndarray)
    if isinstance(first, lists) != isinstance(second, lists):
        return False
    if isinstance(first, float) and isinstance(second, float):
        # Old containers don't store such numbers, and gguf stores them as float32.
        return np.array_equal(np.float32(first), np.float32(second), equal_nan=True)
    if not isinstance(first, lists):
        return bool(first == second)
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return np.array_equal(first, second, equal_nan=first.dtype.kind == "f")
    return len(first) == len(second) and all(map(_equal, first, second))


def _same_bytes(first: Tensor, second: Tensor) -> bool:
    if isinstance(first, UnknownTensor) and isinstance(second, UnknownTensor):
        one, two = first.kept, second.kept  # padding included, which is zeros
        return one is not None and two is not None and np.array_equal(one.data, two.data)
    pairs = zip(runs(first), runs(second), strict=True)
    return all(np.array_equal(one.data, two.data) for (_, one), (_, two) in pairs)


@dataclass(frozen=True)
class Sums:
    """What the errors of values are made of; see :func:`sums_of`.

    Attributes:
        maximum: of the absolute differences.
        differences: sum of their squares.
        first: sum of the squares of the first values.
        second: of the second ones.
        product: sum of the products.
    """

    maximum: float
    differences: float
    first: float
    second: float
    product: float


def sums_of(first: Tensor, second: Tensor, threads: int | None = None) -> Sums:
    """Sums over two tensors of one shape, a few megabytes at a time."""
    maximum = squares = product = first_norm = second_norm = 0.0
    with np.errstate(invalid="ignore", over="ignore"):
        for one, two in zip(_values(first, threads), _values(second, threads), strict=True):
            difference = np.abs(one - two)
            # Python's max() would lose a nan
            maximum = float(np.maximum(maximum, difference.max(initial=0)))
            squares += float(difference @ difference)
            product += float(one @ two)
            first_norm += float(one @ one)
            second_norm += float(two @ two)
    return Sums(maximum, squares, first_norm, second_norm, product)


def _errors(first: Tensor, second: Tensor, threads: int | None) -> Errors:
    sums = sums_of(first, second, threads)
    return Errors(
        sums.maximum,
        sqrt(sums.differences / max(1, first.size)),
        _cosine(sums.product, sums.first, sums.second),
    )


def _values(tensor: Tensor, threads: int | None) -> Iterator[NDArray[np.float64]]:
    for _, part in runs(tensor):
        yield part.dequantize(threads=threads).astype(np.float64)


def _cosine(product: float, first: float, second: float) -> float:
    if first == 0 or second == 0:
        return 1.0 if first == second else 0.0
    if not np.isfinite([product, first, second]).all():
        return nan
    return max(-1.0, min(1.0, product / (sqrt(first) * sqrt(second))))
