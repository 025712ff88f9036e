"""What it costs to store a matrix in a type: the error of its output, times what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ggmlkit.calibration.methods import Method
from ggmlkit.calibration.rounding import can_calibrate, rounded
from ggmlkit.errors import UnstorableError
from ggmlkit.quantizing import dequantize, quantize
from ggmlkit.tensor import Tensor
from ggmlkit.types import ALL, TensorType

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ggmlkit.calibration.matrices import Entering

    Floats = NDArray[np.float32]

# Rows of a matrix that are rounded to every type: the error of all is about theirs.
_ROWS = 64
# Rows of this many weights are whole blocks of k-types, which are better than the others.
_LARGE_BLOCK = 256
_OF_SMALL_BLOCKS = frozenset({"q4_1", "q5_0", "q5_1"})
# What says how large errors are, in place of a method that takes much longer: types compare alike.
_QUICKER: Mapping[Method, Method] = {"descent": "feedback"}
# What is rounded to see what errors cost: about so many bits.
_PROBE_BITS = 4.2


@dataclass(frozen=True)
class Use:
    """One use of a matrix: a product, or the reading of rows.

    Attributes:
        slope: KL divergence, in nats a token, that a relative error of 1 would cost if it went on
            as it begins.
        errors: the relative error by the name of the type: a sum of squares of differences,
            divided by that of the values.
    """

    slope: float
    errors: Mapping[str, float]


@dataclass(frozen=True)
class Sensitivity:
    """What it costs to store a matrix in each type.

    Attributes:
        shape: of the matrix.
        uses: of it; a matrix that is embeddings and output has two.
    """

    shape: tuple[int, ...]
    uses: Sequence[Use] = field(default_factory=list)

    @property
    def types(self) -> list[str]:
        """The names of the types that were measured."""
        return list(self.uses[0].errors)

    def kl(self, type: str) -> float:
        """KL divergence from the model as it is, in nats a token, that is expected."""
        return sum(use.slope * use.errors[type] for use in self.uses)


def candidates(columns: int) -> list[TensorType]:
    """Types that matrices with so many columns may get: calibrated here, and fast to run."""
    return [
        each
        for each in ALL
        if each.generation == "gguf"
        and each.has_product
        and can_calibrate(each)
        and columns % each.block_size == 0
        and not (columns % _LARGE_BLOCK == 0 and each.name in _OF_SMALL_BLOCKS)
    ]


def probe_type(kinds: Sequence[TensorType]) -> TensorType:
    """The type that a matrix is rounded to, to see what errors cost."""
    enough = [each for each in kinds if each.bits_per_weight >= _PROBE_BITS]
    return min(enough or kinds, key=lambda each: each.bits_per_weight)


def some_rows(tensor: Tensor) -> NDArray[np.int64]:
    """Numbers of rows from all over a matrix."""
    return np.unique(np.linspace(0, tensor.rows - 1, _ROWS).astype(np.int64))


def rows_of(tensor: Tensor, rows: NDArray[np.integer]) -> Floats:
    """Rows of a matrix, float32 ``(rows, columns)``."""
    row_bytes = tensor.type.row_bytes(tensor.shape[-1])
    data = tensor.data.reshape(-1, row_bytes)[rows]
    own = Tensor(tensor.type, (len(rows), tensor.shape[-1]), data.reshape(-1), tensor.name)
    found = own.dequantize()
    tensor.check()
    return found


def by_reference(weights: Floats, type: TensorType) -> Floats:
    """What the reference's rounding makes of weights."""
    return dequantize(quantize(weights, type))


def by_calibration(
    weights: Floats, type: TensorType, hessian: NDArray[np.floating], method: Method, threads: int
) -> Floats | None:
    """What calibrated rounding makes of weights; None where a block can't hold it."""
    try:
        blocks = rounded(weights, hessian, type, method, threads=threads)
    except UnstorableError:
        return None
    return Tensor(type, weights.shape, blocks.reshape(-1), "").dequantize()


def output_error(weights: Floats, values: Floats, held_out: Floats) -> float:
    """Relative error of the output for tokens held out, if `values` stand for the weights."""
    return _share(held_out @ (weights - values).T, held_out @ weights.T)


def value_error(weights: Floats, values: Floats) -> float:
    """Relative error of the values themselves."""
    return _share(weights - values, weights)


def _share(difference: Floats, whole: Floats) -> float:
    square = float(np.einsum("ij,ij->", whole, whole, dtype=np.float64))
    return float(np.einsum("ij,ij->", difference, difference, dtype=np.float64)) / (square or 1.0)


@dataclass(frozen=True)
class Errors:
    """Relative errors of a matrix by the name of the type.

    Attributes:
        found: of the better of calibrated and reference rounding.
        reference: of the reference's.
        values: of the values themselves, with the rounding of `found`.
        reference_values: with the reference's.
    """

    found: dict[str, float] = field(default_factory=dict)
    reference: dict[str, float] = field(default_factory=dict)
    values: dict[str, float] = field(default_factory=dict)
    reference_values: dict[str, float] = field(default_factory=dict)


def rounding_errors(
    weights: Floats,
    kinds: Sequence[TensorType],
    entering: Entering,
    method: Method | None,
    threads: int | None,
) -> Errors:
    """The errors of some rows of a matrix.

    Args:
        weights: the rows.
        kinds: the types.
        entering: what enters the matrix.
        method: of calibrated rounding; None for the reference's alone.
        threads: at most so many; all that the process may use when None.
    """
    errors = Errors()
    for kind in kinds:
        reference = by_reference(weights, kind)
        error = output_error(weights, reference, entering.held_out)
        errors.reference[kind.name] = error
        errors.reference_values[kind.name] = value_error(weights, reference)
        taken = reference
        if method is not None:
            quick = _QUICKER.get(method, method)
            values = by_calibration(weights, kind, entering.hessian, quick, threads or 0)
            if values is not None:
                ours = output_error(weights, values, entering.held_out)
                if ours < error:
                    error, taken = ours, values
        errors.found[kind.name] = error
        errors.values[kind.name] = value_error(weights, taken)
    return errors
