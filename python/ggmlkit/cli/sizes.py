"""Sizes in bytes as people write them."""

from __future__ import annotations

import re

from ggmlkit.cli.command_line import UsageError

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3}


def bytes_of(text: str, flag: str) -> int:
    """The bytes that ``500M``, ``2G`` or ``1000`` says; UsageError about the flag if none."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text, re.IGNORECASE)
    if match is None or not int(match[1]):
        raise UsageError(f"Invalid value for '{flag}': {text!r} is no size such as 500M or 2G.")
    return int(match[1]) * _UNITS[match[2].upper()]
