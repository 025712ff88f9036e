"""Faults of a command line, and names that were perhaps meant."""

from __future__ import annotations

from collections.abc import Iterable


class UsageError(Exception):
    """What is wrong with the words of a command line, in one sentence without its full stop."""


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """``; did you mean 'this' or 'that'?`` of the names like a word; empty if none is."""
    from difflib import get_close_matches  # loaded for errors alone

    by_key = {_key(name): name for name in names}
    near = get_close_matches(_key(word), by_key, n=2, cutoff=0.6)
    shown = [repr(by_key[key]) for key in near]
    return f"; did you mean {' or '.join(shown)}?" if shown else ""


def _key(name: str) -> str:
    """A name without what people mix up: its case, dashes and underscores."""
    return name.lower().replace("-", "").replace("_", "")
