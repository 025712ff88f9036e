"""Finds pieces of a vocabulary by their texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress

from ggmlkit import _core


def found_pieces(pieces: Sequence[str | bytes], texts: Iterable[str]) -> dict[str, int]:
    """Id by text of those texts that are pieces; the last of equal pieces counts."""
    if isinstance(pieces, _core.StoredStrings):
        return pieces.find(list(texts))
    # No loop of Python's own: there are 10⁵ pieces, and a model may wait for them.
    wanted = frozenset(texts)
    numbers = compress(range(len(pieces)), map(wanted.__contains__, pieces))
    return {str(pieces[number]): number for number in numbers}
