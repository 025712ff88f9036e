"""Marks in text that comes in pieces, such as ``<think>``: one may be cut anywhere."""

from __future__ import annotations

from collections.abc import Sequence


def first_mark(text: str, marks: Sequence[str]) -> tuple[int, str] | None:
    """Where the first of the marks begins in a text, and which it is; None without one."""
    found = [(place, mark) for mark in marks if (place := text.find(mark)) >= 0]
    return min(found, key=lambda each: (each[0], -len(each[1])), default=None)


def held_back(text: str, marks: Sequence[str]) -> int:
    """How many characters at the end of a text may begin a mark; none of a whole mark."""
    longest = min(len(text), max(map(len, marks), default=1) - 1)
    for length in range(longest, 0, -1):
        end = text[-length:]
        if any(mark.startswith(end) for mark in marks):
            return length
    return 0
