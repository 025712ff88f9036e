"""Metadata values as JSON can say them."""

from __future__ import annotations

from typing import Any


def plain(value: Any) -> Any:
    """A metadata value as JSON can say it: bytes that are no text become replacement signs."""
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, (list, tuple)):
        return [plain(element) for element in value]
    if isinstance(value, float) and value - value != 0:  # JSON has no infinities
        return str(value)
    return value
