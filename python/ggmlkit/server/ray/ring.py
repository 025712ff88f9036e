"""Which member of a changing group a text belongs to, and which are near that one."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

_POINTS: Final = 64  # of a member; shares then differ by an eighth, mostly


class Ring:
    """Members at many points of a circle; a text belongs to the next point behind its own.

    When a member comes or goes, only the texts that belong to it change places. All members also
    stand on a second circle, with one point each, which says who is near whom.

    Args:
        members: names, in any order.
    """

    def __init__(self, members: Iterable[str]) -> None:
        names = set(members)
        points = sorted(
            (_place(f"{member}\0{n}"), member) for member in names for n in range(_POINTS)
        )
        self._places = [place for place, _ in points]
        self._members = [member for _, member in points]
        self._circle = sorted(names, key=_place)
        self._rank = {member: rank for rank, member in enumerate(self._circle)}

    def member(self, text: str) -> str | None:
        """The member that a text belongs to; None if there are none."""
        if not self._members:
            return None
        return self._members[bisect_right(self._places, _place(text)) % len(self._members)]

    def groups(self, text: str, most: int) -> Iterator[list[str]]:
        """Whom to ask for a text: its member, some of the next 3, of the 12 behind those, of 48 …

        So a text that many ask for has as many members as it needs, nearly always the same.

        Args:
            most: members of a group; any of those that it has.
        """
        first = self.member(text)
        if first is None:
            return
        yield [first]
        rank, count = self._rank[first], len(self._circle)
        near = 1
        while near < count:
            far = min(4 * near, count)
            offsets = random.sample(range(near, far), min(most, far - near))
            yield [self._circle[(rank + offset) % count] for offset in offsets]
            near = far


def _place(text: str) -> int:
    data = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
