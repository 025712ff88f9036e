"""The values that a chat template can get: those that are the same in another process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ggmlkit.errors import ModelError

_MOST_PARTS = 500_000  # a conversation of 10 000 messages has about 40 000
_DEEPEST = 200  # levels of nesting
_SCALARS = frozenset({str, int, float, bool, type(None)})
_BASES: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int.__int__,
    float: float.__float__,
}
_OTHER_SEQUENCES = (str, bytes, bytearray, memoryview)
_Place: TypeAlias = "tuple[_Place, object] | str"  # the container's place, and the key in it


def plain(value: object, name: str) -> Any:
    """A copy of a value that consists of text, numbers, bool, None, lists, tuples and dicts only.

    Subclasses of these become the base class, other mappings become dicts, other sequences become
    lists, and numpy's scalars become Python's.

    Args:
        value: the value.
        name: its name in an error.

    Raises:
        ModelError: a part has another type, or the value is nested too deeply or too large.
    """
    return _Copier().copied(value, name, 0)


class _Copier:
    def __init__(self) -> None:
        self._left = _MOST_PARTS

    def copied(self, value: Any, place: _Place, depth: int) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            return value
        if kind is dict or isinstance(value, Mapping):
            self._count(value, place, depth)
            return {
                k if type(k) is str else self._key(k, place): (
                    v if type(v) in _SCALARS else self.copied(v, (place, k), depth + 1)
                )
                for k, v in value.items()
            }
        if kind is list or kind is tuple or _is_sequence(value):
            self._count(value, place, depth)
            items = (
                v if type(v) in _SCALARS else self.copied(v, (place, i), depth + 1)
                for i, v in enumerate(value)
            )
            return tuple(items) if isinstance(value, tuple) else list(items)
        return self._scalar(value, place)

    def _key(self, key: Any, place: _Place) -> Any:
        return self._scalar(key, (place, "a key"))

    def _scalar(self, value: Any, place: _Place) -> Any:
        # A member of a text enum becomes its text, because templates compare with text.
        for base, to_base in _BASES.items():
            if isinstance(value, base):
                return to_base(value)
        if value is None:
            return None
        if hasattr(value, "dtype") and getattr(value, "shape", None) == ():
            scalar = value.item()
            if type(scalar) in _SCALARS:
                return scalar
        raise ModelError(
            f"{_spelled(place)} is of type {type(value).__qualname__}, which a chat template "
            "can't get: make it text, a number, a list or a dict"
        )

    def _count(self, value: Any, place: _Place, depth: int) -> None:
        self._left -= len(value)
        if self._left < 0:
            raise ModelError(
                f"{_root(place)} has more than {_MOST_PARTS} parts, too many for a prompt"
            )
        if depth > _DEEPEST:
            raise ModelError(
                f"{_root(place)} is nested too deeply for a chat template, or contains itself"
            )


def _is_sequence(value: object) -> bool:
    """Whether it becomes a list; a named tuple doesn't, as it is an object with attributes."""
    return (
        isinstance(value, Sequence)
        and not isinstance(value, _OTHER_SEQUENCES)
        and not hasattr(value, "_fields")
    )


def _root(place: _Place) -> str:
    while not isinstance(place, str):
        place = place[0]
    return place


def _spelled(place: _Place) -> str:
    """A place as text, such as ``messages[0]['content']``."""
    steps: list[str] = []
    while not isinstance(place, str):
        place, step = place
        steps.append(f"[{step!r:.80}]" if step != "a key" else ", a key of it,")
    return place + "".join(reversed(steps))
