"""What an importance matrix says about a model and the text it was measured on.

The columns of one matrix are compared by their mean squares: the mean, over the tokens, of the
square of what enters the column. The figures are those that ``llama-imatrix --show-statistics``
prints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.io.imatrix import Imatrix, ImatrixEntry

    Wide = NDArray[np.float64]

# Columns with a smaller mean square are as good as unused.
_ACTIVE = 1e-5
_LAYER = re.compile(r"blk\.(\d+)\.")


@dataclass(frozen=True)
class MatrixStatistics:
    """The mean squares of one matrix's columns.

    Attributes:
        name: of the tensor.
        layer: its layer; None for a matrix outside the layers.
        columns: how many were counted; those of all experts together.
        total: sum of the mean squares.
        least: the least.
        greatest: the greatest.
        mean: their mean.
        deviation: their standard deviation.
        active: share of columns whose mean square is above 0.00001.
        entropy: of the mean squares as shares of their sum, in bits. It is high where many columns
            matter alike, and low where few matter.
        evenness: entropy as a share of the highest possible.
        outliers: share of columns more than a standard deviation above the mean.
        similarity: cosine of the angle to the same matrix of the layer before; 0 without one.
    """

    name: str
    layer: int | None
    columns: int
    total: float
    least: float
    greatest: float
    mean: float
    deviation: float
    active: float
    entropy: float
    evenness: float
    outliers: float
    similarity: float


@dataclass(frozen=True)
class LayerStatistics:
    """Means over the matrices of a layer, weighted by their columns.

    Attributes:
        layer: its number.
        total: sum of mean squares.
        outliers: share of columns more than a standard deviation above the mean.
        similarity: cosine of the angle to the layer before.
    """

    layer: int
    total: float
    outliers: float
    similarity: float


def matrix_statistics(imatrix: Imatrix) -> list[MatrixStatistics]:
    """Of each matrix, sorted by kind and then by the sum of mean squares, the greatest first.

    Matrices without counts are left out.
    """
    found = [
        _of(name, entry, imatrix) for name, entry in imatrix.entries.items() if entry.counts.any()
    ]
    return sorted(found, key=lambda each: (kind_of(each.name), -each.total))


def layer_statistics(matrices: list[MatrixStatistics]) -> list[LayerStatistics]:
    """Of each layer, in order."""
    layers: dict[int, list[MatrixStatistics]] = {}
    for each in matrices:
        if each.layer is not None:
            layers.setdefault(each.layer, []).append(each)
    return [
        LayerStatistics(
            layer,
            _mean([each.total for each in own], own),
            _mean([each.outliers for each in own], own),
            _mean([each.similarity for each in own], own),
        )
        for layer, own in sorted(layers.items())
    ]


def kind_of(name: str) -> str:
    """``attn_q`` of ``blk.0.attn_q.weight``."""
    return name.removesuffix(".weight").rpartition(".")[2]


def _mean(values: list[float], weights: list[MatrixStatistics]) -> float:
    return float(np.average(values, weights=[each.columns for each in weights]))


def _of(name: str, entry: ImatrixEntry, imatrix: Imatrix) -> MatrixStatistics:
    x = entry.means[entry.counts > 0].astype(np.float64).reshape(-1)
    total, mean, deviation = float(x.sum()), float(x.mean()), float(x.std())
    entropy = _entropy(x / total) if total else 0.0
    layer = _LAYER.search(name)
    return MatrixStatistics(
        name=name,
        layer=int(layer[1]) if layer else None,
        columns=x.size,
        total=total,
        least=float(x.min()),
        greatest=float(x.max()),
        mean=mean,
        deviation=deviation,
        active=float((x > _ACTIVE).mean()),
        entropy=entropy,
        evenness=entropy / float(np.log2(x.size)) if x.size > 1 else 0.0,
        outliers=float((x > mean + deviation).mean()) if deviation else 0.0,
        similarity=_similarity(entry, _before(name, imatrix)),
    )


def _entropy(shares: Wide) -> float:
    positive = shares[shares > 0]
    return float(-(positive * np.log2(positive)).sum())


def _before(name: str, imatrix: Imatrix) -> ImatrixEntry | None:
    before = _LAYER.sub(lambda found: f"blk.{int(found[1]) - 1}.", name, count=1)
    return imatrix.entries.get(before) if before != name else None


def _similarity(entry: ImatrixEntry, before: ImatrixEntry | None) -> float:
    if before is None or before.sums.size != entry.sums.size:
        return 0.0
    x, y = (each.sums.astype(np.float64).reshape(-1) for each in (entry, before))
    length = float(np.linalg.norm(x) * np.linalg.norm(y))
    return float(x @ y) / length if length else 0.0
