"""Checks of arguments: each returns the value to use, or raises an error that says why not.

And the words that errors share.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
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
        if isinstance(value, bool):  # a flag that went to another argument
            raise TypeError
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


def stored_text(value: object, name: str) -> str:
    """The value, which must be a ``str`` that files can hold.

    Raises:
        ArgumentTypeError: it is not a ``str``.
        ArgumentError: it has no UTF-8 form, as a lone half of a surrogate pair.
    """
    found = text(value, name)
    try:
        found.encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"{name} must have a UTF-8 form, unlike {found!r}") from None
    return found


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


def mapping(value: object, name: str, example: str = "") -> Mapping[Any, Any]:
    """The value, which must be a mapping whose keys are ``str``.

    Args:
        value: the argument.
        name: its name.
        example: of what to give, for the error.

    Raises:
        ArgumentTypeError: it is something else.
    """
    if not isinstance(value, Mapping):
        hint = f", such as {example}" if example else ""
        raise ArgumentTypeError(f"{name} must be a mapping{hint}, not {shown(value)}")
    for key in value:
        text(key, f"a key of {name}")
    return value


def check_progress(progress: object) -> None:
    """Check an argument that is called with the progress.

    Raises:
        ArgumentTypeError: it is neither a function nor None.
    """
    if progress is not None and not callable(progress):
        raise ArgumentTypeError(f"progress must be a function, not {shown(progress)}")


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
    return with_article(kind.__name__)


def with_article(name: str) -> str:
    """The name of a class after "a" or "an"; numpy's "ndarray" is read "n-d array"."""
    is_an = name[:1].lower() in "aeiou" or name == "ndarray"
    return f"{'an' if is_an else 'a'} {name}"


def _short(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 256:  # Python can refuse to print it
        return "a huge number"
    found = repr(value[:_SHOWN] if isinstance(value, (str, bytes)) else value)
    return found if len(found) <= _SHOWN else found[:_SHOWN] + "…"


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """``; did you mean 'this' or 'that'?`` of the names like a word; empty if none is."""
    from difflib import get_close_matches  # loaded for errors alone

    by_key = {_key(name): name for name in names}
    near = get_close_matches(_key(word), by_key, n=2, cutoff=0.6)
    meant = [repr(by_key[key]) for key in near]
    return f"; did you mean {' or '.join(meant)}?" if meant else ""


def _key(name: str) -> str:
    """A name without what people mix up: its case, dashes and underscores."""
    return name.lower().replace("-", "").replace("_", "")


def tensor_called(name: str) -> str:
    """A tensor in an error: ``tensor 'x'``, or ``the tensor`` if it has no name."""
    return f"tensor {name!r}" if name else "the tensor"


def counted(number: int, noun: str) -> str:
    """A number of things: ``1 tensor``, ``2 tensors``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
