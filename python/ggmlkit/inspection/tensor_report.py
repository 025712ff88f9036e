"""The statistics of one tensor, and its numbers that are not finite."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.inspection.row_ranges import is_readable, runs
from ggmlkit.inspection.scales import broken_blocks
from ggmlkit.io.unknown_tensor import UnknownTensor
from ggmlkit.tensor import Tensor
from ggmlkit.types import TensorType

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Statistics:
    """Of a tensor's finite values."""

    minimum: float
    maximum: float
    mean: float
    rms: float


@dataclass(frozen=True)
class TensorReport:
    """What was found in one tensor.

    Attributes:
        name: of the tensor.
        type: as the file has it.
        shape: numpy order.
        nbytes: of its data; ``None`` where its type is unknown.
        statistics: ``None`` for a tensor without finite values, or of a type that this build can't
            read; its scales are checked all the same.
        problems: one sentence each; empty if there are none.
        sha256: of its data with little-endian numbers, if asked for.
    """

    name: str
    type: str
    shape: tuple[int, ...]
    nbytes: int | None
    statistics: Statistics | None
    problems: list[str]
    sha256: str | None


def tensor_report(
    name: str, tensor: Tensor, *, sha256: bool = False, threads: int | None = None
) -> TensorReport:
    """Check a tensor's blocks and values."""
    if isinstance(tensor, UnknownTensor):
        return _unknown_report(name, tensor)
    digest = hashlib.sha256() if sha256 else None
    sums, broken, odd = _Sums(), _Count(), _Count()
    for first, part in runs(tensor):
        if digest is not None:
            digest.update(part.data.data)
        blocks = broken_blocks(part)
        broken.add(blocks, first)
        if is_readable(tensor.type):
            # Doubles would become infinite in float32.
            double = tensor.type.name == "f64"
            values = part.numpy() if double else part.dequantize(threads=threads)
            odd.add(_other_places(values, tensor.type, blocks), first * tensor.type.block_size)
            sums.add(values)
    return TensorReport(
        name,
        tensor.stored_as,
        tensor.shape,
        tensor.nbytes,
        sums.statistics(),
        [
            *_problem(name, broken, f"block {broken.first} has a scale that isn't finite"),
            *_problem(name, odd, f"{_place(odd.first, tensor.type)} isn't finite"),
        ],
        None if digest is None else digest.hexdigest(),
    )


def _unknown_report(name: str, tensor: UnknownTensor) -> TensorReport:
    problem = (
        f"tensor {name!r} has type number {tensor.type.ggml_id}, which this version of ggmlkit "
        "doesn't know, so its values were not checked"
    )
    return TensorReport(name, tensor.stored_as, tensor.shape, None, None, [problem], None)


def _other_places(
    values: NDArray[np.floating[Any]], type: TensorType, broken: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Where values are not finite, other than in blocks that are known to be broken."""
    finite = np.isfinite(values)
    finite.reshape(-1, type.block_size)[broken] = True
    return np.flatnonzero(~finite)


class _Count:
    """How many things were found, and where the first is."""

    def __init__(self) -> None:
        self.found = 0
        self.first = 0

    def add(self, places: NDArray[np.intp], offset: int) -> None:
        if places.size and not self.found:
            self.first = int(places[0]) + offset
        self.found += places.size


def _problem(name: str, count: _Count, what: str) -> Iterator[str]:
    if count.found:
        more = f", and {count.found - 1} more" if count.found > 1 else ""
        yield f"tensor {name!r}: {what}{more}"


def _place(value: int, type: TensorType) -> str:
    block = f", in block {value // type.block_size}," if type.is_quantized else ""
    return f"value {value}{block}"


class _Sums:
    """Statistics added up run by run, in double precision."""

    def __init__(self) -> None:
        self._count = 0
        self._minimum, self._maximum = inf, -inf
        self._sum = self._squares = 0.0

    def add(self, values: NDArray[np.floating[Any]]) -> None:
        finite = np.isfinite(values)
        wide = (values if finite.all() else values[finite]).astype(np.float64)
        if not wide.size:
            return
        self._count += wide.size
        self._minimum = min(self._minimum, float(wide.min()))
        self._maximum = max(self._maximum, float(wide.max()))
        with np.errstate(over="ignore", invalid="ignore"):
            self._sum += float(wide.sum())
            self._squares += float(wide @ wide)

    def statistics(self) -> Statistics | None:
        if not self._count:
            return None
        mean, rms = self._sum / self._count, sqrt(self._squares / self._count)
        return Statistics(self._minimum, self._maximum, mean, rms)
