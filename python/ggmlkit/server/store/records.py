"""What is kept, and what keeps it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

OVERHEAD: Final = 512  # bytes that a record takes beside its data


class Record(NamedTuple):
    """A response that is kept.

    Attributes:
        id: of it, which nobody guesses.
        owner: whose it is; nobody else gets it.
        previous_id: of the response that it goes on from, or None.
        data: what is kept.
    """

    id: str
    owner: str
    previous_id: str | None
    data: bytes

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.data) + OVERHEAD


class Room(NamedTuple):
    """How much is kept at most. Where there is more, the oldest goes first.

    Attributes:
        records: how many.
        size: bytes of them all.
    """

    records: int
    size: int


class Store(Protocol):
    """Keeps records. No method makes the event loop wait."""

    async def put(self, record: Record) -> bool:
        """Keep a record; False if it alone is larger than there is room for."""

    async def get(self, id: str, owner: str) -> Record | None:
        """The owner's record with an id."""

    async def chain(self, id: str, owner: str, most_bytes: int) -> list[Record]:
        """The owner's record with an id, last, and those that it goes on from, as far as kept.

        The first goes on from none, unless that one is no longer kept. It ends early where the
        records have more than so many bytes.
        """

    async def delete(self, id: str, owner: str) -> bool:
        """Forget the owner's record with an id; False if there is none."""

    async def close(self) -> None:
        """End. Twice is no error."""


def chain_of(get: Callable[[str], Record | None], id: str, most_bytes: int) -> list[Record]:
    """What :meth:`Store.chain` gives, of records that ``get`` finds by id."""
    found: list[Record] = []
    left, next_id = most_bytes, id
    while (record := get(next_id)) is not None:
        found.append(record)
        left -= record.size
        if left < 0 or record.previous_id is None:
            break
        next_id = record.previous_id
    return found[::-1]
