"""Which member of a changing group a text belongs to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

_POINTS: Final = 64  # of a member; shares then differ by an eighth, mostly


class Ring:
    """Members at many points of a circle; a text belongs to the next point behind its own.

    When a member comes or goes, only the texts that belong to it change places.

    Args:
        members: names, in any order.
    """

    def __init__(self, members: Iterable[str]) -> None:
        points = sorted(
            (_place(f"{member}\0{n}"), member) for member in members for n in range(_POINTS)
        )
        self._places = [place for place, _ in points]
        self._members = [member for _, member in points]

    def member(self, text: str) -> str | None:
        """The member that a text belongs to; None if there are none."""
        if not self._members:
            return None
        return self._members[bisect_right(self._places, _place(text)) % len(self._members)]


def _place(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
