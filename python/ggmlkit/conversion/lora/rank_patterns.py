"""PEFT's ``rank_pattern`` and ``alpha_pattern``: numbers for the modules that expressions name.

The expressions come with the file, and a hostile one could take forever to match. So only plain
names are allowed, as PEFT itself writes them, and expressions with a few repetitions or with
alternatives, but not with both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ggmlkit.errors import ConversionError

_LONGEST = 500  # characters of an expression
_MOST_EXPRESSIONS = 64  # that are not plain names
_MOST_NAMES = 10_000
_PLAIN = re.compile(r"[\w.-]+")
_REPEATS = re.compile(r"[*+?{]")
_MOST_REPEATS = 3


class Patterns:
    """The numbers of a pattern's table.

    Args:
        path: the file, for messages.
        key: the setting, for messages.
        table: number by expression; the first that fits a module counts, as in PEFT.

    Raises:
        ConversionError: an expression is invalid or costly, or a value is not a number.
    """

    def __init__(self, path: Path, key: str, table: object) -> None:
        table = {} if table is None else table
        if not isinstance(table, Mapping):
            raise ConversionError(f"{path}: {key} is not an object")
        costly = sum(not _PLAIN.fullmatch(text) for text in table)
        if len(table) > _MOST_NAMES or costly > _MOST_EXPRESSIONS:
            raise ConversionError(f"{path}: {key} has {len(table)} entries, too many to look up")
        self._rows = [
            (
                partial(_ends_with, text)
                if _PLAIN.fullmatch(text)
                else _compiled(path, key, text).match,
                _number(path, key, text, value),
            )
            for text, value in table.items()
        ]

    def value(self, module: str) -> float | None:
        """The number for a module, such as ``model.layers.0.self_attn.q_proj``, if there is one."""
        return next((number for fits, number in self._rows if fits(module)), None)


def _ends_with(text: str, module: str) -> bool:
    """Whether a plain name is the module's name or its end; a dot in it is any character."""
    before, tail = module[: -len(text)], module[-len(text) :]
    if len(tail) != len(text) or (before and before[-1] != "."):
        return False
    return tail == text or all(a in (b, ".") for a, b in zip(text, tail, strict=True))


def _compiled(path: Path, key: str, text: str) -> re.Pattern[str]:
    repeats = len(_REPEATS.findall(text))
    tangled = re.search(r"\)[*+?{]", text) or text.count("(") > 1 or (repeats and "|" in text)
    if len(text) > _LONGEST or repeats > _MOST_REPEATS or tangled:
        raise ConversionError(f"{path}: the expression {text[:80]!r} in {key} is not supported")
    try:
        return re.compile(rf"(?:.*\.)?(?:{text})$")  # as PEFT matches it
    except (re.error, OverflowError) as error:
        raise ConversionError(
            f"{path}: {text!r} in {key} is not a regular expression: {error}"
        ) from None


def _number(path: Path, key: str, text: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e30:
        raise ConversionError(f"{path}: {key} gives {text!r} the value {value!r}")
    return float(value)
