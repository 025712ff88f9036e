"""PEFT's ``rank_pattern`` and ``alpha_pattern``: numbers for the modules that expressions name.

The expressions come with the file, and one can be written that takes forever to find nothing. So
they may be plain names, as PEFT itself writes them, or have a few repetitions, or alternatives, but
not both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ggmlkit.errors import ConversionError

_LONGEST = 500  # characters of an expression
_MOST_EXPRESSIONS = 64  # that are no plain names
_MOST_NAMES = 10_000
_REPEATS = re.compile(r"[*+?{]")
_MOST_REPEATS = 3


class Patterns:
    """The numbers of a pattern's table.

    Args:
        path: the file, for messages.
        key: the setting, likewise.
        table: number by expression; the first that fits a module counts, as in PEFT.

    Raises:
        ConversionError: an expression that is none, or costly, or a number that is none.
    """

    def __init__(self, path: Path, key: str, table: object) -> None:
        table = {} if table is None else table
        if not isinstance(table, Mapping):
            raise ConversionError(f"{path}: {key} is no object")
        costly = [text for text in table if not re.fullmatch(r"[\w.-]*", text)]
        if len(table) > _MOST_NAMES or len(costly) > _MOST_EXPRESSIONS:
            raise ConversionError(f"{path}: {key} has {len(table)} entries, too many to look up")
        self._rows = [
            (_compiled(path, key, text), _number(path, key, text, value))
            for text, value in table.items()
        ]

    def value(self, module: str) -> float | None:
        """The number for a module, such as ``model.layers.0.self_attn.q_proj``, if there is one."""
        return next((number for known, number in self._rows if known.match(module)), None)


def _compiled(path: Path, key: str, text: str) -> re.Pattern[str]:
    repeats = len(_REPEATS.findall(text))
    tangled = re.search(r"\)[*+?{]", text) or text.count("(") > 1 or (repeats and "|" in text)
    if len(text) > _LONGEST or repeats > _MOST_REPEATS or tangled:
        raise ConversionError(f"{path}: the expression {text[:80]!r} in {key} is not supported")
    try:
        return re.compile(rf"(?:.*\.)?(?:{text})$")  # as PEFT matches it
    except (re.error, OverflowError) as error:
        raise ConversionError(f"{path}: {text!r} in {key} is no expression: {error}") from None


def _number(path: Path, key: str, text: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) < 1e30:
        raise ConversionError(f"{path}: {key} gives {text!r} the value {value!r}")
    return float(value)
