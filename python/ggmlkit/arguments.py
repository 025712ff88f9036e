"""Checks of arguments: each returns the value to use, or raises an error that says why not."""

from __future__ import annotations

import os
from math import isfinite
from operator import index
from typing import Any

from ggmlkit.errors import ArgumentError, ArgumentTypeError

_MOST_THREADS = 2**16  # more than any machine has
_SHOWN = 60  # characters of a wrong value in an error


def thread_count(threads: int | None) -> int:
    """The thread count for the compiled core: 0 for all that the process may use.

    Raises:
        ArgumentError: it is below 1, or not a whole number.
    """
    return 0 if threads is None else min(whole(threads, "threads", least=1), _MOST_THREADS)


def whole(value: object, name: str, *, least: int | None = None) -> int:
    """A whole number (numpy's are allowed) of at least ``least``.

    Raises:
        ArgumentTypeError: it is not a whole number.
        ArgumentError: it is less.
    """
    try:
        number = index(value)  # type: ignore[arg-type]
    except TypeError:
        raise ArgumentTypeError(f"{name} must be a whole number, not {shown(value)}") from None
    if least is not None and number < least:
        raise ArgumentError(f"{name} must be at least {least}, not {shown(number)}")
    return number


def number(value: object, name: str, *, least: float | None = None) -> float:
    """A finite number, of at least ``least``.

    Raises:
        ArgumentTypeError: it is not a number.
        ArgumentError: it is less, infinite or NaN.
    """
    if isinstance(value, (str, bytes, bytearray)):  # float() would parse these
        raise ArgumentTypeError(f"{name} must be a number, not {shown(value)}")
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ArgumentTypeError(f"{name} must be a number, not {shown(value)}") from None
    except OverflowError:
        raise ArgumentError(f"{name} is {shown(value)}, too large for a float") from None
    if not isfinite(found):
        raise ArgumentError(f"{name} must be finite, not {found}")
    if least is not None and found < least:
        raise ArgumentError(f"{name} must be at least {least:g}, not {found:g}")
    return found


def text(value: object, name: str) -> str:
    """The value, which must be a ``str``.

    Raises:
        ArgumentTypeError: it is not a ``str``.
    """
    if isinstance(value, str):
        return value
    hint = "; decode it first" if isinstance(value, (bytes, bytearray)) else ""
    raise ArgumentTypeError(f"{name} must be a str, not {shown(value)}{hint}")


def path_text(path: Any, name: str = "path") -> str:
    """A path as text.

    Raises:
        ArgumentTypeError: it is neither a ``str`` nor a ``pathlib.Path``.
        ArgumentError: it is empty, or contains a zero byte.
    """
    try:
        found = os.fspath(path)
    except TypeError:
        found = None
    if not isinstance(found, str):
        hint = "; convert it with os.fsdecode" if isinstance(found, bytes) else ""
        raise ArgumentTypeError(f"{name} must be a str or a pathlib.Path, not {shown(path)}{hint}")
    if not found:
        raise ArgumentError(f"{name} is empty")
    if "\0" in found:
        raise ArgumentError(f"{name} {shown(found)} contains a zero byte, which file names can't")
    return found


def check_paths(**paths: object) -> None:
    """Check each argument with :func:`path_text`."""
    for name, path in paths.items():
        path_text(path, name)


def check_optional_paths(**paths: object) -> None:
    """Check each argument that is not None with :func:`path_text`."""
    check_paths(**{name: path for name, path in paths.items() if path is not None})


def shown(value: object) -> str:
    """A wrong value as an error shows it: the value if it is short, else its type."""
    kind = type(value)
    if kind in (bool, int, float, type(None)):
        return _short(value)
    if kind in (str, bytes):
        return _short(value) if kind is str else f"bytes {_short(value)}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    article = "an" if kind.__name__[:1].lower() in "aeiou" else "a"
    return f"{article} {kind.__name__}"


def _short(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:  # Python can refuse to print it
        return "a huge number"
    found = repr(value[:_SHOWN] if isinstance(value, (str, bytes)) else value)
    return found if len(found) <= _SHOWN else found[:_SHOWN] + "…"
