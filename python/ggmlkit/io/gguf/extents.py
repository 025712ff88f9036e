"""Sizes of tensors of unknown types, where the neighbouring tensors make them certain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def certain_sizes(
    known: Iterable[tuple[int, int]], unknown: Mapping[str, int], end: int | None
) -> dict[str, int]:
    """Bytes from each unknown tensor's start to the next tensor's, where that is certain.

    A size is not certain if another tensor begins at the same place or overlaps it.

    Args:
        known: (start, size) of each tensor whose size is known.
        unknown: the start of each other tensor by name.
        end: of the last tensor's data; ``None`` if that is not certain.
    """
    places = [(start, start + size, "") for start, size in known if size]
    places += [(start, start, name) for name, start in unknown.items()]
    places.sort()
    sizes = {}
    previous = reach = -1
    for number, (start, stop, name) in enumerate(places):
        following = places[number + 1][0] if number + 1 < len(places) else end
        is_alone = start >= reach and start != previous
        if name and is_alone and following is not None and following > start:
            sizes[name] = following - start
        previous, reach = start, max(reach, stop)
    return sizes
