"""Records in memory: gone when the server ends."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from ggmlkit.server.store.records import Record, Room, chain_of


class MemoryStore:
    """Keeps records in memory. The event loop's thread alone uses it."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self._records: OrderedDict[str, Record] = OrderedDict()
        self._size = 0

    async def put(self, record: Record) -> bool:
        """Keep a record; False if it alone is larger than there is room for."""
        if record.size > self._room.size or not self._room.records:
            return False
        self._records[record.id] = record
        self._size += record.size
        while len(self._records) > self._room.records or self._size > self._room.size:
            self._size -= self._records.popitem(last=False)[1].size
        return True

    async def get(self, id: str, owner: str) -> Record | None:
        """The owner's record with an id."""
        return self._found(owner, id)

    async def chain(self, id: str, owner: str, most_bytes: int) -> list[Record]:
        """See :class:`ggmlkit.server.store.records.Store`."""
        return chain_of(partial(self._found, owner), id, most_bytes)

    async def delete(self, id: str, owner: str) -> bool:
        """Forget the owner's record with an id; False if there is none."""
        record = self._found(owner, id)
        if record is None:
            return False
        self._size -= self._records.pop(id).size
        return True

    async def close(self) -> None:
        """Forget all."""
        self._records.clear()
        self._size = 0

    def _found(self, owner: str, id: str) -> Record | None:
        record = self._records.get(id)
        return record if record is not None and record.owner == owner else None
