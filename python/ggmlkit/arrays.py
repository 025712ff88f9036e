"""Converts anything that holds numbers to numpy arrays."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ggmlkit.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_NUMBERS = "fiub"  # kinds of numpy dtypes


def as_numpy(array: ArrayLike, name: str = "the array") -> NDArray[Any]:
    """The values as a numpy array: also of a quantized tensor or a torch tensor.

    Args:
        array: numbers in any object that numpy or torch can convert to an array.
        name: its name in an error.

    Raises:
        ArgumentTypeError: it holds anything else than real numbers.
        ArgumentError: its rows differ in length, or some of its elements are masked.
    """
    if type(array) is np.ndarray and array.dtype.kind in _NUMBERS:
        return array
    values = _values(array, name)
    kind = values.dtype.kind
    if kind in _NUMBERS or _is_small_float(values.dtype):
        return values
    if kind == "c":
        raise ArgumentTypeError(
            f"{name} holds complex numbers; give the real and imaginary parts separately"
        )
    if kind != "O":
        raise ArgumentTypeError(f"{name} holds {values.dtype}, not numbers")
    _check_objects(values, name)
    return values


def integer_row(values: Any, name: str) -> NDArray[np.integer[Any]]:
    """A row of at least one integer.

    Args:
        values: integers in any object that numpy can convert to an array.
        name: its name in an error.

    Raises:
        ArgumentError: it is anything else.
    """
    try:
        found = _values(values, name)
    except (TypeError, ValueError, RuntimeError):  # ragged lists, tensors on other devices
        found = np.empty(0, object)
    if found.ndim != 1 or found.size == 0 or found.dtype.kind not in "iu":
        raise ArgumentError(f"{name} must be a non-empty row of integers")
    return found


def _values(array: Any, name: str) -> NDArray[Any]:
    if isinstance(array, np.ndarray):
        if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
            raise ArgumentError(f"{name} has masked elements; replace them with its filled()")
        return np.asarray(array)
    try:
        # torch refuses numpy's protocol for bfloat16, and for tensors that require gradients.
        if hasattr(array, "detach"):
            return _of_torch(array)
        return np.asarray(array)
    except ArgumentError:
        raise
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise ArgumentError(f"{name} is not an array of numbers: {error}") from error
        raise ArgumentError(f"{name} has rows of different lengths") from None
    except (TypeError, RuntimeError) as error:
        raise ArgumentTypeError(f"{name} is not an array of numbers: {error}") from error


def _of_torch(array: Any) -> NDArray[Any]:
    values = array.detach()
    if values.is_complex():
        return np.empty(0, np.complex64)  # refused later, like numpy's complex arrays
    if getattr(values, "is_quantized", False):
        values = values.dequantize()
    if getattr(values, "is_sparse", False):
        values = values.to_dense()
    values = values.cpu().resolve_neg()
    try:
        return np.asarray(values.numpy())
    except TypeError:  # dtypes that numpy doesn't have
        return np.asarray(values.float().numpy())


def _is_small_float(dtype: np.dtype[Any]) -> bool:
    """Whether the dtype is one of ml_dtypes' floats, such as bfloat16."""
    return dtype.kind == "V" and dtype.type.__module__ == "ml_dtypes"


def _check_objects(values: NDArray[Any], name: str) -> None:
    """Raise ArgumentTypeError unless all objects are real numbers of Python."""
    for place, value in np.ndenumerate(values):
        if not isinstance(value, Real):
            where = f" at {place}" if place else ""
            raise ArgumentTypeError(
                f"{name} holds {type(value).__name__}{where}, not numbers of one dtype"
            )
