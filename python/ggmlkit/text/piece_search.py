"""Finds pieces of a vocabulary by their texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress

from ggmlkit import _core


def found_pieces(pieces: Sequence[str | bytes], texts: Iterable[str]) -> dict[str, int]:
    """Ids, by text, of the texts that are pieces; of equal pieces, the last one counts."""
    if isinstance(pieces, _core.StoredStrings):
        return pieces.find(list(texts))
    # No Python loop: there are 10⁵ pieces, and this delays the start of a model.
    wanted = frozenset(texts)
    numbers = compress(range(len(pieces)), map(wanted.__contains__, pieces))
    return {str(pieces[number]): number for number in numbers}
