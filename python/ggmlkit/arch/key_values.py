"""Typed access to the gguf keys of one architecture, with errors that name the key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ggmlkit.arch.read_fields import MOST, shortest
from ggmlkit.errors import HparamsError

_LARGEST = 1e30
_NUMBERS = (int, float, np.integer, np.floating)


class KeyValues:
    """The values of a file's keys that begin with ``ARCHITECTURE.``, by the rest of the key."""

    def __init__(self, metadata: Mapping[str, Any], architecture: str) -> None:
        self._metadata = metadata
        self._prefix = f"{architecture}."

    def __contains__(self, key: str) -> bool:
        return self.name(key) in self._metadata

    def __iter__(self) -> Iterator[str]:
        for name in self._metadata:
            if name.startswith(self._prefix):
                yield name[len(self._prefix) :]

    def name(self, key: str) -> str:
        """The whole key."""
        return self._prefix + key

    def get(self, key: str, default: Any = None) -> Any:
        """A value, or the common value of a list; HparamsError if there is none.

        Some files store one number per layer; it is used if all layers have the same.
        """
        value = self._metadata.get(self.name(key), default)
        if value is None:
            raise HparamsError(f"the file lacks {self.name(key)}")
        if not isinstance(value, (list, tuple, np.ndarray)):
            return value
        listed = value.tolist() if isinstance(value, np.ndarray) else value
        values = {each if isinstance(each, _NUMBERS) else str(each) for each in listed}
        if len(values) != 1:
            raise HparamsError(f"{self.name(key)} differs between layers, which is not supported")
        return values.pop()

    def flags(self, key: str) -> tuple[bool, ...] | None:
        """The values of a list of bools, or of 0 and 1; None if it is not a list."""
        value = self._metadata.get(self.name(key))
        if not isinstance(value, (list, tuple, np.ndarray)):
            return None
        if any(isinstance(each, (list, tuple, np.ndarray)) for each in value):
            raise HparamsError(f"{self.name(key)} is a list of lists, not one value per layer")
        if any(each not in (0, 1) for each in value):
            raise HparamsError(f"{self.name(key)} is {_shown(value)}, not true or false per layer")
        return tuple(bool(each) for each in value)

    def count(self, key: str, default: int | None = None) -> int:
        """A positive whole number below 2³¹."""
        value = self.get(key, default)
        if not _is_number(value) or not 0 < value < MOST or int(value) != value:
            raise HparamsError(
                f"{self.name(key)} is {_shown(value)}, not a whole number from 1 to {MOST - 1}"
            )
        return int(value)

    def count_or_none(self, key: str, default: int) -> int:
        """A positive whole number below 2³¹, or 0."""
        value = self.get(key, default)
        return 0 if _is_number(value) and value == 0 else self.count(key, default)

    def number(self, key: str, default: float) -> float:
        """A number that is not negative, as the shortest decimal of its float32."""
        value = self.get(key, default)
        if not _is_number(value) or not 0 <= value < _LARGEST:
            raise HparamsError(f"{self.name(key)} is {_shown(value)}, not a number of at least 0")
        return shortest(float(value))

    def positive(self, key: str, default: float) -> float:
        """A number above 0, as the shortest decimal of its float32."""
        found = self.number(key, default)
        if found == 0:
            raise HparamsError(f"{self.name(key)} is 0, but it must be positive")
        return found


def _is_number(value: object) -> bool:
    return isinstance(value, _NUMBERS) and not isinstance(value, bool)


def _shown(value: object) -> str:
    return repr(value)[:80]
