"""Metadata values as JSON can say them, and as a line can show them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

_SHOWN_ELEMENTS = 6
_SHOWN_CHARACTERS = 100


def plain(value: Any) -> Any:
    """A metadata value as JSON can say it: bytes that are no text become replacement signs."""
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, dict):
        return {key: plain(element) for key, element in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(element) for element in value]
    if isinstance(value, float) and value - value != 0:  # JSON has no infinities
        return str(value)
    return value


def printable(text: str, kept: str = "") -> str:
    """A text out of a file as a terminal may have it: characters that command it written out.

    Those in ``kept`` stay, such as line breaks.
    """
    return text if text.isprintable() else "".join(_printable(letter, kept) for letter in text)


def _printable(letter: str, kept: str) -> str:
    return letter if letter.isprintable() or letter in kept else repr(letter)[1:-1]


def print_notes(notes: Iterable[str]) -> None:
    """Say on stderr what a command's user should know of what was written."""
    for note in notes:
        print(f"ggmlkit: note: {printable(note)}", file=sys.stderr)


def short(value: Any) -> str:
    """A plain value in a few characters."""
    if isinstance(value, list):
        shown = ", ".join(short(element) for element in value[:_SHOWN_ELEMENTS])
        return f"[{shown}{', …' if len(value) > _SHOWN_ELEMENTS else ''}] ({len(value)})"
    if isinstance(value, str):
        text = repr(value)
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return str(value)
