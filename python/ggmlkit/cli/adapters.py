"""Adapters as words of a command line name them."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from pathlib import Path

from ggmlkit.cli.command_line import UsageError


def scaled(texts: Iterable[str]) -> list[tuple[Path, float]]:
    """Path and scale of each ``PATH`` or ``PATH:SCALE``; what exists as a whole is a path."""
    return [_scaled(text) for text in texts]


def _scaled(text: str) -> tuple[Path, float]:
    path, colon, number = text.rpartition(":")
    if not colon or Path(text).exists():
        return Path(text), 1.0
    try:
        scale = float(number)
    except ValueError:
        return Path(text), 1.0
    if not path or not isfinite(scale):
        raise UsageError(f"{text!r} is no ADAPTER:SCALE")
    return Path(path), scale
