"""Values of options and arguments: what a word must be, and what is said if it isn't.

Each function here is a ``type`` for `argparse`, or makes one. The message of its
ArgumentTypeError follows the option's name: "-t/--threads must be at least 1, not 0".
"""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from math import isfinite
from pathlib import Path

from ggmlkit.cli.usage import did_you_mean

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3}
_LARGEST = 2**31 - 1  # that the compiled core counts with
_LARGEST_FLOAT = 3.4e38  # about what float32 holds
_LARGEST_SEED = 2**64 - 1


def path(text: str) -> Path:
    """A path; the empty text, as of a shell variable that is not set, is none."""
    return Path(not_empty(text))


def not_empty(text: str) -> str:
    """A text of at least one character."""
    if not text:
        raise ArgumentTypeError("must not be empty")
    return text


def origin(text: str) -> str:
    """The origin of web pages as browsers send it, such as ``https://example.org``; or ``*``."""
    if text == "null":  # any page can have it, in a frame of its own
        raise ArgumentTypeError("must not be null, which pages of any site can be: * lets in all")
    if text != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/?#@\s]+", text):
        raise ArgumentTypeError(
            "must be as in https://example.org or http://localhost:3000, without a path or a "
            f"slash at its end, not {text!r}"
        )
    scheme, _, host = text.partition("://")
    return f"{scheme}://{host.lower()}" if host else text


def whole_number(minimum: int = -_LARGEST, maximum: int = _LARGEST) -> Callable[[str], int]:
    """A whole number within bounds."""

    def value(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            raise ArgumentTypeError(f"must be a whole number, not {text!r}") from None
        _check_range(number, minimum, maximum)
        return number

    return value


def number(
    minimum: float = -_LARGEST_FLOAT, maximum: float = _LARGEST_FLOAT
) -> Callable[[str], float]:
    """A finite number within bounds."""

    def value(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = float("nan")
        if not isfinite(number):
            raise ArgumentTypeError(f"must be a number, not {text!r}")
        _check_range(number, minimum, maximum)
        return number

    return value


def positive_share(text: str) -> float:
    """A number above 0 and at most 1."""
    found = number(0, 1)(text)
    if not found:
        raise ArgumentTypeError(f"must be above 0 and at most 1, not {text}")
    return found


def one_of(*choices: str) -> Callable[[str], str]:
    """One of a few words."""

    def value(text: str) -> str:
        if text not in choices:
            few = f"{', '.join(choices[:-1])} or {choices[-1]}"
            meant = did_you_mean(text, choices)
            raise ArgumentTypeError(f"must be {few}, not {text!r}{meant}")
        return text

    return value


def seed(text: str) -> int | None:
    """A seed; None for -1, which is another seed each time."""
    found = whole_number(-1, _LARGEST_SEED)(text)
    return None if found == -1 else found


def size(text: str) -> int:
    """The bytes that ``500M``, ``2G`` or ``1000`` says."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text, re.IGNORECASE | re.ASCII)
    if match is None or not int(match[1]):
        raise ArgumentTypeError(f"must be a size such as 500M or 2G, not {text!r}")
    return int(match[1]) * _UNITS[match[2].upper()]


def size_of_file(text: str) -> str:
    """A size that a model file is to have: bytes, or bits a weight."""
    from ggmlkit.errors import ArgumentError
    from ggmlkit.quantization.size import parsed_size

    try:
        parsed_size(text)
    except ArgumentError:
        raise ArgumentTypeError(f"must be as in 4.5bpw, 800MB or 2GB, not {text!r}") from None
    return text


def tokens_or_size(text: str) -> tuple[int | None, int | None]:
    """Tokens, of ``8192``, or bytes, of ``2G``; the other is None."""
    if text.isascii() and text.isdecimal():
        return whole_number(1)(text), None
    try:
        return None, size(text)
    except ArgumentTypeError:
        raise ArgumentTypeError(
            f"must be tokens, such as 8192, or bytes, such as 2G, not {text!r}"
        ) from None


def named_model(text: str) -> tuple[str, str]:
    """Name and path of ``NAME=PATH`` or ``PATH``; what exists as a whole is a path."""
    name, equals, path = text.partition("=")
    if equals and name and path and not Path(text).exists():
        return name, path
    last = text.rpartition(":")[2] if text.startswith("hf:") else text
    return Path(last).stem, text


def type_name(text: str) -> str:
    """A type or mixture that a file can be quantized to, as the field writes it."""
    from ggmlkit.quantization import NAMES

    return _named(text, NAMES)


def tensor_type(text: str) -> tuple[str, str]:
    """A regular expression and a type, of ``PATTERN=TYPE``."""
    from ggmlkit import types

    pattern, _, name = text.rpartition("=")
    if not pattern or not name:
        raise ArgumentTypeError(f"must be PATTERN=TYPE, not {text!r}")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ArgumentTypeError(
            f"must begin with a regular expression, which {pattern!r} isn't: {error}"
        ) from None
    if types.is_mixture(name):
        raise ArgumentTypeError(
            f"must give a matrix one type; {name!r} is a mixture of several, for whole files"
        )
    current = [t.name for t in types.ALL if t.can_quantize and t.generation == "gguf"]
    return pattern, _named(name, current)


def adapter(text: str) -> tuple[Path, float]:
    """Path and scale of ``PATH`` or ``PATH:SCALE``; what exists as a whole is a path."""
    name, colon, scale = text.rpartition(":")
    if not colon or Path(text).exists():
        return path(text), 1.0
    try:
        found = float(scale)
    except ValueError:
        return Path(text), 1.0
    if not name or not isfinite(found):
        raise ArgumentTypeError(f"must be ADAPTER:SCALE with a finite scale, not {text!r}")
    return Path(name), found


def _named(text: str, names: tuple[str, ...] | list[str]) -> str:
    for name in names:
        if name.lower() == text.lower():
            return name
    meant = did_you_mean(text, names) or f"; there are {', '.join(names)}"
    raise ArgumentTypeError(f"must be a type that can be written, not {text!r}{meant}")


def _check_range(value: float, minimum: float, maximum: float) -> None:
    if minimum <= value <= maximum:
        return
    if maximum in (_LARGEST, _LARGEST_FLOAT) and value < minimum:
        raise ArgumentTypeError(f"must be at least {minimum}, not {value}")
    raise ArgumentTypeError(f"must be from {minimum} to {maximum}, not {value}")
