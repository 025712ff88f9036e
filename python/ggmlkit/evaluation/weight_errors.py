"""How far the weights of a quantization are from those that it was made of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

from ggmlkit.evaluation.mixed_model import part_of
from ggmlkit.inspection.compare import sums_of
from ggmlkit.inspection.row_ranges import is_readable

if TYPE_CHECKING:
    from ggmlkit.tensor import Tensor


@dataclass(frozen=True)
class WeightError:
    """The error of a matrix.

    Attributes:
        name: gguf's.
        part: of the model that it belongs to, such as ``layer 3``.
        type: of the quantization.
        nbytes: that it takes there.
        differences: sum of the squared differences from the base.
        squares: sum of the base's squares.
    """

    name: str
    part: str
    type: str
    nbytes: int
    differences: float
    squares: float

    @property
    def relative(self) -> float:
        """Root mean square of the differences over that of the base's weights."""
        return _relative([self])


def weight_errors(
    pairs: Mapping[str, tuple[Tensor, Tensor]],
    threads: int | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> list[WeightError]:
    """The error of each matrix whose types this build can read.

    Args:
        pairs: the base's and the quantization's tensor of each name.
        threads: the most to use; the default is all that the process may use.
        tell: called with the number of matrices done.
    """
    found: list[WeightError] = []
    for done, (name, (base, quantized)) in enumerate(pairs.items(), 1):
        if is_readable(base.type) and is_readable(quantized.type):
            sums = sums_of(base, quantized, threads)
            found.append(
                WeightError(
                    name,
                    part_of(name),
                    quantized.type.name,
                    quantized.nbytes,
                    sums.differences,
                    sums.first,
                )
            )
        tell(done)
    return found


def by(key: Callable[[WeightError], str], errors: Iterable[WeightError]) -> dict[str, float]:
    """The relative error of all matrices that share a key, in the order of their first ones."""
    groups: dict[str, list[WeightError]] = {}
    for error in errors:
        groups.setdefault(key(error), []).append(error)
    return {name: _relative(group) for name, group in groups.items()}


def _relative(errors: Iterable[WeightError]) -> float:
    found = list(errors)
    squares = sum(error.squares for error in found)
    return sqrt(sum(error.differences for error in found) / squares) if squares else 0.0
