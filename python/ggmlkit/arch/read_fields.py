"""Reads hyper-parameters from JSON objects, with errors that name them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ggmlkit.errors import HparamsError

MOST = 1 << 31  # integers in files are unlimited, but the decoder's sizes are not


def count(source: Mapping[str, Any], key: str, default: int | None = None) -> int:
    """A positive integer. Raises HparamsError if it is anything else, or missing."""
    value = source.get(key)
    if value is None:
        if default is None:
            raise HparamsError(f"the hyper-parameter {key} is missing")
        return default
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_integer or not 0 < value < MOST:
        raise HparamsError(f"the hyper-parameter {key} = {value!r} is not a positive integer")
    return int(value)


def number(source: Mapping[str, Any], key: str, default: float | None = None) -> float:
    """A positive number. Raises HparamsError if it is anything else, or missing."""
    value = source.get(key)
    if value is None:
        if default is None:
            raise HparamsError(f"the hyper-parameter {key} is missing")
        return default
    # A number that is 0 as a float32 would be 0 in a gguf file.
    if not _is_number(value) or not 0 < value < 1e30 or np.float32(value) == 0:
        raise HparamsError(f"the hyper-parameter {key} = {value!r} is not a positive number")
    return float(value)


def epsilon(source: Mapping[str, Any], key: str, default: float) -> float:
    """The epsilon of norms: a positive number, or 0. Raises HparamsError if it is anything else."""
    value = source.get(key)
    return 0.0 if _is_number(value) and value == 0 else number(source, key, default)


def _is_number(value: object) -> bool:
    numbers = (int, float, np.integer, np.floating)
    return isinstance(value, numbers) and not isinstance(value, bool)


def numbers(source: Mapping[str, Any], key: str, length: int) -> tuple[float, ...]:
    """A list of ``length`` positive numbers, each rounded by :func:`shortest`."""
    values = source.get(key)
    if not isinstance(values, list) or len(values) != length:
        raise HparamsError(f"the hyper-parameter {key} is not a list of {length} numbers")
    return tuple(shortest(number({key: value}, key)) for value in values)


def flag(source: Mapping[str, Any], key: str, default: bool = False) -> bool:
    """True or false. Raises HparamsError if it is anything else."""
    value = source.get(key)
    if value is None:
        return default
    if not isinstance(value, (bool, np.bool_)):
        raise HparamsError(f"the hyper-parameter {key} = {value!r} is neither true nor false")
    return bool(value)


def shortest(value: float) -> float:
    """The shortest decimal with the same float32: 1e-05 instead of 9.999999747378752e-06."""
    return float(str(np.float32(value)))
